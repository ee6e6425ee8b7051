package migrations_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/stretchr/testify/require"

	"tenanted/migrations"
	"tenanted/models"
	"tenanted/scopes"
	"tenanted/scopes/pgtest"
)

func sets() []migrations.Set {
	return []migrations.Set{migrations.Tenant, migrations.Shared, migrations.Control, migrations.Placement}
}

func TestEveryFileIsEmbeddedAndVersionsHaveNoGaps(t *testing.T) {
	t.Parallel()
	for _, set := range sets() {
		files, err := filepath.Glob(string(set) + "/*")
		require.NoError(t, err)
		require.NotEmpty(t, files)
		for i, file := range files {
			version, err := goose.NumericComponent(file)
			require.NoError(t, err, "%s is not named like a migration", file)
			require.EqualValues(t, i+1, version, file)
		}
		require.EqualValues(t, len(files), set.Newest(), "the last file of %s is not embedded", set)
	}
}

// Every file must parse and have a way back; goose takes one without either for an empty migration.
func TestEveryFileHasUpAndDown(t *testing.T) {
	t.Parallel()
	for _, set := range sets() {
		require.NoError(t, fs.WalkDir(os.DirFS(string(set)), ".", func(name string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			content, err := os.ReadFile(filepath.Join(string(set), name))
			require.Contains(t, string(content), "-- +goose Up\n", name)
			require.Contains(t, string(content), "-- +goose Down\n", name)
			require.NotContains(t, string(content), "NO TRANSACTION", "%s could be left half done", name)
			return err
		}))
	}
}

func TestUpDownUpLeavesTheSameSchema(t *testing.T) {
	t.Parallel()
	for _, set := range sets() {
		db, runner := empty(t)
		schema := map[migrations.Set]string{migrations.Tenant: "somewhere", migrations.Shared: "somewhere", migrations.Control: "control", migrations.Placement: "control"}[set]
		to := target(db, set, schema)
		if set == migrations.Shared {
			up(t, runner, target(db, migrations.Tenant, schema))
		}
		before := describe(t, db, schema)
		up(t, runner, to)
		first := describe(t, db, schema)
		require.NotEqual(t, before, first)

		for version := set.Newest(); version > 0; version-- {
			result := runner.Down(t.Context(), to)
			require.NoError(t, result.Err)
			require.Equal(t, []int64{version, version - 1}, []int64{result.From, result.To})
		}
		for _, line := range describe(t, db, schema) {
			if !slices.Contains(before, line) {
				require.Contains(t, line, string(set)+"_version", "the way down leaves this behind")
			}
		}
		require.NoError(t, runner.Down(t.Context(), to).Err, "there is nothing below version 0")

		up(t, runner, to)
		require.Equal(t, first, describe(t, db, schema))
	}
}

// describe lists what a schema has: columns, constraints, indexes, policies, functions, and all rights.
func describe(t *testing.T, db *pgtest.DB, schema string) []string {
	return query(t, db, pgtest.Owner, `
		select format('column %s.%s %s %s %s %s', table_name, column_name, data_type, is_nullable, column_default, identity_generation)
			from information_schema.columns where table_schema = $1
		union all select format('constraint %s %s %s', conrelid::regclass, conname, pg_get_constraintdef(oid))
			from pg_constraint where connamespace = to_regnamespace($1)
		union all select 'index ' || indexdef from pg_indexes where schemaname = $1
		union all select format('policy %s %s %s %s %s', tablename, policyname, cmd, qual, with_check) from pg_policies where schemaname = $1
		union all select format('table %s rls %s acl %s', relname, relrowsecurity, relacl)
			from pg_class where relnamespace = to_regnamespace($1) and relkind = 'r'
		union all select format('function %s acl %s', pg_get_functiondef(oid), proacl) from pg_proc where pronamespace = to_regnamespace($1)
		order by 1`, schema)
}

func TestMigrationsMakeTheModelsTables(t *testing.T) {
	t.Parallel()
	db, runner := empty(t)
	up(t, runner, target(db, migrations.Tenant, "public"))
	tables := query(t, db, pgtest.Owner, `select tablename::text from pg_tables where schemaname = 'public' and tablename <> 'tenant_version'`)
	require.ElementsMatch(t, []string{"accounts", "users", "projects", "tasks", "subtasks", "sessions", "password_resets", "api_tokens", "sign_in_attempts", "request_keys"}, tables)
	require.Len(t, models.All(), len(tables))
}

func TestRuntimeRoleHasExactlyItsRights(t *testing.T) {
	t.Parallel()
	db, runner := empty(t)
	up(t, runner, target(db, migrations.Control, "control"), target(db, migrations.Tenant, "tenant-0"))
	rights := query(t, db, pgtest.Runtime, `
		select format('%s.%s: %s', table_schema, table_name, string_agg(privilege_type, ' ' order by privilege_type))
		from information_schema.table_privileges where table_schema in ('control', 'tenant-0') and grantee in (current_user, 'PUBLIC')
		group by table_schema, table_name order by 1`)
	const all = "DELETE INSERT SELECT UPDATE"
	require.Equal(t, []string{
		"control.control_version: SELECT",
		"tenant-0.accounts: " + all, "tenant-0.api_tokens: " + all, "tenant-0.password_resets: " + all, "tenant-0.projects: " + all, "tenant-0.request_keys: " + all,
		"tenant-0.sessions: " + all, "tenant-0.sign_in_attempts: " + all, "tenant-0.subtasks: " + all, "tenant-0.tasks: " + all, "tenant-0.tenant_version: SELECT", "tenant-0.users: " + all,
	}, rights)
	for sql, want := range map[string]string{
		`truncate "tenant-0".subtasks`:                            "permission denied",
		`create table "tenant-0".mine ()`:                         "permission denied",
		`create table public.mine ()`:                             "permission denied",
		`create temporary table mine ()`:                          "permission denied",
		`create schema mine`:                                      "permission denied",
		`select * from control.tenants`:                           "permission denied",
		`select * from control.deployment`:                        "permission denied",
		`select * from control.operators`:                         "permission denied",
		`insert into control.operator_sessions values (null)`:     "permission denied",
		`select * from control.sign_in_links`:                     "permission denied",
		`insert into "tenant-0".tenant_version values (99,9)`:     "permission denied",
		`alter table "tenant-0".tasks disable row level security`: "must be owner",
	} {
		_, err := db.Connect(t, pgtest.Runtime).Exec(t.Context(), sql)
		require.ErrorContains(t, err, want, sql)
	}
}

func TestGrantsTakeBackWhatWasTooMuch(t *testing.T) {
	t.Parallel()
	db, runner := empty(t)
	to := target(db, migrations.Tenant, "public")
	up(t, runner, to)
	db.Exec(t, pgtest.Owner, "grant truncate on subtasks to "+pgtest.Runtime+"; grant select on tasks to public")
	up(t, runner, to)
	require.Empty(t, query(t, db, pgtest.Owner, `
		select privilege_type::text from information_schema.table_privileges
		where table_schema = 'public' and (privilege_type = 'TRUNCATE' and grantee = $1 or grantee = 'PUBLIC')`, pgtest.Runtime))
}

func TestWithoutATenantTheRuntimeRoleSeesNothing(t *testing.T) {
	t.Parallel()
	db, runner := empty(t)
	up(t, runner, target(db, migrations.Tenant, "public"))
	db.Exec(t, pgtest.Owner, "insert into accounts (id) values (1)")
	require.Equal(t, []string{"0"}, query(t, db, pgtest.Runtime, "select count(*)::text from accounts"))
	require.Equal(t, []string{"1"}, query(t, db, pgtest.Owner, "select count(*)::text from accounts"))
}

// The advisory lock is blocking: of many who start at once, all succeed, and the tables are made once.
func TestManyAtOnceMigrateOneSchema(t *testing.T) {
	t.Parallel()
	db, runner := empty(t)
	to := target(db, migrations.Tenant, "tenant-0")
	results := migrateAtOnce(t, runner, to, to, to, to, to, to)
	made := 0
	for _, result := range results {
		if result.From == 0 {
			made++
		}
		require.Equal(t, migrations.Tenant.Newest(), result.To)
	}
	require.Equal(t, 1, made)
}

// The sets of one database change rights of the same things: of schema public, for one.
func TestTheSetsOfOneDatabaseAreGrantedAtOnce(t *testing.T) {
	t.Parallel()
	db, runner := empty(t)
	both := []migrations.Target{target(db, migrations.Placement, "control"), target(db, migrations.Tenant, "public")}
	for range 20 {
		targets := slices.Concat(both, both)
		require.NoError(t, atOnce(t, runner, nil, targets...))
	}
}

func TestFleetMigratesInParallel(t *testing.T) {
	t.Parallel()
	db, runner := empty(t)
	var targets []migrations.Target
	for _, schema := range []string{"tenant-0", "tenant-1", "tenant-2", "tenant-3", `odd "name"`} {
		targets = append(targets, target(db, migrations.Tenant, schema))
	}
	targets = append(targets, target(db, migrations.Control, "control"))
	migrateAtOnce(t, runner, targets...)
	versions, err := migrations.Versions(t.Context(), db.Connect(t, pgtest.Runtime), scopes.Placement{Database: db.Name})
	require.NoError(t, err)
	require.Len(t, versions, len(targets))
}

// atOnce brings targets up at once, and returns all errors, joined. done, if not nil, gets each result with its number.
func atOnce(t *testing.T, runner migrations.Runner, done func(int, migrations.Result), targets ...migrations.Target) error {
	errs := make([]error, len(targets))
	var group sync.WaitGroup
	for i, to := range targets {
		group.Go(func() {
			result := runner.Up(t.Context(), to)
			errs[i] = result.Err
			if done != nil {
				done(i, result)
			}
		})
	}
	group.Wait()
	return errors.Join(errs...)
}

func migrateAtOnce(t *testing.T, runner migrations.Runner, targets ...migrations.Target) []migrations.Result {
	t.Helper()
	results := make([]migrations.Result, len(targets))
	require.NoError(t, atOnce(t, runner, func(i int, r migrations.Result) { results[i] = r }, targets...))
	return results
}

func TestOneFailureLeavesTheOthersDone(t *testing.T) {
	t.Parallel()
	db, runner := empty(t)
	good := target(db, migrations.Tenant, "good")
	bad := target(db, migrations.Tenant, "bad")
	db.Exec(t, pgtest.Owner, "create schema bad; create table bad.tasks ()")
	absent := good
	absent.Database += "_absent"
	err := atOnce(t, runner, nil, bad, good, absent)
	var failed *migrations.Error
	require.ErrorAs(t, err, &failed)
	require.ErrorContains(t, err, "migrate "+bad.String())
	require.ErrorContains(t, err, "migrate "+absent.String())
	versions, err := migrations.Versions(t.Context(), db.Connect(t, pgtest.Owner), scopes.Placement{Database: db.Name})
	require.NoError(t, err)
	require.Equal(t, migrations.Tenant.Newest(), versions[good].Number)
	require.Equal(t, int64(0), versions[bad].Number)
	require.Len(t, versions, 2)
	require.Equal(t, []string{"tasks"}, query(t, db, pgtest.Owner,
		"select tablename::text from pg_tables where schemaname = 'bad' and tablename <> 'tenant_version'"), "a failed migration leaves no table")
}

// A runner that waits for the lock gives up when its context ends, and does not disturb the one that has it.
func TestWaitingForTheLockEndsWithTheContext(t *testing.T) {
	t.Parallel()
	db, runner := empty(t)
	to := target(db, migrations.Tenant, "public")
	blocker, err := db.Connect(t, pgtest.Owner).Begin(t.Context())
	require.NoError(t, err)
	_, err = blocker.Exec(t.Context(), "create table public.tenant_version ()") // holds up the first one half way
	require.NoError(t, err)

	first, second := make(chan migrations.Result, 1), make(chan migrations.Result, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() { first <- runner.Up(t.Context(), to) }()
	requireLocks(t, db, "granted", 1)
	go func() { second <- runner.Up(ctx, to) }()
	requireLocks(t, db, "not granted", 1)
	cancel()
	require.ErrorIs(t, (<-second).Err, context.Canceled)
	require.NoError(t, blocker.Rollback(t.Context()))
	require.NoError(t, (<-first).Err)
	requireLocks(t, db, "granted", 0)
}

func requireLocks(t *testing.T, db *pgtest.DB, condition string, want int) {
	t.Helper()
	conn := db.Connect(t, pgtest.Superuser)
	require.Eventually(t, func() bool {
		var count int
		err := conn.QueryRow(t.Context(), `select count(*) from pg_locks where locktype = 'advisory' and `+condition+`
			and database = (select oid from pg_database where datname = current_database())`).Scan(&count)
		return err == nil && count == want
	}, 10*time.Second, 5*time.Millisecond)
}

func TestCancelledMigrationLeavesNothingHalfDone(t *testing.T) {
	t.Parallel()
	db, runner := empty(t)
	to := target(db, migrations.Tenant, "public")
	blocker, err := db.Connect(t, pgtest.Owner).Begin(t.Context())
	require.NoError(t, err)
	_, err = blocker.Exec(t.Context(), "create table public.subtasks ()") // the migration's last table
	require.NoError(t, err)

	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan migrations.Result, 1)
	go func() { done <- runner.Up(ctx, to) }()
	requireLocks(t, db, "granted", 1)
	require.Eventually(t, func() bool {
		return query(t, db, pgtest.Owner, "select count(*)::text from pg_stat_activity where datname = $1 and wait_event_type = 'Lock'", db.Name)[0] == "1"
	}, 10*time.Second, 5*time.Millisecond)
	cancel()
	require.Error(t, (<-done).Err)
	require.NoError(t, blocker.Rollback(t.Context()))
	requireLocks(t, db, "granted", 0)
	require.Equal(t, []string{"tenant_version"}, query(t, db, pgtest.Owner, "select tablename::text from pg_tables where schemaname = 'public'"))
	up(t, runner, to)
}

func TestErrorsAreOneLine(t *testing.T) {
	t.Parallel()
	db, runner := empty(t)
	runner.Runtime = "no_such_role"
	err := runner.Up(t.Context(), target(db, migrations.Tenant, "public")).Err
	require.ErrorContains(t, err, `role "no_such_role" does not exist`)
	require.False(t, strings.Contains(err.Error(), "\n"))
}
