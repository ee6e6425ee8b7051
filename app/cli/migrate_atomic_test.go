package cli_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tenanted/app/config"
	"tenanted/migrations"
	"tenanted/scopes/pgtest"
)

// All placements of all sets are brought up, or none.
func TestMigrateAtomic(t *testing.T) {
	t.Parallel()
	eachStrategy(t, func(t *testing.T, w *fixture) {
		w.ok(t, "migrate")
		w.ok(t, "seed", "--accounts", "3")
		w.ok(t, "migrate", "--down", "--all")
		outdated := strings.Count(w.ok(t, "migrate", "--status"), "outdated")
		require.Positive(t, outdated)

		conn, schema := w.db.Connect(t, pgtest.Owner), "public"
		switch {
		case w.strategy == config.MultipleDb:
			conn = w.connectTo(t, w.db.Name+"_tenant-1")
		case w.hasSchemas():
			schema = "tenant-1"
		}
		newest := migrations.Tenant.Newest()
		w.exec(t, conn, fmt.Sprintf(`alter table %q.tenant_version add constraint never check (version_id <> %d)`, schema, newest))
		r := w.run(t, "migrate", "--atomic")
		require.Equal(t, 1, r.code)
		require.Contains(t, r.err, `violates check constraint "never"`)
		require.Equal(t, 1, strings.Count(r.err, "\n"), r.err)
		require.Equal(t, outdated, strings.Count(r.out, ": failed")+strings.Count(r.out, ": rolled back"), r.out)
		w.exec(t, conn, fmt.Sprintf(`alter table %q.tenant_version drop constraint never`, schema))
		require.Equal(t, outdated, strings.Count(w.ok(t, "migrate", "--status"), "outdated"))
		require.Contains(t, w.ok(t, "tenants", "list"), fmt.Sprintf("%d, outdated", newest-1))

		require.Equal(t, outdated, strings.Count(w.ok(t, "migrate", "--atomic"), ", was "))
		require.NotContains(t, w.ok(t, "migrate", "--status"), "outdated")
		require.NotContains(t, w.ok(t, "migrate", "--atomic"), ", was ")
		require.NotContains(t, w.ok(t, "tenants", "list"), "outdated")
		w.ok(t, "check")
		w.fails(t, 2, "--atomic goes without", "migrate", "--atomic", "--dry-run")
	})
}

// Killed with kill -9 at whatever moment, migrate --atomic leaves all or none, once it is run again.
func TestAKilledAtomicMigration(t *testing.T) {
	t.Parallel()
	w := newFixture(t, config.MultipleDb, "MULTIDB_COUNT=5")
	w.ok(t, "migrate")
	w.ok(t, "seed", "--accounts", "5")
	prepared := fmt.Sprintf("select count(*) from pg_prepared_xacts where starts_with(database, '%s_')", w.db.Name)
	const committed = "select count(*) from control.atomic_migrations where decision = 'commit'"
	for round := range 4 {
		w.ok(t, "migrate", "--down", "--all")
		before := w.count(t, committed)
		w.kill(t, func() bool {
			return w.count(t, prepared) > round || w.count(t, committed) > before && round%2 == 0
		}, "migrate", "--atomic")
		if w.count(t, prepared) > 0 {
			r := w.run(t, "migrate", "--status", "--tenant", "tenant-1")
			require.Contains(t, r.out+r.err, "left a transaction prepared at")
			require.Equal(t, 1, r.code)
		}
		w.ok(t, "migrate", "--atomic")
		require.NotContains(t, w.ok(t, "migrate", "--status"), "outdated")
		require.Zero(t, w.count(t, prepared))
		w.ok(t, "check")
	}
}

// A server that cannot prepare transactions is named, and nothing is begun.
func TestMigrateAtomicIsRefused(t *testing.T) {
	t.Parallel()
	eu := startOtherWith(t, map[string]string{"max_prepared_transactions": "0"})
	w := newFixture(t, config.Mixed, eu.variables("EU")...)
	w.ok(t, "migrate")
	w.ok(t, "seed", "--accounts", "2")
	w.ok(t, "tenants", "create", "acme", "--server", "eu")
	w.ok(t, "migrate", "--atomic") // nothing to do
	w.ok(t, "migrate", "--down", "--all")
	w.fails(t, 1, `all or none cannot be had: server "eu" has max_prepared_transactions = 0`, "migrate", "--atomic")
	require.Contains(t, w.ok(t, "migrate", "--status"), "outdated")
	w.ok(t, "migrate")
	w.ok(t, "migrate", "--down", "--tenant", "acme")
	w.ok(t, "migrate", "--atomic") // in one database
	w.ok(t, "check")
}
