package cli_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tenanted/app/cli"
	"tenanted/app/config"
	"tenanted/scopes/pgtest"
)

func TestAStatementForAllTenants(t *testing.T) {
	t.Parallel()
	eachStrategy(t, func(t *testing.T, w *fixture) {
		w.ok(t, "migrate")
		w.ok(t, "seed", "--accounts", "3")
		w.ok(t, "tenants", "suspend", "tenant-2")
		lines := strings.Split(w.ok(t, "tenants", "exec", "--all", "/* of all */ select id, count(*) over () as n, null as \"Nothing\" from accounts"), "\n")
		require.Regexp(t, `^TENANT +ID +N +NOTHING$`, lines[0])
		require.Regexp(t, `^tenant-0 +1 +1 *$`, lines[1])
		require.Regexp(t, `^tenant-2 +3 +1 *$`, lines[3])
		require.Len(t, lines, 5)

		r := w.run(t, "tenants", "exec", "--all", "update projects set name = 'x'")
		require.Equal(t, 1, r.code)
		require.Contains(t, r.err, "tenant-1: ")
		require.Contains(t, r.err, "read-only transaction")
		require.Contains(t, r.err, "the statement failed for 3 of 3 tenants")

		require.Regexp(t, `^TENANT +ROWS\ntenant-1 +\d+\n$`, w.ok(t, "tenants", "exec", "--tenant", "2", "--tenant", "tenant-1", "--write", "update projects set name = 'x'"))
		require.Equal(t, 1, strings.Count(w.ok(t, "tenants", "log", "tenant-1"), "update projects set name = 'x'"))
		require.NotContains(t, w.ok(t, "tenants", "log", "tenant-0"), "exec")

		var results []struct {
			Slug  string
			Rows  []map[string]any
			Error string
		}
		query := "select count(*) filter (where name = 'x') > 0 as changed, 10 / (2 - account_id) as quotient from projects group by account_id"
		r = w.run(t, "tenants", "exec", "--all", "--jobs", "2", "--format", "json", query)
		require.Equal(t, 1, r.code, "tenant-1's quotient is none")
		require.NoError(t, json.Unmarshal([]byte(r.out), &results))
		require.Equal(t, []map[string]any{{"changed": false, "quotient": 10.0}}, results[0].Rows)
		require.Contains(t, results[1].Error, "division by zero")
		require.Equal(t, []map[string]any{{"changed": false, "quotient": -10.0}}, results[2].Rows)
	})
}

// However it is written, a statement reaches one tenant's rows, and only those that may be changed.
func TestAStatementThatReachesForMore(t *testing.T) {
	t.Parallel()
	w := newFixture(t, config.SingleSchema)
	w.ok(t, "migrate")
	w.ok(t, "seed", "--accounts", "2")
	exec := func(args ...string) result {
		return w.run(t, append([]string{"tenants", "exec", "--tenant", "tenant-0"}, args...)...)
	}
	require.Contains(t, exec("select count(*) from accounts where id = 2 or true").out, "tenant-0  1\n")
	for statement, problem := range map[string]string{
		"select set_config('transaction_read_only', 'off', true)": "must be set before",
		"commit":                            "",
		"rollback":                          "",
		"commit; delete from subtasks":      "multiple commands",
		"select 1; delete from subtasks":    "multiple commands",
		"delete from subtasks returning id": "read-only",
		"with d as (delete from subtasks returning 1) select count(*) from d": "read-only",
		"set role " + "test_owner":               "permission denied",
		"select * from control.tenants":          "permission denied",
		"select * from generate_series(1, 1001)": "more than 1000 rows",
		"select pg_sleep(5)":                     "too slow",
	} {
		r := exec("--timeout", "200ms", statement)
		require.Contains(t, r.err, problem, statement)
		require.Equal(t, problem != "", r.code != 0, "%s: %s", statement, r.err)
	}
	before := w.count(t, "select count(*) from subtasks")
	exec("--write", "delete from subtasks")
	require.Less(t, 0, w.count(t, "select count(*) from subtasks where account_id = 2"))
	require.Less(t, w.count(t, "select count(*) from subtasks"), before)
}

func TestAStatementFromAFile(t *testing.T) {
	t.Parallel()
	w := newFixture(t, config.MultipleSchemas)
	w.ok(t, "migrate")
	w.ok(t, "tenants", "create", "acme")
	block := "do $$ begin insert into projects (account_id, name) values (1000001, 'a;b'); update projects set name = name || 'c'; end $$;\n"
	require.NoError(t, os.WriteFile(filepath.Join(w.dir, "fix.sql"), []byte(block), 0o600))
	w.ok(t, "tenants", "exec", "--all", "--write", "--file", "fix.sql")
	var out, errs output
	code := cli.Run(t.Context(), []string{"tenants", "exec", "--all", "--file", "-"},
		cli.IO{Environ: w.environ, Dir: w.dir, In: strings.NewReader("select name from projects"), Out: &out, Err: &errs})
	require.Zero(t, code, errs.String())
	require.Equal(t, "TENANT  NAME\nacme    a;bc\n", out.String())
	w.fails(t, 2, "no such file", "tenants", "exec", "--all", "--file", "none.sql")
}

func TestMistakesInExec(t *testing.T) {
	t.Parallel()
	w := newFixture(t, config.SingleSchema)
	for want, args := range map[string]string{
		"name the tenants":           "select",
		"name the tenants: --tenant": "--all --tenant a select",
		"give one statement":         "--all select 1",
		"give one statement, as":     "--all",
		"give one statement, as an":  "--all select --file x",
		"--jobs 0 is below one":      "--all --jobs 0 select",
		"--timeout 0s must be above": "--all --timeout 0s select",
		"--format csv is unknown":    "--all --format csv select",
	} {
		w.fails(t, 2, want, append([]string{"tenants", "exec"}, strings.Fields(args)...)...)
	}
	w.fails(t, 2, "the statement is empty", "tenants", "exec", "--all", " ")
	w.ok(t, "migrate")
	w.fails(t, 1, `no tenant is called "nobody"`, "tenants", "exec", "--tenant", "nobody", "select 1")
	require.Empty(t, w.ok(t, "tenants", "exec", "--all", "select 1"), "of nobody")
}

// With the setting, each read across tenants is in the audit log, and none happens that cannot be written there.
func TestReadsAcrossTenantsAreLogged(t *testing.T) {
	t.Parallel()
	w := newFixture(t, config.SingleSchema, "AUDIT_CROSS_TENANT_READS=true")
	w.ok(t, "migrate")
	w.ok(t, "seed", "--accounts", "1")
	s := w.serve(t)
	for _, path := range []string{"/subtasks/", "/subtasks.json"} {
		code, _ := s.get(t, "localhost", path)
		require.Equal(t, 200, code)
	}
	s.get(t, "tenant-0.localhost", "/subtasks/")
	s.get(t, "localhost", "/tenants/")
	require.Regexp(t, `(?s)^WHEN.*@.* read all tenants +done +the list of subtasks over all tenants, on the bare domain; request \w+\n.*read all tenants.*create`,
		w.ok(t, "tenants", "log"))
	require.Equal(t, 2, w.count(t, "select count(*) from control.audit_log where action = 'read all tenants'"))
	w.db.Exec(t, pgtest.Owner, "drop table control.audit_log")
	code, body := s.get(t, "localhost", "/subtasks/")
	require.Equal(t, 500, code)
	require.NotContains(t, body, "audit")
	require.Zero(t, s.end(t))
}
