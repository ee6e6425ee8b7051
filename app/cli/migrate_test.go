package cli_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"tenanted/app/config"
	"tenanted/migrations"
	"tenanted/scopes/audit"
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

// altered is the first table that the newest migration of tenants' tables alters.
const altered = "sessions"

// A dry run says what would be done, and does nothing. A canary that fails keeps the others as they are.
func TestMigrateInSteps(t *testing.T) {
	t.Parallel()
	w := newFixture(t, config.MultipleSchemas)
	w.ok(t, "migrate")
	w.ok(t, "seed", "--accounts", "3")
	newest := migrations.Tenant.Newest()
	up := func(schema string) string {
		return fmt.Sprintf("%s.%s: version %d would be %d, in ", w.db.Name, schema, newest-1, newest)
	}
	w.ok(t, "migrate", "--down", "--all")
	for range 2 {
		out := w.ok(t, "migrate", "--dry-run")
		for _, slug := range []string{"tenant-0", "tenant-1", "tenant-2"} {
			require.Contains(t, out, up(slug))
		}
		require.Contains(t, out, altered+" (AccessExclusiveLock)")
	}
	require.Equal(t, 3, strings.Count(w.ok(t, "migrate", "--status"), "outdated"))

	w.db.Exec(t, pgtest.Owner, `alter table "tenant-1".`+altered+` rename to other`)
	r := w.run(t, "migrate", "--dry-run")
	require.Equal(t, 1, r.code)
	require.Contains(t, r.out, up("tenant-0"))
	require.Contains(t, r.out, ".tenant-1: failed")
	require.Contains(t, r.err, `relation "`+altered+`" does not exist`)

	r = w.run(t, "migrate", "--canary", "tenant-1")
	require.Equal(t, 1, r.code)
	require.Equal(t, 2, strings.Count(r.out, ": not begun"))
	require.Equal(t, 3, strings.Count(w.run(t, "migrate", "--status").out, "outdated"))

	r = w.run(t, "migrate", "--jobs", "1")
	require.Equal(t, 1, r.code)
	require.Equal(t, 1, strings.Count(w.run(t, "migrate", "--status").out, "outdated"), "one failure stops nobody else")
	require.Equal(t, 1, w.count(t, "select count(*) from control.migration_log where schema = 'tenant-1' and error like '%does not exist%' and operator like '%@%'")-1)
	require.Equal(t, 1, w.count(t, fmt.Sprintf("select count(*) from control.migration_log where schema = 'tenant-2' and from_version = %d and to_version = %d and ended_at is not null", newest-1, newest)))

	w.db.Exec(t, pgtest.Owner, `alter table "tenant-1".other rename to `+altered)
	require.Contains(t, w.ok(t, "migrate", "--canary", "1"), fmt.Sprintf(".tenant-1: version %d, was %d", newest, newest-1))
	require.Empty(t, w.check(t, 0).ids(audit.Defect))
	for want, args := range map[string]string{
		"--jobs 0 is below one": "--jobs 0", "--lock-timeout 0s must be": "--lock-timeout 0s", "go with neither": "--dry-run --status", "--canary -1": "--canary -1",
	} {
		w.fails(t, 2, want, append([]string{"migrate"}, strings.Fields(args)...)...)
	}
	w.fails(t, 1, `--canary: no tenant is called "nobody"`, "migrate", "--canary", "nobody")
}

// A tenant whose rows somebody has locked does not make the others wait, and is tried again.
func TestALockedTenantIsMigratedLater(t *testing.T) {
	t.Parallel()
	w := newFixture(t, config.MultipleSchemas)
	w.ok(t, "migrate")
	w.ok(t, "seed", "--accounts", "2")
	w.ok(t, "migrate", "--down", "--all")
	tx, err := w.db.Connect(t, pgtest.Owner).Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), `select from "tenant-0".`+altered)
	require.NoError(t, err)
	watcher := w.db.Connect(t, pgtest.Owner)
	var holder sync.WaitGroup
	holder.Go(func() {
		defer tx.Rollback(context.Background())
		for _, want := range []bool{true, false} { // until one try has waited, and has given up
			for waits := !want; waits != want && t.Context().Err() == nil; {
				_ = watcher.QueryRow(t.Context(), `select exists (select from pg_locks where relation = '"tenant-0".`+altered+`'::regclass and not granted)`).Scan(&waits)
			}
		}
	})
	w.ok(t, "migrate", "--lock-timeout", "200ms")
	holder.Wait()
	require.Less(t, 1, w.count(t, "select tries from control.migration_log where schema = 'tenant-0' order by id desc limit 1"))
	require.Equal(t, 1, w.count(t, "select tries from control.migration_log where schema = 'tenant-1' order by id desc limit 1"))
}
