package cli_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tenanted/app/config"
	"tenanted/scopes/pgtest"
)

// The whole life of a server of the user's own, in every strategy.
func TestFromAnEmptyDatabaseToAPage(t *testing.T) {
	t.Parallel()
	eachStrategy(t, func(t *testing.T, w *fixture) {
		for _, command := range [][]string{{"serve", "--addr", "localhost:0"}, {"seed"}, {"tenants", "list"}, {"check"}} {
			w.fails(t, 1, "run `tenanted migrate`", command...)
		}
		require.Zero(t, w.count(t, "select count(*) from pg_namespace where nspname in ('control', 'tenant-0')"), "they change nothing")
		require.Contains(t, w.ok(t, "migrate", "--status"), "missing")

		require.Contains(t, w.ok(t, "migrate"), "migrated "+w.db.Name+".control to version ")
		require.NotContains(t, w.ok(t, "migrate"), "migrated")
		require.NotContains(t, w.ok(t, "migrate", "--status"), "missing")

		w.ok(t, "seed", "--accounts", "2")
		list := strings.Split(w.ok(t, "tenants", "list"), "\n")
		require.Regexp(t, `^ID +SLUG +NAME +PLACEMENT +STATE +VERSION$`, list[0])
		require.Regexp(t, fmt.Sprintf(`^2 +tenant-1 +.* %s(_tenant-1)?\.(public|tenant-1) +active +\d+$`, w.db.Name), list[2])

		s := w.serve(t)
		status, page := s.get(t, "tenant-1.localhost", "/subtasks/")
		require.Equal(t, 200, status)
		require.Contains(t, page, "Account #2")
		status, _ = s.get(t, "tenant-2.localhost", "/subtasks/")
		require.Equal(t, 404, status)
		require.Contains(t, s.out.String(), "http://tenant-0."+s.addr+"/\n")
		require.Equal(t, 0, s.end(t), s.errs.String())
		require.Contains(t, s.errs.String(), "tenant=tenant-1")
		require.Contains(t, w.ok(t, "check"), "row-level security")
	})
}

func TestMistakesInUsage(t *testing.T) {
	t.Parallel()
	w := &fixture{dir: t.TempDir(), environ: []string{"LOCALPG_DIR=/dev/null/never"}}
	for _, test := range []struct{ args, want string }{
		{"nonsense", `unknown command "nonsense"`},
		{"serv", `unknown command "serv": did you mean serve?`},
		{"--nonsense", "unknown flag: --nonsense"},
		{"serve now", `serve takes no argument, and was given "now"`},
		{"tenants lst", `unknown command "lst"`},
		{"seed --accounts many", `"many"`},
		{"seed --accounts -1", "--accounts -1 is below zero"},
		{"seed --min-users 5 --max-users 1", "minimum of users, 5, is above its maximum, 1"},
		{"createtestdata --min-tasks -1", "minimum of tasks is -1"},
		{"migrate --down", "say of which placements"},
		{"migrate --down --status", "cannot be used together"},
		{"migrate --tenant a --database b", "cannot be used together"},
		{"migrate --all", "--all goes with --down"},
		{"check --format yaml", "--format yaml is unknown: choose text or json"},
		{"dbshell select", `"select" comes before --`},
		{"dbshell -c select", "unknown shorthand flag: 'c'"},
	} {
		w.fails(t, 2, test.want, strings.Fields(test.args)...)
	}
}

func TestWrongSettingsAreRefusedByEveryCommand(t *testing.T) {
	t.Parallel()
	w := &fixture{dir: t.TempDir(), environ: []string{"DJANGO_CONFIGURATION=Nonsense"}}
	for _, command := range []string{"serve", "runserver", "migrate", "seed", "createtestdata", "check", "tenants list", "dbshell"} {
		w.fails(t, 2, "DJANGO_CONFIGURATION=Nonsense: is unknown: choose SingleSchema, MultipleDb, MultipleSchemas or Mixed", strings.Fields(command)...)
	}
}

func TestDotEnvIsRead(t *testing.T) {
	t.Parallel()
	w := &fixture{dir: t.TempDir()}
	require.NoError(t, os.WriteFile(filepath.Join(w.dir, ".env"), []byte("MULTIDB_COUNT=none\n"), 0o600))
	w.fails(t, 2, "MULTIDB_COUNT=none: is not a whole number", "migrate")
}

func TestEveryCommandExplainsItself(t *testing.T) {
	t.Parallel()
	w := &fixture{dir: t.TempDir()}
	help := w.ok(t)
	require.Equal(t, help, w.ok(t, "--help"))
	for _, command := range []string{"serve", "migrate", "seed", "check", "tenants list", "dbshell"} {
		require.Contains(t, help, strings.Fields(command)[0])
		require.Contains(t, w.ok(t, append(strings.Fields(command), "--help")...), "Examples:\n  tenanted "+command)
	}
	require.Contains(t, w.ok(t, "runserver", "--help"), "--no-demo")
	require.Contains(t, w.ok(t, "createtestdata", "--help"), "--rollback")
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		require.NotEmpty(t, w.ok(t, "completion", shell))
	}
}

func TestNoCommandShowsAPassword(t *testing.T) {
	t.Parallel()
	w := &fixture{dir: t.TempDir(), environ: []string{
		"PATH=" + os.Getenv("PATH"), "PGHOST=localhost", "PGPORT=1", "PGPASSWORD=hunter2", "PGOWNER=boss", "PGOWNERPASSWORD=hunter2",
	}}
	for _, command := range []string{"serve --addr localhost:0", "migrate", "migrate --status", "seed", "check", "tenants list", "dbshell -- -c 1"} {
		r := w.run(t, strings.Fields(command)...)
		require.NotZero(t, r.code)
		require.Contains(t, r.err, "onnection refused", command)
		require.NotContains(t, r.out+r.err, "hunter2", command)
	}
}

func TestWhatNeedsAnOwnerSaysSo(t *testing.T) {
	t.Parallel()
	w := newFixture(t, config.SingleSchema)
	w.ok(t, "migrate")
	w.ok(t, "seed")
	alone := w.with("PGOWNER=")
	for _, command := range []string{"migrate", "seed", "tenants list", "dbshell --owner", "check --fix"} {
		alone.fails(t, 2, "PGOWNER: is not set", strings.Fields(command)...)
	}
	require.Equal(t, 3, alone.run(t, "check").code, "the tenants are not known")
	s := alone.serve(t)
	require.Contains(t, s.out.String(), "http://tenant-0.localhost")
	status, _ := s.get(t, "tenant-0.localhost", "/subtasks/")
	require.Equal(t, 200, status)
	status, _ = s.get(t, "localhost", "/subtasks/")
	require.NotEqual(t, 200, status, "without the owner there is no view over all tenants")
	require.Equal(t, 0, s.end(t))
}

// A pool's error has a line for each address that it tried.
func TestAnOwnerWhoCannotLogInIsOneLine(t *testing.T) {
	t.Parallel()
	w := newFixture(t, config.SingleSchema)
	w.ok(t, "migrate")
	w.ok(t, "seed")
	wrong := w.with("PGOWNER=nobody_at_all")
	for _, command := range []string{"migrate", "migrate --status", "seed", "check", "check --fix", "tenants list", "tenants adopt", "serve --addr localhost:0"} {
		wrong.fails(t, 1, `as role "nobody_at_all": role "nobody_at_all" does not exist`, strings.Fields(command)...)
	}
}

func TestAnotherStrategyOnTheSameDatabaseIsRefused(t *testing.T) {
	t.Parallel()
	eachStrategy(t, func(t *testing.T, w *fixture) {
		w.ok(t, "migrate")
		for _, other := range config.Strategies() {
			if other == w.strategy {
				continue
			}
			wrong := w.with("DJANGO_CONFIGURATION=" + string(other))
			for _, command := range []string{"serve --addr localhost:0", "migrate", "seed", "check", "tenants list"} {
				wrong.fails(t, 1, fmt.Sprintf("was set up for %s, and DJANGO_CONFIGURATION is %s", w.strategy, other), strings.Fields(command)...)
			}
		}
	})
}

// Looking for what is wrong with one tenant must not need that tenant.
func TestTheDirectoryIsEnoughToLookAtTenants(t *testing.T) {
	t.Parallel()
	w := newFixture(t, config.MultipleDb)
	for _, command := range []string{"tenants list", "dbshell --tenant tenant-0"} {
		w.fails(t, 1, "run `tenanted migrate`", strings.Fields(command)...)
	}
	w.ok(t, "migrate")
	w.ok(t, "seed")
	w.db.Exec(t, pgtest.Owner, `drop database "`+w.db.Name+`_tenant-1"`)
	require.Equal(t, 3, strings.Count(w.ok(t, "tenants", "list"), " active"))
	w.ok(t, "dbshell", "--tenant", "tenant-0", "--", "-c", "select 1")
	r := w.run(t, "check")
	require.Equal(t, 3, r.code, r.err)
	require.Contains(t, r.out, "_tenant-1\" does not exist")
}

func TestCheckFindsAndMends(t *testing.T) {
	t.Parallel()
	eachStrategy(t, func(t *testing.T, w *fixture) {
		w.ok(t, "migrate")
		w.ok(t, "seed", "--accounts", "2")
		w.ok(t, "dbshell", "--tenant", "tenant-1", "--owner", "--", "-qc", "alter table tasks disable row level security")

		r := w.run(t, "check")
		require.Equal(t, 1, r.code)
		require.Contains(t, r.out, "DEFECT rls-disabled")
		require.Contains(t, r.out, "DEFECT probe-rls")
		require.Contains(t, r.err, "isolation is not in force: 2 defects")
		r = w.run(t, "check", "--format", "json")
		require.Equal(t, 1, r.code)
		require.Contains(t, r.out, `"in_force": false`)
		w.doesNotServe(t, "tenant-1", "tasks")

		r = w.run(t, "check", "--fix", "--format", "json")
		require.Equal(t, 0, r.code, r.err)
		require.Contains(t, r.out, `"in_force": true`)
		require.Contains(t, r.err, "fixed in")
		w.ok(t, "check")
	})
}

// What needs a session of its own says so behind a pooler; serve and seed's rows do not.
func TestBehindAPooler(t *testing.T) {
	t.Parallel()
	eachStrategy(t, func(t *testing.T, w *fixture) {
		w.ok(t, "migrate")
		w.ok(t, "seed", "--accounts", "2")
		through := pgtest.PgBouncer(t, w.db.Config(pgtest.Owner))
		behind := w.with("PGHOST="+through.Host, fmt.Sprintf("PGPORT=%d", through.Port), "DB_PREPARED_STATEMENTS=false")
		const refused = "is a connection pooler"
		behind.fails(t, 1, refused, "migrate")
		behind.fails(t, 1, refused, "migrate", "--down", "--all")
		behind.fails(t, 1, refused, "dbshell", "--tenant", "tenant-0")
		behind.fails(t, 1, refused, "dbshell", "--tenant", "tenant-0", "--owner")
		require.Contains(t, behind.ok(t, "seed", "--accounts", "2"), "2 of the accounts were there already")
		behind.ok(t, "check")
		s := behind.serve(t)
		for number := range 4 {
			status, page := s.get(t, fmt.Sprintf("tenant-%d.localhost", number%2), "/subtasks/")
			require.Equal(t, http.StatusOK, status, page)
		}
		require.Zero(t, s.end(t))
		if w.strategy == config.SingleSchema {
			behind.ok(t, "seed", "--accounts", "4")
			require.Equal(t, 4, w.count(t, "select count(distinct account_id) from subtasks"))
			w.ok(t, "check")
		} else {
			behind.fails(t, 1, refused, "seed", "--accounts", "3")
		}
	})
}

func TestDBShell(t *testing.T) {
	t.Parallel()
	eachStrategy(t, func(t *testing.T, w *fixture) {
		w.ok(t, "migrate")
		w.ok(t, "seed", "--accounts", "2")
		const who = "select id || ' ' || current_user from accounts"
		psql := func(args ...string) string {
			return w.ok(t, append(append([]string{"dbshell"}, args...), "--", "-XAtc", who)...)
		}
		require.Equal(t, "2 "+pgtest.Runtime+"\n", psql("--tenant", "tenant-1"))
		require.Contains(t, psql("--tenant", "tenant-1", "--owner"), "2 "+pgtest.Owner+"\n")
		if w.strategy == config.SingleSchema {
			require.Empty(t, psql(), "no rows without a tenant")
			require.Len(t, strings.Split(strings.TrimSpace(psql("--owner")), "\n"), 2)
		}
		w.fails(t, 1, `no tenant is called "nobody"`, "dbshell", "--tenant", "nobody")

		r := w.run(t, "dbshell", "--", "-v", "ON_ERROR_STOP=1", "-c", "select nonsense")
		require.Equal(t, 1, r.code)
		require.Contains(t, r.err, `column "nonsense" does not exist`)
		require.NotContains(t, r.err, "tenanted:", "psql has said it")
		require.Equal(t, 2, w.run(t, "dbshell", "--", "-d", "no_such_database").code, "psql's exit code")
	})
}
