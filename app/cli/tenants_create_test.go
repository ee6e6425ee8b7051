package cli_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"tenanted/app/cli"
	"tenanted/app/config"
	"tenanted/scopes/audit"
	"tenanted/scopes/pgtest"
)

// templatesLeft counts the databases that a command had made to copy from.
func (w *fixture) templatesLeft(t *testing.T) int {
	t.Helper()
	return w.count(t, "select count(*) from pg_database where starts_with(datname, current_database() || '__template_')")
}

// createdOnce wants that many tenants active, each with one finished entry in the audit log, and nothing left behind.
func (w *fixture) createdOnce(t *testing.T, tenants int) {
	t.Helper()
	w.created(t, tenants)
	require.Equal(t, tenants, w.count(t, "select count(*) from control.audit_log where action = 'create' and error = '' and ended_at is not null"))
}

// created is createdOnce where commands were killed, perhaps before they wrote how it ended.
func (w *fixture) created(t *testing.T, tenants int) {
	t.Helper()
	require.Equal(t, tenants, w.count(t, "select count(*) from control.tenants where state = 'active'"))
	require.Equal(t, tenants, w.count(t, "select count(*) from control.tenants"))
	require.Equal(t, tenants, w.count(t, "select count(distinct tenant_id) from control.audit_log where action = 'create' and error = ''"))
	require.Zero(t, w.templatesLeft(t))
	require.Empty(t, w.check(t, 0).ids(audit.Defect))
}

func TestANumberOfTenantsIsCreated(t *testing.T) {
	t.Parallel()
	eachStrategy(t, func(t *testing.T, w *fixture) {
		w.ok(t, "migrate")
		args := []string{"tenants", "create", "load", "--name", "Load", "--count"}
		plan := w.ok(t, append(args, "4", "--dry-run")...)
		require.Regexp(t, `load-4 +Load 4 +`+w.db.Name, plan)
		require.Contains(t, plan, "4 tenants would be created, 0 are there already\n")
		require.Zero(t, w.count(t, "select count(*) from control.tenants"))
		require.Regexp(t, `^created 4 tenants in \S+; 0 were there already\n$`, w.ok(t, append(args, "4")...))
		w.createdOnce(t, 4)
		w.ok(t, "tenants", "suspend", "load-2")
		require.Contains(t, w.ok(t, append(args, "6")...), "created 2 tenants in ", "more of them")
		require.Contains(t, w.ok(t, append(args, "6", "--dry-run")...), "0 tenants would be created, 6 are there already")
		w.ok(t, "tenants", "resume", "load-2")
		w.createdOnce(t, 6)
		w.fails(t, 1, `load-1: tenant "load-1" exists, in state "active": choose another slug`, "tenants", "create", "load", "--count", "1")
		s := w.serve(t)
		for number := range 6 {
			s.becomes(t, fmt.Sprintf("load-%d", number+1), 200)
		}
		require.Zero(t, s.end(t))
	})
}

func TestNumberedTenantsInPlacesOfTheirOwn(t *testing.T) {
	t.Parallel()
	w := newFixture(t, config.Mixed)
	w.ok(t, "migrate")
	w.ok(t, "tenants", "create", "a", "--count", "3", "--schema", "s")
	w.ok(t, "tenants", "create", "b", "--count", "3", "--database", w.db.Name+"_b")
	w.ok(t, "tenants", "create", "c", "--count", "3", "--database", w.db.Name+"_c", "--schema", "s")
	list := w.ok(t, "tenants", "list")
	for _, placement := range []string{".s-3", "_b-3.public", "_c.s-3"} {
		require.Contains(t, list, w.db.Name+placement)
	}
	w.createdOnce(t, 9)
}

func (w *fixture) write(t *testing.T, name, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(w.dir, name), []byte(text), 0o600))
}

func TestAFileOfTenants(t *testing.T) {
	t.Parallel()
	eachStrategy(t, func(t *testing.T, w *fixture) {
		w.ok(t, "migrate")
		w.write(t, "t.csv", "\ufeffname,slug\r\n\"Acme, Inc.\",acme\r\n\r\n,bolt\r\n Coil ,coil\r\n")
		require.Contains(t, w.ok(t, "tenants", "create", "--from-file", "t.csv"), "created 3 tenants")
		list := w.ok(t, "tenants", "list")
		for _, want := range []string{`acme +Acme, Inc\. `, `bolt +bolt `, `coil +Coil `} {
			require.Regexp(t, want, list)
		}
		require.Contains(t, w.ok(t, "tenants", "create", "--from-file", "t.csv"), "created 0 tenants")
		w.createdOnce(t, 3)

		w.ok(t, "tenants", "rename", "coil", "dyne")
		w.write(t, "t.csv", "slug,name\neast,\nacme,\n\ncoil,\n")
		r := w.run(t, "tenants", "create", "--from-file", "t.csv")
		require.Equal(t, 1, r.code)
		require.Equal(t, "tenanted: t.csv:3: acme: tenant \"acme\" exists, in state \"active\": choose another slug\n"+
			"tenanted: t.csv:5: coil: slug \"coil\" still leads to the tenant that had it: choose another slug\n", r.err)
		require.Equal(t, 3, w.count(t, "select count(*) from control.tenants"), "none of them")

		var out, errs output
		code := cli.Run(t.Context(), []string{"tenants", "create", "--from-file", "-"}, cli.IO{
			Environ: w.environ, Dir: w.dir, In: strings.NewReader("slug\neast\nwww\neast\nWest\n"), Out: &out, Err: &errs})
		require.Equal(t, 2, code)
		require.Equal(t, "tenanted: standard input:3: www: the slug is reserved: choose another one\n"+
			"tenanted: standard input:4: east: the slug occurs twice\n"+
			"tenanted: standard input:5: West: not a slug: use letters a to z, digits and hyphens, at most 63, no hyphen at the ends\n", errs.String())
	})
}

func TestFilesOfTenantsThatAreRefused(t *testing.T) {
	t.Parallel()
	w := &fixture{dir: t.TempDir(), environ: []string{"LOCALPG_DIR=/dev/null/never", "DJANGO_CONFIGURATION=Mixed"}}
	for text, want := range map[string]string{
		"":                                            "t.csv is empty",
		"slug;name\nacme;Acme\n":                      `t.csv:1: column "slug;name" is unknown`,
		"slug,slug\na,b\n":                            `t.csv:1: column "slug" occurs twice`,
		"name\nAcme\n":                                `t.csv:1: there is no column "slug"`,
		"slug,name\nacme\n":                           "t.csv:2: wrong number of fields",
		"slug,name\nacme,\"Acme\n":                    `t.csv:2: extraneous or missing " in quoted-field`,
		"slug,name\nacme,A\aB\n":                      "t.csv:2: --name \"A\\aB\" has characters that cannot be shown",
		"slug,schema\nacme,x\n\nbolt,x\n":             "t.csv:4: bolt: the placement tenanted_mixed.x occurs twice",
		"slug,schema\nacme,\nbolt,public\n":           `t.csv:3: bolt: --schema=public: is taken`,
		"slug,database\nacme,tenanted_mixed\n":        "t.csv:2: acme: --database=tenanted_mixed: is the default database",
		"slug,server\nacme,eu\n":                      `t.csv:2: acme: --server=eu: is not configured`,
		"slug\n" + strings.Repeat("api\n", 30):        "and 10 more",
		"slug,database\na,tenanted_mixed__template_a": "is a template's name",
	} {
		w.write(t, "t.csv", text)
		r := w.run(t, "tenants", "create", "--from-file", "t.csv")
		require.Equal(t, 2, r.code, text)
		require.Contains(t, r.err, want, text)
	}
	for args, want := range map[string]string{
		"--from-file none.csv":                 "--from-file: open ",
		"acme --from-file t.csv":               "leave out the slug",
		"--from-file t.csv --count 2":          "leave out the slug, --count",
		"--from-file t.csv --schema x":         "leave out the slug, --count, --name, --server, --database and --schema",
		"acme --count 0":                       "--count 0 is not between 1 and 100000",
		"acme --count 2 --jobs 0":              "--jobs 0 is below one",
		strings.Repeat("a", 63) + " --count 1": "not a slug",
		"--count 3":                            "create takes the new tenant's slug",
	} {
		w.fails(t, 2, want, append([]string{"tenants", "create"}, strings.Fields(args)...)...)
	}
}

// breakSecond makes the creation of the second tenant fail until fix is called.
func (w *fixture) breakSecond(t *testing.T) (fix func()) {
	t.Helper()
	run := func(sql string) { w.db.Exec(t, pgtest.Owner, sql) }
	switch w.strategy {
	case config.MultipleDb:
		run(fmt.Sprintf(`create database "%s_load-2"`, w.db.Name))
		run(fmt.Sprintf(`alter database "%s_load-2" with allow_connections false`, w.db.Name))
		return func() { run(fmt.Sprintf(`alter database "%s_load-2" with allow_connections true`, w.db.Name)) }
	case config.MultipleSchemas:
		run(`create schema "load-2"; create table "load-2".accounts ()`)
		return func() { run(`drop schema "load-2" cascade`) }
	default:
		run(`create function refuse() returns trigger language plpgsql as 'begin raise exception ''refused''; end'`)
		run(`create trigger refuse before insert on accounts for each row when (new.id = 1000002) execute function refuse()`)
		return func() { run("drop function refuse() cascade") }
	}
}

func TestATenantThatFailsDoesNotStopTheOthers(t *testing.T) {
	t.Parallel()
	eachUnmixed(t, func(t *testing.T, w *fixture) {
		w.ok(t, "migrate")
		fix := w.breakSecond(t)
		args := []string{"tenants", "create", "load", "--count", "5", "--jobs", "1"}
		r := w.run(t, args...)
		require.Equal(t, 1, r.code, r.err)
		require.Regexp(t, `^created 4 tenants in \S+; 0 were there already\nSLUG +PLACEMENT +ERROR\nload-2 +\S+ +create tenant "load-2": .+\n$`, r.out)
		require.Equal(t, "tenanted: 1 of 5 tenants were not created: remove the causes, and run the same command again\n", r.err)
		require.Equal(t, 1, w.count(t, "select count(*) from control.audit_log where slug = 'load-2' and error <> ''"))
		require.Contains(t, w.ok(t, append(args, "--dry-run")...), "to be completed")
		fix()
		require.Contains(t, w.ok(t, args...), "created 1 tenants")
		w.createdOnce(t, 5)
	})
}

// Killed at any time, the same command goes on, also if it is given twice at once.
func TestManyThatAreKilledAreCompleted(t *testing.T) {
	t.Parallel()
	eachStrategy(t, func(t *testing.T, w *fixture) {
		w.ok(t, "migrate")
		w.ok(t, "tenants", "create", "first")
		args := []string{"tenants", "create", "load", "--count", "12", "--jobs", "2"}
		if w.strategy == config.Mixed {
			args = append(args, "--database", w.db.Name+"_own")
		}
		for _, tenants := range []int{2, 4, 8} {
			w.kill(t, func() bool {
				return w.count(t, "select count(*) from control.tenants where state = 'active'") >= tenants
			}, args...)
			require.Empty(t, w.check(t, 0).ids(audit.Defect))
		}
		var group sync.WaitGroup
		for range 2 {
			group.Go(func() {
				if r := w.run(t, args...); r.code != 0 {
					t.Error(r.out, r.err)
				}
			})
		}
		group.Wait()
		w.created(t, 13)
	})
}

// A command that is killed between the copy of a template and its binding leaves a database that the same command completes, and
// that can be dropped.
func TestACopyOfATemplateThatIsNotBound(t *testing.T) {
	t.Parallel()
	w := newFixture(t, config.MultipleDb)
	w.ok(t, "migrate")
	args := []string{"tenants", "create", "load", "--count", "3"}
	w.ok(t, args...)
	for _, slug := range []string{"load-1", "load-2"} {
		to := w.db.Config(pgtest.Owner)
		to.Database = w.db.Name + "_" + slug
		conn, err := pgx.ConnectConfig(t.Context(), to)
		require.NoError(t, err)
		_, err = conn.Exec(t.Context(), "delete from accounts; update control.placement set made_in = 'template'", pgx.QueryExecModeSimpleProtocol)
		require.NoError(t, err)
		require.NoError(t, conn.Close(t.Context()))
		w.db.Exec(t, pgtest.Owner, "update control.tenants set state = 'creating' where slug = $1", slug)
	}
	w.fails(t, 1, "is a copy of a tenant's database", "dbshell", "--tenant", "load-1", "--owner")
	w.ok(t, "tenants", "drop", "load-2", "--yes")
	require.Zero(t, w.count(t, "select count(*) from pg_database where datname = current_database() || '_load-2'"))
	require.Contains(t, w.ok(t, args...), "created 2 tenants in ")
	require.Equal(t, 3, w.count(t, "select count(*) from control.tenants where state = 'active'"))
	require.Empty(t, w.check(t, 0).ids(audit.Defect))
}
