package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
)

// The databases that are measured.
const (
	mainDatabase  = "tenanted"       // all accounts, and the big tenant
	floorDatabase = "tenanted_floor" // copies of the rows, by the server alone

	placementsDatabase = "tenanted_" // and the configuration
)

// tables are those that are copied, with their columns but for generated ones.
var tables = []struct{ name, columns string }{
	{"accounts", "*"}, {"users", "*"}, {"projects", "*"}, {"tasks", "*"}, {"subtasks", "account_id, id, task_id, name, complete, details, version, assignee_id"},
}

// seed makes the accounts, and compares that with a server-side COPY of the same rows into the same tables, from
// files that the server itself has written. Then it adds the big tenant.
func (b *bench) seed(ctx context.Context, f *Figures) error {
	env := []string{"PGDATABASE=" + mainDatabase}
	if _, _, err := b.run(ctx, env, "migrate"); err != nil {
		return err
	}
	took, peak, err := b.run(ctx, env, "seed", "--accounts", strconv.Itoa(b.sizes.Accounts))
	if err != nil {
		return err
	}
	rows, err := b.countRows(ctx)
	if err != nil {
		return err
	}
	floor, err := b.copyRows(ctx)
	if err != nil {
		return err
	}
	f.Seed = &Seed{Rows: rows, Seconds: took.Seconds(), Floor: floor.Seconds(), PeakMB: float64(peak) / (1 << 20)}
	subtasks := strconv.Itoa(b.sizes.Big / 10)
	_, _, err = b.run(ctx, env, "seed", "--accounts", strconv.Itoa(b.sizes.Accounts+1), "--min-projects", "1", "--max-projects", "1",
		"--min-tasks", subtasks, "--max-tasks", subtasks, "--min-subtasks", "10", "--max-subtasks", "10")
	return err
}

// countRows counts the rows in the main database's tables.
func (b *bench) countRows(ctx context.Context) (rows int64, err error) {
	conn, err := pgx.Connect(ctx, b.dsn(mainDatabase))
	if err != nil {
		return 0, err
	}
	defer conn.Close(ctx)
	for _, table := range tables {
		var n int64
		if err := conn.QueryRow(ctx, "select count(*) from "+table.name).Scan(&n); err != nil {
			return 0, err
		}
		rows += n
	}
	return rows, nil
}

// copyRows writes each table into a file and times how long the server takes to copy and analyse them in another
// database.
func (b *bench) copyRows(ctx context.Context) (time.Duration, error) {
	file := func(table string) string { return "'" + filepath.Join(b.localDir(), "data", table+".copy") + "'" }
	var write, read []string
	for _, table := range tables {
		write = append(write, fmt.Sprintf("copy (select %s from %s order by 1, 2) to %s (format binary)", table.columns, table.name, file(table.name)))
		read = append(read, fmt.Sprintf("copy %s from %s (format binary)", table.name, file(table.name)))
	}
	if err := b.sql(ctx, mainDatabase, write...); err != nil {
		return 0, err
	}
	if _, _, err := b.run(ctx, []string{"PGDATABASE=" + floorDatabase}, "migrate"); err != nil {
		return 0, err
	}
	if err := b.sql(ctx, floorDatabase, "checkpoint"); err != nil {
		return 0, err
	}
	began := time.Now()
	err := b.sql(ctx, floorDatabase, append(read, "vacuum (analyze)")...)
	took := time.Since(began)
	if err != nil {
		return 0, err
	}
	return took, b.sql(ctx, "postgres", "drop database "+floorDatabase)
}

// pages compares a tenant's list of subtasks, and a big tenant's, with the floor's, while rows are written.
func (b *bench) pages(ctx context.Context, f *Figures) error {
	app, err := b.serve(ctx, "PGDATABASE="+mainDatabase)
	if err != nil {
		return err
	}
	defer app.stop()
	floor, err := b.serveFloor(ctx, mainDatabase)
	if err != nil {
		return err
	}
	defer floor.stop()
	big, last := b.sizes.Accounts, b.sizes.Big/10
	var subjects []subject // by twos, the floor second
	for _, page := range []subject{
		{name: "a tenant's first page", targets: tenantPages(b.sizes.Accounts, "/subtasks/")},
		{name: "the big tenant's first page", targets: []target{tenantPage(big, "/subtasks/")}},
		{name: "the big tenant's middle page", targets: []target{tenantPage(big, fmt.Sprintf("/subtasks/%d/", last/2))}},
		{name: "the big tenant's last page", targets: []target{tenantPage(big, fmt.Sprintf("/subtasks/%d/", last))}},
	} {
		subjects = append(subjects, subject{page.name, app, page.targets}, subject{"floor: " + page.name, floor, page.targets})
	}
	medians, err := b.whileWriting(ctx, b.clients, subjects)
	for i := 0; i < len(medians); i += 2 {
		page := medians[i]
		page.Floor = &medians[i+1]
		f.Pages = append(f.Pages, page)
	}
	return err
}

// whileWriting compares subjects while single rows of the main database are updated.
func (b *bench) whileWriting(ctx context.Context, clients int, subjects []subject) ([]Page, error) {
	stop, err := b.writing(ctx, mainDatabase)
	if err != nil {
		return nil, err
	}
	medians, err := b.compare(ctx, clients, subjects...)
	_, failed := stop()
	return medians, errors.Join(err, failed)
}

// allTenants measures the list over all tenants, with one client, so that it shows the time that a page takes and not a
// queue.
func (b *bench) allTenants(ctx context.Context, f *Figures) error {
	app, err := b.serve(ctx, "PGDATABASE="+mainDatabase)
	if err != nil {
		return err
	}
	defer app.stop()
	var subjects []subject
	for _, page := range []struct{ name, path string }{
		{"first page", ""}, {"page 5,000", "5000/"}, {"page 10,000", "10000/"}, {"last page", "?page=last"},
		{"by task, page 10,000", "10000/?sort=task"},
		{"open, first page", "?status=open"}, {"open, page 10,000", "10000/?status=open"}, {"open by task, page 10,000", "10000/?status=open&sort=task"},
		{"search for a word that nobody used", "?q=zzzz"}, {"search for two words", "?q=quia+et"},
		{"search for a frequent word", "?q=quia"}, {"the same, last page", "?q=quia&page=last"}, {"the same, done ones", "?q=quia&status=done"},
		{"search for a beginning of many words", "?q=volup"},
	} {
		if b.sizes == small && (page.path == "5000/" || len(page.path) > 5 && page.path[:5] == "10000") {
			continue // there are no such pages
		}
		subjects = append(subjects, subject{page.name, app, []target{{"localhost", "/subtasks/" + page.path}}})
	}
	f.AllTenants, err = b.whileWriting(ctx, 1, subjects)
	return err
}

// placements asks many tenants of each configuration in turn. For tenants with a place of their own that is the worst case for
// connections: that of the next tenant has always just been closed.
func (b *bench) placements(ctx context.Context, f *Figures) error {
	for _, configuration := range []string{"SingleSchema", "MultipleSchemas", "MultipleDb"} {
		p, err := b.placement(ctx, configuration)
		if err != nil {
			return fmt.Errorf("%s: %w", configuration, err)
		}
		f.Placements = append(f.Placements, p)
	}
	return nil
}

func (b *bench) placement(ctx context.Context, configuration string) (Placement, error) {
	p := Placement{Configuration: configuration, Tenants: b.sizes.Placements}
	n := strconv.Itoa(p.Tenants)
	env := []string{"DJANGO_CONFIGURATION=" + configuration, "PGDATABASE=" + placementsDatabase + configuration,
		"MULTIDB_COUNT=" + n, "DB_MAX_CONNS=" + strconv.Itoa(b.sizes.Conns)}
	if _, _, err := b.run(ctx, env, "migrate"); err != nil {
		return p, err
	}
	took, _, err := b.run(ctx, env, "seed", "--accounts", n)
	if err != nil {
		return p, err
	}
	p.SeedSeconds = took.Seconds()
	app, err := b.serve(ctx, env...)
	if err != nil {
		return p, err
	}
	defer app.stop()
	medians, err := b.compare(ctx, b.clients, subject{"one tenant", app, tenantPages(1, "/subtasks/")}, subject{"all in turn", app, tenantPages(p.Tenants, "/subtasks/")})
	if err != nil {
		return p, err
	}
	p.One, p.All = medians[0], medians[1]
	u, err := b.use(app.pid())
	p.AppMB, p.PgMB = u.appMB, u.pgMB
	return p, err
}

// startup measures how long it takes from starting `serve` to the first page, when PostgreSQL runs already and
// when it does not.
func (b *bench) startup(ctx context.Context, f *Figures) error {
	var running, stopped []time.Duration
	for range b.rounds {
		took, err := b.firstPage(ctx)
		if err != nil {
			return err
		}
		running = append(running, took)
		if err := b.local.Close(); err != nil { // the last user's stops the server
			return err
		}
		if took, err = b.firstPage(ctx); err != nil {
			return err
		}
		stopped = append(stopped, took)
		if err := b.start(ctx); err != nil {
			return err
		}
	}
	ms := func(d time.Duration) float64 { return d.Seconds() * 1e3 }
	f.Startup = &Startup{Running: median(running, ms), Stopped: median(stopped, ms)}
	return nil
}

func (b *bench) firstPage(ctx context.Context) (time.Duration, error) {
	began := time.Now()
	app, err := b.serve(ctx, "PGDATABASE="+mainDatabase)
	if err != nil {
		return 0, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+app.addr+"/subtasks/", nil)
	if err != nil {
		return 0, err
	}
	request.Host = "tenant-0.localhost"
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, response.Body)
	took := time.Since(began)
	_ = response.Body.Close()
	if err != nil || response.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("the first page answered %s, %w", response.Status, err)
	}
	return took, app.stop()
}
