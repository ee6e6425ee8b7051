package cli_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tenanted/app/cli"
	"tenanted/app/config"
	"tenanted/scopes/audit"
	"tenanted/scopes/pgtest"
)

// others is a checksum of all rows of a tenant.
func (w *fixture) others(t *testing.T, slug string) string {
	return w.ok(t, "tenants", "exec", "--tenant", slug,
		"select count(*), md5(string_agg(concat_ws(',', s.id, s.name, s.complete, s.details, t.id, t.name, p.id, p.name), ';' order by s.id)) from subtasks s join tasks t on t.id = s.task_id join projects p on p.id = t.project_id")
}

func TestATenantIsDroppedWhileServing(t *testing.T) {
	t.Parallel()
	eachStrategy(t, func(t *testing.T, w *fixture) {
		w.ok(t, "migrate")
		w.ok(t, "seed", "--accounts", "3")
		w.ok(t, "tenants", "domains", "add", "tenant-1", "one.example.org")
		before := w.others(t, "tenant-0") + w.others(t, "tenant-2")
		s := w.serve(t)
		s.becomes(t, "tenant-1", 200)
		require.Contains(t, w.ok(t, "tenants", "drop", "tenant-1", "--dry-run"), "would be removed:")
		r := w.run(t, "tenants", "drop", "tenant-1")
		require.Equal(t, 2, r.code)
		require.Contains(t, r.err, "the standard input has none")
		s.becomes(t, "tenant-1", 200)

		var report struct {
			Slug    string
			Rows    map[string]int `json:"rows_removed"`
			Removed string
			Remains []string
		}
		r = w.run(t, "tenants", "drop", "tenant-1", "--yes", "--no-export", "--format", "json")
		if w.strategy == config.MultipleDb { // the server's pool keeps sessions, which the owner may not end
			require.Equal(t, 1, r.code, r.err)
			require.Contains(t, r.err, "as a superuser, run: drop database if exists")
			s.becomes(t, "tenant-1", 503)
			require.Empty(t, w.check(t, 0).ids(audit.Defect))
			w.db.Exec(t, pgtest.Superuser, fmt.Sprintf(`drop database if exists "%s_tenant-1" with (force)`, w.db.Name))
			r = w.run(t, "tenants", "drop", "tenant-1", "--yes", "--format", "json")
		}
		require.Zero(t, r.code, r.err)
		require.NoError(t, json.Unmarshal([]byte(r.out), &report))
		require.Equal(t, "tenant-1", report.Slug)
		require.Len(t, report.Remains, 3)
		switch w.strategy {
		case config.SingleSchema:
			require.Empty(t, report.Removed)
			require.Zero(t, w.count(t, "select count(*) from subtasks where account_id = 2"))
			require.Zero(t, w.count(t, "select count(*) from accounts where id = 2"))
		case config.MultipleSchemas:
			require.Equal(t, "schema tenant-1 of database "+w.db.Name, report.Removed)
			require.Zero(t, w.count(t, "select count(*) from pg_namespace where nspname = 'tenant-1'"))
		case config.MultipleDb:
			require.Zero(t, w.count(t, fmt.Sprintf("select count(*) from pg_database where datname = '%s_tenant-1'", w.db.Name)))
		}
		if w.strategy != config.MultipleDb {
			require.Positive(t, report.Rows["subtasks"])
		}
		s.becomes(t, "tenant-1", 404)
		require.Equal(t, before, w.others(t, "tenant-0")+w.others(t, "tenant-2"))
		require.Zero(t, w.count(t, "select count(*) from control.domains"))
		require.Contains(t, w.ok(t, "tenants", "log", "tenant-1"), "drop")
		require.Empty(t, w.check(t, 0).ids(audit.Defect))
		w.ok(t, "tenants", "create", "tenant-1")
		s.becomes(t, "tenant-1", 200)
		require.Zero(t, s.end(t))
	})
}

// What was dropped is in the export that is kept, and comes back from it.
func TestADroppedTenantComesBackFromItsExport(t *testing.T) {
	t.Parallel()
	eachStrategy(t, func(t *testing.T, w *fixture) {
		w.ok(t, "migrate")
		w.ok(t, "seed", "--accounts", "2")
		before := w.others(t, "tenant-1")
		require.NoError(t, os.WriteFile(filepath.Join(w.dir, "taken"), nil, 0o600))
		w.fails(t, 1, "taken exists: choose another name", "tenants", "drop", "tenant-1", "--yes", "--export", "taken")
		w.fails(t, 1, "none/x.tar.zst.partial: no such file", "tenants", "drop", "tenant-1", "--yes", "--export", "none/x.tar.zst")
		w.ok(t, "tenants", "exec", "--tenant", "tenant-1", "select 1")
		require.Regexp(t, `kept: (tenant-1-2-\d+-\d+\.tar\.zst)\n`, w.ok(t, "tenants", "drop", "tenant-1", "--yes"))
		files, err := filepath.Glob(filepath.Join(w.dir, "tenant-1-2-*.tar.zst"))
		require.NoError(t, err)
		require.Len(t, files, 1)
		w.ok(t, "tenants", "import", files[0])
		w.ok(t, "tenants", "export", "tenant-1", "-o", "again.tar.zst")
		require.Equal(t, strings.Split(before, "\n")[1], strings.Split(w.others(t, "tenant-1"), "\n")[1])
	})
}

func TestDropAsksForTheSlug(t *testing.T) {
	t.Parallel()
	w := newFixture(t, config.SingleSchema)
	w.ok(t, "migrate")
	w.ok(t, "tenants", "create", "acme")
	type2 := func(text string) (int, string) {
		var out, errs output
		code := cli.Run(t.Context(), []string{"tenants", "drop", "1000001", "--no-export"},
			cli.IO{Environ: w.environ, Dir: w.dir, In: strings.NewReader(text), Out: &out, Err: &errs})
		return code, out.String() + errs.String()
	}
	for _, typed := range []string{"yes\n", "acm\n", "1000001\n", "\n", ""} {
		code, text := type2(typed)
		require.Equal(t, 2, code, text)
		require.Contains(t, text, "nothing was changed")
	}
	require.Equal(t, 1, w.count(t, "select count(*) from control.tenants where state = 'active'"))
	code, text := type2("acme\n")
	require.Zero(t, code, text)
	require.Contains(t, text, "removed from accounts: 1 rows")
	w.fails(t, 1, `no tenant is called "acme"`, "tenants", "drop", "acme", "--yes")
	w.fails(t, 2, "cannot be used together", "tenants", "drop", "acme", "--no-export", "--export", "x")
	w.ok(t, "tenants", "create", "bolt")
	require.Contains(t, w.ok(t, "tenants", "show", "bolt"), "1000002", "an id is given once")
}

// A drop that is killed at any moment is completed by the same command, and what a killed create left can be dropped.
func TestAKilledDropIsCompleted(t *testing.T) {
	t.Parallel()
	eachUnmixed(t, func(t *testing.T, w *fixture) {
		w.ok(t, "migrate")
		w.ok(t, "seed", "--accounts", "1")
		before := w.others(t, "tenant-0")
		inTime := 0
		killed(4, func(i int) {
			slug := fmt.Sprintf("t%d", i)
			wait := randomly(90 * time.Millisecond)
			moment := time.Now().Add(time.Hour)
			entered := func() bool {
				if w.count(t, "select count(*) from control.tenants where slug = '"+slug+"'") > 0 && moment.After(time.Now().Add(time.Minute)) {
					moment = time.Now().Add(wait)
				}
				return time.Now().After(moment)
			}
			w.kill(t, entered, "tenants", "create", slug)
			var dropping time.Time // killed some time after it began, or after there was nothing left to do
			w.kill(t, func() bool {
				if dropping.IsZero() && w.count(t, "select count(*) from control.tenants where slug = '"+slug+"' and state <> 'dropping'") == 0 {
					dropping = time.Now().Add(wait)
				}
				return !dropping.IsZero() && time.Now().After(dropping)
			}, "tenants", "drop", slug, "--yes", "--no-export")
			if w.count(t, "select count(*) from control.tenants where slug = '"+slug+"'") > 0 {
				inTime++
				if r := w.run(t, "tenants", "drop", slug, "--yes", "--no-export"); r.code != 0 { // the killed one's last statement has come through meanwhile
					require.Contains(t, r.err, "no tenant is called")
				}
			}
			require.Zero(t, w.count(t, "select count(*) from control.tenants where slug = '"+slug+"'"))
		})
		t.Log("killed in time:", inTime)
		require.Zero(t, w.count(t, "select count(*) from pg_database where datname ~ '^"+w.db.Name+`_t\d'`))
		require.Zero(t, w.count(t, `select count(*) from pg_namespace where nspname ~ '^t[0-9]'`))
		require.Equal(t, before, w.others(t, "tenant-0"))
		require.Empty(t, w.check(t, 0).ids(audit.Defect))
	})
}
