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

func TestMigrateOnePlacement(t *testing.T) {
	t.Parallel()
	w := newFixture(t, config.MultipleDb)
	w.ok(t, "migrate")
	w.ok(t, "seed", "--accounts", "3")
	w.ok(t, "migrate", "--down", "--all")
	status := func() string { return w.ok(t, "migrate", "--status") }
	for number, args := range [][]string{{"--tenant", "tenant-0"}, {"--database", w.db.Name + "_tenant-1"}, {"--database", "tenant-2"}} {
		placement := fmt.Sprintf("%s_tenant-%d.public", w.db.Name, number)
		require.Contains(t, w.ok(t, append([]string{"migrate"}, args...)...), fmt.Sprintf("%s: version %d, was %d", placement, migrations.Tenant.Newest(), migrations.Tenant.Newest()-1))
		require.Equal(t, 2-number, strings.Count(status(), "outdated"))
	}
	w.fails(t, 1, `no tenant is called "tenant-3"`, "migrate", "--tenant", "tenant-3")
	w.fails(t, 1, `no placement is in a database "elsewhere"`, "migrate", "--database", "elsewhere")
	require.Contains(t, w.ok(t, "migrate", "--status", "--tenant", "tenant-1"), "tenant-1")
	require.NotContains(t, w.ok(t, "migrate", "--status", "--tenant", "tenant-1"), "tenant-2")
}

// One database that is away is that tenant's trouble.
func TestMigrateGoesPastADatabaseThatIsAway(t *testing.T) {
	t.Parallel()
	w := newFixture(t, config.MultipleDb)
	w.ok(t, "migrate")
	w.ok(t, "seed", "--accounts", "3")
	w.ok(t, "migrate", "--down", "--database", "tenant-2")
	away := w.db.Name + "_tenant-1"
	w.db.Exec(t, pgtest.Superuser, fmt.Sprintf("alter database %q allow_connections false", away))
	t.Cleanup(func() { w.db.Exec(t, pgtest.Superuser, fmt.Sprintf("alter database %q allow_connections true", away)) })

	r := w.run(t, "migrate", "--status")
	require.Equal(t, 1, r.code)
	require.Regexp(t, `tenant-0 .*current\n.*tenant-1 .*unavailable\n.*tenant-2 .*outdated`, r.out)
	require.Contains(t, r.err, "not currently accepting connections")
	r = w.run(t, "migrate")
	require.Equal(t, 1, r.code)
	require.Contains(t, r.out, away+".public: failed")
	require.Contains(t, r.err, "not currently accepting connections")
	require.Regexp(t, `tenant-0 .*current\n.*tenant-1 .*unavailable\n.*tenant-2 .*current`, w.run(t, "migrate", "--status").out)
	w.doesNotServe(t, "tenant-1", "not currently accepting connections")
	require.Equal(t, 3, w.run(t, "check").code)
}

func TestMigrateDownAndUpAgain(t *testing.T) {
	t.Parallel()
	eachStrategy(t, func(t *testing.T, w *fixture) {
		w.ok(t, "migrate")
		w.ok(t, "seed", "--accounts", "2")
		down := []string{"migrate", "--down", "--tenant", "tenant-1"}
		if w.strategy == config.SingleSchema {
			w.fails(t, 2, "would drop every tenant's tables", down...)
			down = []string{"migrate", "--down", "--all"}
		}
		for version := migrations.Tenant.Newest(); version > 0; version-- {
			require.Contains(t, w.ok(t, down...), fmt.Sprintf("version %d, was %d", version-1, version))
			require.Contains(t, w.ok(t, "migrate", "--status"), "outdated")
		}
		w.doesNotServe(t, "tenant-1", "is outdated in schema")

		w.ok(t, "migrate")
		out := w.ok(t, "seed", "--accounts", "2")
		if w.strategy == config.SingleSchema {
			require.NotContains(t, out, "were there already", "both were in the tables that were dropped")
		} else {
			require.Contains(t, out, "1 of the accounts were there already")
		}
		w.ok(t, "check")
	})
}

func TestMigrateNamesTheRuntimeRoleThatItMayNotMake(t *testing.T) {
	t.Parallel()
	w := newFixture(t, config.SingleSchema)
	w.with("PGUSER=nobody_at_all").fails(t, 1, `as a superuser, run: create role "nobody_at_all" login password '...'`, "migrate")
}

func TestServeRefusesARoleThatIsNotBound(t *testing.T) {
	t.Parallel()
	w := newFixture(t, config.SingleSchema)
	w.ok(t, "migrate")
	for attribute, fix := range map[string]string{"superuser": "let the program connect as one of its own", "bypassrls": "nobypassrls"} {
		role := strings.ReplaceAll(w.db.Name, "test_", attribute+"_")
		w.db.Exec(t, pgtest.Superuser, "create role "+role+" login "+attribute)
		t.Cleanup(func() { w.db.Exec(t, pgtest.Superuser, "drop owned by "+role+"; drop role "+role) })
		strong := w.with("PGUSER=" + role)
		strong.ok(t, "migrate")
		strong.fails(t, 1, fix, "serve", "--addr", "localhost:0")
		require.Equal(t, 1, strong.run(t, "check").code)
	}
}
