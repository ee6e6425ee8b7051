package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/procfs"
)

// fleetStep is a number of tenants in a configuration, whose cost is measured.
type fleetStep struct {
	configuration string
	tenants       int
}

// parseFleet reads steps as "MultipleSchemas:500,MultipleSchemas:2000".
func parseFleet(text string) (steps []fleetStep, err error) {
	for _, part := range strings.Split(text, ",") {
		configuration, number, _ := strings.Cut(part, ":")
		tenants, err := strconv.Atoi(number)
		if err != nil || tenants < 1 {
			return nil, fmt.Errorf("-fleet: %q is not CONFIGURATION:TENANTS", part)
		}
		steps = append(steps, fleetStep{configuration, tenants})
	}
	return steps, nil
}

// figure is what was measured of a step, as text, under a name that all steps share.
type figure struct{ name, value string }

// fleet measures what tenants cost, and writes a table with a column for each step. Steps of one configuration add to each
// other's tenants.
func (b *bench) fleet(ctx context.Context, steps []fleetStep, out io.Writer) (err error) {
	if b.fixture, err = newFixture(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	var names []string
	values := map[string][]string{}
	for i, step := range steps {
		fmt.Fprintf(os.Stderr, "%s, %d tenants ...\n", step.configuration, step.tenants)
		m := fleetMeasure{bench: b, fleetStep: step, env: []string{"DJANGO_CONFIGURATION=" + step.configuration, "DB_MAX_CONNS=" + strconv.Itoa(b.sizes.Conns)}}
		if err := m.all(ctx); err != nil {
			return fmt.Errorf("%s, %d tenants: %w", step.configuration, step.tenants, err)
		}
		for _, f := range m.figures {
			if values[f.name] == nil {
				names, values[f.name] = append(names, f.name), make([]string, len(steps))
			}
			values[f.name][i] = f.value
		}
	}
	machine := describeMachine(ctx)
	fmt.Fprintf(out, "%s, %d cores; %s; commit %s; %s; load average %s\n\n", machine.CPU, machine.Cores, machine.Go, machine.Commit, machine.Date, machine.Load)
	table := tabwriter.NewWriter(out, 0, 0, 1, ' ', 0)
	head, line := "|", "|---"
	for _, step := range steps {
		head += fmt.Sprintf("\t| %s, %d", step.configuration, step.tenants)
		line += "\t|---:"
	}
	fmt.Fprintf(table, "%s\t|\n%s\t|\n", head, line)
	for _, name := range names {
		fmt.Fprintf(table, "| %s\t| %s\t|\n", name, strings.Join(values[name], "\t| "))
	}
	return table.Flush()
}

// fleetMeasure measures one step.
type fleetMeasure struct {
	*bench
	fleetStep
	env     []string
	figures []figure
}

func (m *fleetMeasure) add(name, format string, args ...any) {
	m.figures = append(m.figures, figure{name, fmt.Sprintf(format, args...)})
}

func (m *fleetMeasure) all(ctx context.Context) error {
	for _, work := range []func(context.Context) error{m.create, m.files, m.migrate, m.others, m.serve, m.memory, m.dump} {
		if err := work(ctx); err != nil {
			return err
		}
	}
	return nil
}

// timed adds how many seconds work took, by the clock and of PostgreSQL's CPU; for what is done to each of so many, in ms of one.
func (m *fleetMeasure) timed(name string, of int, work func() error) error {
	before, err := m.use(0)
	if err != nil {
		return err
	}
	began := time.Now()
	if err := work(); err != nil {
		return err
	}
	took := time.Since(began)
	after, err := m.use(0)
	seconds, cpu := took.Seconds(), after.pg-before.pg
	if of > 0 {
		seconds, cpu = seconds*1e3/float64(of), cpu*1e3/float64(of)
	}
	m.add(name, "%s (%s)", number(seconds), number(cpu))
	return err
}

func (m *fleetMeasure) timedRun(ctx context.Context, name string, args ...string) error {
	return m.timed(name, 0, func() error {
		_, _, err := m.run(ctx, m.env, args...)
		return err
	})
}

func (m *fleetMeasure) create(ctx context.Context) error {
	if _, _, err := m.run(ctx, m.env, "migrate"); err != nil {
		return err
	}
	before, err := m.tenantCount(ctx)
	if err != nil {
		return err
	}
	return m.timed("`tenants create --count`, ms a tenant", m.tenants-before, func() error {
		_, _, err := m.run(ctx, m.env, "tenants", "create", "tenant", "--count", strconv.Itoa(m.tenants))
		return err
	})
}

func (m *fleetMeasure) tenantCount(ctx context.Context) (n int, err error) {
	conn, err := pgx.Connect(ctx, m.dsn(m.database()))
	if err != nil {
		return 0, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	err = conn.QueryRow(ctx, "select count(*) from control.tenants").Scan(&n)
	return n, err
}

// database is the default database.
func (m *fleetMeasure) database() string {
	if m.configuration == "SingleSchema" {
		return "tenanted"
	}
	return "tenanted_" + strings.ToLower(m.configuration)
}

// files counts what all databases of the configuration have on disk.
func (m *fleetMeasure) files(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, m.dsn("postgres"))
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, "checkpoint"); err != nil {
		return err
	}
	rows, _ := conn.Query(ctx, "select oid::text from pg_database where datname = $1 or starts_with(datname, $1 || '_tenant-')", m.database())
	oids, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	files, size := 0, int64(0)
	for _, oid := range oids {
		err := filepath.WalkDir(filepath.Join(m.localDir(), "data", "base", oid), func(_ string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			info, err := entry.Info()
			if err == nil {
				files, size = files+1, size+info.Size()
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	m.add("files", "%d", files)
	m.add("on disk, MB", "%s", number(float64(size)/(1<<20)))
	return nil
}

func (m *fleetMeasure) migrate(ctx context.Context) error {
	if err := m.timedRun(ctx, "`migrate` with nothing to do, s", "migrate"); err != nil {
		return err
	}
	if _, _, err := m.run(ctx, m.env, "migrate", "--down", "--all"); err != nil {
		return err
	}
	return m.timedRun(ctx, "`migrate` with one new migration, s", "migrate")
}

func (m *fleetMeasure) others(ctx context.Context) error {
	if err := m.timedRun(ctx, "`tenants list`, s", "tenants", "list"); err != nil {
		return err
	}
	return m.timedRun(ctx, "`check`, s", "check")
}

// serve asks one tenant again and again, and all in turn.
func (m *fleetMeasure) serve(ctx context.Context) error {
	began := time.Now()
	app, err := m.bench.serve(ctx, m.env...)
	if err != nil {
		return err
	}
	defer app.stop()
	m.add("`serve` until it answers, s", "%s", number(time.Since(began).Seconds()))
	pages := make([]target, m.tenants)
	for i := range pages {
		pages[i] = tenantPage(i+1, "/subtasks/")
	}
	medians, err := m.compare(ctx, m.clients, subject{"one tenant", app, pages[:1]}, subject{"all in turn", app, pages})
	if err != nil {
		return err
	}
	for _, p := range medians {
		m.add(fmt.Sprintf("a page, %s: p50 ms (CPU of PostgreSQL)", p.Name), "%s (%s)", number(p.P50), number(p.PgCPU/1e3))
	}
	u, err := m.use(app.pid())
	m.add(fmt.Sprintf("then, with %d connections: program MB", m.sizes.Conns), "%s", number(u.appMB))
	m.add("and PostgreSQL MB", "%s", number(u.pgMB))
	return err
}

// memory looks at one connection that has read the tables of every tenant which it can reach.
func (m *fleetMeasure) memory(ctx context.Context) error {
	database := m.database()
	if m.configuration == "MultipleDb" {
		database += "_tenant-1"
	}
	conn, err := pgx.Connect(ctx, m.dsn(database))
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	rows, _ := conn.Query(ctx, "select quote_ident(schemaname) from pg_tables where tablename = 'subtasks'")
	schemas, err := pgx.CollectRows(rows, pgx.RowTo[string])
	for _, schema := range schemas {
		if err == nil {
			_, err = conn.Exec(ctx, fmt.Sprintf("select from %[1]s.subtasks s join %[1]s.tasks using (account_id) join %[1]s.projects using (account_id) join %[1]s.users using (account_id)", schema), pgx.QueryExecModeSimpleProtocol)
		}
	}
	if err != nil {
		return err
	}
	p, err := procfs.NewProc(int(conn.PgConn().PID()))
	if err != nil {
		return err
	}
	rollup, err := p.ProcSMapsRollup()
	m.add("a connection that has met every tenant it can, its own MB", "%s", number(float64(rollup.PrivateDirty)/(1<<20)))
	return err
}

// dump dumps every database of the configuration.
func (m *fleetMeasure) dump(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, m.dsn("postgres"))
	if err != nil {
		return err
	}
	rows, _ := conn.Query(ctx, "select datname::text from pg_database where datname = $1 or starts_with(datname, $1 || '_tenant-')", m.database())
	databases, err := pgx.CollectRows(rows, pgx.RowTo[string])
	_ = conn.Close(context.WithoutCancel(ctx))
	if err != nil {
		return err
	}
	size, refused := 0, ""
	err = m.timed("`pg_dump -Fc` of all of it, s", 0, func() error {
		for _, database := range databases {
			var out, errs bytes.Buffer
			cmd := exec.CommandContext(ctx, filepath.Join(m.local.BinDir(), "pg_dump"), "-Fc", "-d", m.dsn(database))
			cmd.Stdout, cmd.Stderr = &out, &errs
			switch err := cmd.Run(); {
			case strings.Contains(errs.String(), "max_locks_per_transaction"): // a figure too
				refused = "out of lock memory"
			case err != nil:
				return fmt.Errorf("pg_dump %s: %w: %.500s", database, err, errs.Bytes())
			}
			size += out.Len()
		}
		return nil
	})
	if refused != "" {
		m.figures[len(m.figures)-1].value = refused
		return err
	}
	m.add("its size, MB", "%s", number(float64(size)/(1<<20)))
	return err
}
