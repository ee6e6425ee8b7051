package talk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5"

	"tenanted/models"
	"tenanted/scopes/audit"
)

// forceOwner counts as the tables' owner, to whom the policy applies only once it is forced.
func forceOwner(ctx context.Context, tx pgx.Tx) (before, after int64, err error) {
	if err := tx.QueryRow(ctx, "SELECT count(*) FROM subtasks").Scan(&before); err != nil {
		return 0, 0, err
	}
	if _, err := tx.Exec(ctx, "ALTER TABLE subtasks FORCE ROW LEVEL SECURITY"); err != nil {
		return 0, 0, err
	}
	return before, after, tx.QueryRow(ctx, "SELECT count(*) FROM subtasks").Scan(&after)
}

var enableAndForce = Experiment{
	Name: "enable-and-force", Title: "ENABLE, then FORCE", code: []any{forceOwner},
	Claim: "ENABLE does not bind the owner of the table, FORCE does: a program that serves as the owner has no row-level security until then.",
	run: func(ctx context.Context, t *trial) error {
		return t.asRole(ctx, t.lab.server.Owner, func(tx pgx.Tx) error {
			before, after, err := forceOwner(ctx, tx)
			t.answer("enabled", "the owner sees %d rows, without a tenant", before)
			t.answer("forced", "the owner sees %d rows", after)
			t.expect(before == subtasksOfAll(len(t.lab.Tenants)) && after == 0, "%d rows before, %d after", before, after)
			t.stopped(RLS, "%d rows once the policy is forced", after)
			return err
		})
	},
}

// asRole runs work as a role in the shared tables, in a transaction that is rolled back.
func (t *trial) asRole(ctx context.Context, role *pgx.ConnConfig, work func(pgx.Tx) error) error {
	to := t.lab.as(role, t.lab.server.Database)
	to.RuntimeParams["search_path"] = fullSchema
	conn, err := t.connect(ctx, to)
	if err != nil {
		return err
	}
	tx, err := conn.Begin(ctx)
	if err != nil {
		return err
	}
	defer tx.Rollback(context.WithoutCancel(ctx))
	t.begin()
	defer t.end()
	return work(tx)
}

// countForced counts in a table whose policy is forced.
func countForced(ctx context.Context, tx pgx.Tx) (n int64, err error) {
	if _, err := tx.Exec(ctx, "ALTER TABLE subtasks FORCE ROW LEVEL SECURITY"); err != nil {
		return 0, err
	}
	return n, tx.QueryRow(ctx, "SELECT count(*) FROM subtasks").Scan(&n)
}

var superuserSeesAll = Experiment{
	Name: "superuser", Title: "Ask as a superuser", code: []any{countForced},
	Claim: "No policy binds a superuser or a role with BYPASSRLS, not even a forced one: so serve refuses to start as one.",
	run: func(ctx context.Context, t *trial) error {
		if t.lab.server.Superuser == nil {
			return errors.New("this server's superuser is not known here; on the private PostgreSQL it is")
		}
		return t.asRole(ctx, t.lab.server.Superuser, func(tx pgx.Tx) error {
			n, err := countForced(ctx, tx)
			t.answer("the superuser sees", "%d rows of all %d tenants, without a tenant", n, len(t.lab.Tenants))
			t.expect(n == subtasksOfAll(len(t.lab.Tenants)), "%d rows", n)
			t.stopped(Nothing, "all %d rows", n)
			return err
		})
	},
}

// backUp runs pg_dump as a role, and returns what it dumped or said.
func backUp(ctx context.Context, program string, as *pgx.ConnConfig) (dump, said string, err error) {
	cmd := exec.CommandContext(ctx, program, "--data-only", "--table=full.people", as.Database)
	cmd.Env = append(os.Environ(), "PGHOST="+as.Host, fmt.Sprintf("PGPORT=%d", as.Port), "PGUSER="+as.User, "PGPASSWORD="+as.Password)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	return out.String(), errs.String(), err
}

var backups = Experiment{
	Name: "pg-dump", Title: "Back up as the runtime role", code: []any{backUp},
	Claim: "pg_dump as the runtime role fails rather than leave rows out without a word; as the owner it has every tenant’s rows.",
	run: func(ctx context.Context, t *trial) error {
		program, err := t.lab.program("pg_dump")
		if err != nil {
			return err
		}
		_, said, failed := backUp(ctx, program, t.lab.as(t.lab.server.Runtime, t.lab.server.Database))
		t.stopped(RLS, "%s", firstLine(said))
		t.answer("as the runtime role", "%s", firstLine(said))
		t.expect(failed != nil && strings.Contains(said, "row-level security"), "pg_dump as the runtime role: %v %s", failed, said)
		dump, said, err := backUp(ctx, program, t.lab.as(t.lab.server.Owner, t.lab.server.Database))
		if err != nil {
			return fmt.Errorf("pg_dump as the owner: %s", firstLine(said))
		}
		_, rows, _ := strings.Cut(dump, "FROM stdin;\n")
		rows, _, _ = strings.Cut(rows, "\\.")
		n := int64(strings.Count(rows, "\n"))
		t.answer("as the owner", "%d rows of all %d tenants", n, len(t.lab.Tenants))
		t.expect(n == int64(len(t.lab.Tenants)), "%d rows in the dump", n)
		return nil
	},
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	return line
}

// program finds one of PostgreSQL's programs.
func (l *Lab) program(name string) (string, error) {
	if l.server.BinDir != "" {
		if path, err := exec.LookPath(filepath.Join(l.server.BinDir, name)); err == nil {
			return path, nil
		}
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", &MissingError{name, "postgresql-client"}
	}
	return path, nil
}

// countThroughViews counts as the runtime role, through a view of the owner's and through one that asks as its reader.
func countThroughViews(ctx context.Context, conn *pgx.Conn) (owners, invokers int64, err error) {
	const count = "SELECT (SELECT count(*) FROM full_owners), (SELECT count(*) FROM full_invokers) FROM set_config('app.tenant_id', '1', true)"
	return owners, invokers, conn.QueryRow(ctx, count).Scan(&owners, &invokers)
}

var views = Experiment{
	Name: "views", Title: "Look through a view", code: []any{countThroughViews},
	Claim: "A view asks as its owner, past row-level security, unless it is made WITH (security_invoker): a view is no strategy, and can be a hole.",
	run: func(ctx context.Context, t *trial) error {
		const make = `create or replace view full_owners as select * from "full".subtasks;
			create or replace view full_invokers with (security_invoker) as select * from "full".subtasks;
			grant select on full_owners, full_invokers to `
		if err := t.lab.asOwner(ctx, make+pgx.Identifier{t.lab.server.Runtime.User}.Sanitize()); err != nil {
			return err
		}
		conn, err := t.connect(ctx, t.lab.as(t.lab.server.Runtime, t.lab.server.Database))
		if err != nil {
			return err
		}
		t.begin()
		owners, invokers, err := countThroughViews(ctx, conn)
		t.end()
		t.answer("plain view", "%d rows", owners)
		t.answer("security_invoker", "%d rows, all of its own", invokers)
		t.expect(owners == subtasksOfAll(len(t.lab.Tenants)) && invokers == subtasksOf(1), "%d and %d rows", owners, invokers)
		t.stopped(RLS, "%d rows through the view that asks as its reader", invokers)
		return err
	},
}

// asOwner runs statements as the owner in the main database. Two who replace a view at once would fail, so it is done one at a time.
func (l *Lab) asOwner(ctx context.Context, sql string) error {
	l.exclusive.Lock()
	defer l.exclusive.Unlock()
	conn, err := pgx.ConnectConfig(ctx, l.as(l.server.Owner, l.server.Database))
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	_, err = conn.Exec(ctx, sql, pgx.QueryExecModeSimpleProtocol)
	return err
}

// auditSchema looks at a live schema, measured against the models.
func auditSchema(ctx context.Context, conn *pgx.Conn, schema string) ([]audit.Check, error) {
	report, err := audit.Startup(ctx, conn, audit.Config{Models: models.All()}, schema)
	return report.Defects(), err
}

var checkFinds = Experiment{
	Name: "check", Title: "Forget a policy", code: []any{auditSchema},
	Claim: "A table without a policy is found before anything is served, with what could happen and the SQL that fixes it.",
	run: func(ctx context.Context, t *trial) error {
		for _, schema := range []string{fullSchema, unguardedSchema} {
			conn, err := pgx.ConnectConfig(ctx, t.lab.as(t.lab.server.Runtime, t.lab.server.Database))
			if err != nil {
				return err
			}
			defects, err := auditSchema(ctx, conn, schema)
			_ = conn.Close(context.WithoutCancel(ctx))
			if err != nil {
				return err
			}
			t.answer("schema "+schema, "%d defects", len(defects))
			t.expect((len(defects) == 0) == (schema == fullSchema), "%s has %d defects", schema, len(defects))
			if len(defects) > 0 {
				t.answer("the first", "%s: %s", defects[0].Object, defects[0].Message)
				t.answer("to fix it", "%s", defects[0].Fix)
				t.stopped(Check, "%d defects; serve does not start", len(defects))
			}
		}
		return nil
	},
}
