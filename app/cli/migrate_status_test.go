package cli_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"tenanted/app/config"
	"tenanted/migrations"
	"tenanted/scopes/pgtest"
)

// shownStatus is what migrate --status --format json prints.
type shownStatus struct {
	Versions []struct{ Server, Database, Schema, Set, State string }
	Drift    []struct {
		Server, Database, Schema, Error string
		Differences                     []struct{ Object, Problem, SQL string }
	}
}

func (w *fixture) status(t *testing.T, code int, args ...string) (s shownStatus) {
	t.Helper()
	r := w.run(t, append([]string{"migrate", "--status", "--format", "json"}, args...)...)
	require.Equal(t, code, r.code, r.err)
	require.NoError(t, json.Unmarshal([]byte(r.out), &s), r.out)
	return s
}

// What somebody changes by hand in one tenant's tables is found there and nowhere else, and mended by the SQL that is shown.
func TestStatusFindsDrift(t *testing.T) {
	t.Parallel()
	eachStrategy(t, func(t *testing.T, w *fixture) {
		w.ok(t, "migrate")
		w.ok(t, "seed", "--accounts", "3")
		require.Empty(t, w.status(t, 0).Drift)

		database, schema := w.db.Name, "public"
		switch {
		case w.hasSchemas():
			schema = "tenant-1"
		case w.strategy == config.MultipleDb:
			database += "_tenant-1"
		}
		conn := w.connectTo(t, database)
		w.exec(t, conn, fmt.Sprintf(`set search_path to %q; drop index subtasks_name; alter policy tenant on tasks using (true);
			grant truncate on tasks to test_runtime; alter table projects disable row level security; reset search_path`, schema))
		w.exec(t, w.db.Connect(t, pgtest.Owner), "alter table control.moves drop began_at; create index more on control.tenants (name)")
		s := w.status(t, 1)
		require.Len(t, s.Drift, 2)
		require.Equal(t, "control", s.Drift[0].Schema)
		require.Equal(t, []string{database, schema}, []string{s.Drift[1].Database, s.Drift[1].Schema})
		var found []string
		for _, d := range s.Drift[1].Differences {
			found = append(found, d.Object+" "+d.Problem)
		}
		require.Len(t, found, 4, "%v", found)
		require.Contains(t, found, "index subtasks_name on subtasks is missing")
		require.Contains(t, found, "table projects has row level security false, not true")
		r := w.run(t, "migrate", "--status")
		require.Equal(t, 1, r.code)
		require.Contains(t, r.err, "drift: 2 schemas are not as the migrations make them")
		require.Contains(t, r.out, fmt.Sprintf("%s.%s: index subtasks_name on subtasks is missing\n    CREATE INDEX CONCURRENTLY subtasks_name ON %q.subtasks", database, schema, schema))
		for i, on := range []*pgx.Conn{w.db.Connect(t, pgtest.Owner), conn} {
			for _, d := range s.Drift[i].Differences {
				require.NotEmpty(t, d.SQL)
				w.exec(t, on, d.SQL)
			}
		}
		require.Empty(t, w.status(t, 0).Drift)
		w.ok(t, "check")
		w.fails(t, 2, "goes with --status", "migrate", "--format", "json")
	})
}

// Placements at an older version are compared with that one.
func TestStatusOfOlderVersions(t *testing.T) {
	t.Parallel()
	eachStrategy(t, func(t *testing.T, w *fixture) {
		w.ok(t, "migrate")
		w.ok(t, "seed", "--accounts", "3")
		for range migrations.Tenant.Newest() {
			w.ok(t, "migrate", "--down", "--all")
			require.Empty(t, w.status(t, 0).Drift)
		}
	})
}

func (w *fixture) connectTo(t *testing.T, database string) *pgx.Conn {
	t.Helper()
	to := w.db.Config(pgtest.Owner)
	to.Database = database
	conn, err := pgx.ConnectConfig(t.Context(), to)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(t.Context()) })
	return conn
}

func (w *fixture) exec(t *testing.T, conn *pgx.Conn, sql string) {
	t.Helper()
	_, err := conn.Exec(t.Context(), sql)
	require.NoError(t, err, sql)
}
