package tenancy_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"tenanted/app/config"
	"tenanted/app/tenancy"
	"tenanted/migrations"
	"tenanted/scopes"
	"tenanted/scopes/pgtest"
)

func TestSetupMakesWhatIsMissingAndIsThenReady(t *testing.T) {
	t.Parallel()
	eachStrategy(t, func(t *testing.T, _ *pgtest.DB, cfg config.Config) {
		var notReady *tenancy.NotReadyError
		require.ErrorAs(t, tenancy.Ready(t.Context(), cfg), &notReady)

		var said []string
		setup := newSetup(t, cfg, &said)
		require.NoError(t, setup.Run(t.Context()))
		require.Contains(t, said, fmt.Sprintf("migrated %s.control to version %d", cfg.Database, migrations.Control.Newest()))
		require.NoError(t, tenancy.Ready(t.Context(), cfg))

		said = nil
		require.NoError(t, setup.Run(t.Context()))
		require.Empty(t, said, "nothing was left to do")
	})
}

func TestSetupMakesTheDefaultDatabaseToo(t *testing.T) {
	t.Parallel()
	eachStrategy(t, func(t *testing.T, db *pgtest.DB, cfg config.Config) {
		name := db.Name + "_new" // dropped with the test's database
		cfg = settings(t, db, cfg.Strategy, "PGDATABASE="+name)
		require.ErrorContains(t, tenancy.Ready(t.Context(), cfg), fmt.Sprintf("database %q does not exist: run `tenanted migrate`", name))
		require.NoError(t, newSetup(t, cfg, nil).Run(t.Context()))
		require.NoError(t, tenancy.Ready(t.Context(), cfg))
	})
}

func TestManySetupsAtOnce(t *testing.T) {
	t.Parallel()
	eachStrategy(t, func(t *testing.T, db *pgtest.DB, cfg config.Config) {
		cfg = settings(t, db, cfg.Strategy, "PGDATABASE="+db.Name+"_new")
		var group sync.WaitGroup
		errs := make([]error, 4)
		for i := range errs {
			setup := newSetup(t, cfg, nil)
			group.Go(func() { errs[i] = setup.Run(t.Context()) })
		}
		group.Wait()
		require.NoError(t, errors.Join(errs...))
		require.NoError(t, tenancy.Ready(t.Context(), cfg))
	})
}

func TestAnotherConfigurationIsRefusedAndChangesNothing(t *testing.T) {
	t.Parallel()
	eachStrategy(t, func(t *testing.T, db *pgtest.DB, cfg config.Config) {
		withTenants(t, cfg, 1)
		before := everything(t, db)
		for _, other := range config.Strategies() {
			if other == cfg.Strategy {
				continue
			}
			wrong := settings(t, db, other)
			for _, err := range []error{newSetup(t, wrong, nil).Run(t.Context()), tenancy.Ready(t.Context(), wrong)} {
				var refused *tenancy.ConfigurationError
				require.ErrorAs(t, err, &refused)
				require.ErrorContains(t, err, fmt.Sprintf("was set up for %s, and DJANGO_CONFIGURATION is %s", cfg.Strategy, other))
				require.NotContains(t, err.Error(), "\n")
			}
		}
		require.Equal(t, before, everything(t, db))
	})
}

// everything lists the server's databases of this test, and its default database's relations.
func everything(t *testing.T, db *pgtest.DB) []string {
	t.Helper()
	rows, err := db.Connect(t, pgtest.Superuser).Query(t.Context(), `
		select datname::text from pg_database where datname like current_database() || '%'
		union all select format('%s.%s', relnamespace::regnamespace, relname) from pg_class where relnamespace::regnamespace::text !~ '^pg_'
		order by 1`)
	require.NoError(t, err)
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	return list
}

// ready says whether tenant-1 can be served: by the start-up check where the tables are shared, and else when it is looked up.
func ready(t *testing.T, cfg config.Config) error {
	t.Helper()
	if err := tenancy.Ready(t.Context(), cfg); err != nil {
		return err
	}
	app, err := tenancy.Open(t.Context(), cfg, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	defer func() { require.NoError(t, app.Close()) }()
	if _, err := app.Lookup(t.Context(), "tenant-0"); err != nil {
		return fmt.Errorf("one bad tenant keeps another from being served: %w", err)
	}
	_, err = app.Lookup(t.Context(), "tenant-1")
	require.Equal(t, err != nil, len(app.NotServed()) == 1)
	return err
}

// asOwner runs SQL in tenant-1's placement.
func asOwner(t *testing.T, cfg config.Config, sql string) {
	t.Helper()
	p, err := newSetup(t, cfg, nil).PlacementOf(t.Context(), "tenant-1")
	require.NoError(t, err)
	owner := cfg.OwnerConn()
	owner.Database = p.Database
	conn, err := pgx.ConnectConfig(t.Context(), owner)
	require.NoError(t, err)
	defer conn.Close(t.Context())
	_, err = conn.Exec(t.Context(), "set search_path = "+pgx.Identifier{p.Schema}.Sanitize()+";"+sql)
	require.NoError(t, err)
}

func TestOutdatedAndNewerTables(t *testing.T) {
	t.Parallel()
	eachStrategy(t, func(t *testing.T, db *pgtest.DB, cfg config.Config) {
		withTenants(t, cfg, 2)
		require.NoError(t, ready(t, cfg))
		next := migrations.Tenant.Newest() + 1
		asOwner(t, cfg, fmt.Sprintf("insert into tenant_version (version_id, is_applied) values (%d, true)", next))
		require.NoError(t, ready(t, cfg), "what was changed since only adds")
		asOwner(t, cfg, fmt.Sprintf("comment on table tenant_version is 'compatible from version %d'", next))
		var newer *tenancy.NewerError
		require.ErrorAs(t, ready(t, cfg), &newer)
		asOwner(t, cfg, "comment on table tenant_version is null")
		require.ErrorAs(t, ready(t, cfg), &newer)
		asOwner(t, cfg, "delete from tenant_version where version_id > 0")
		require.ErrorContains(t, ready(t, cfg), "is outdated in schema ")
	})
}

func TestOnePlacementNotInOrderIsItsTenantsAlone(t *testing.T) {
	t.Parallel()
	eachStrategy(t, func(t *testing.T, db *pgtest.DB, cfg config.Config) {
		if cfg.Strategy == config.SingleSchema {
			return // all share one
		}
		for name, harm := range map[string]string{
			"no policy": "drop policy tenant on tasks", "no table": "drop table subtasks", "no rights": "revoke all on tenant_version from " + pgtest.Runtime,
			"no version": "drop table tenant_version",
		} {
			db, cfg := bare(t, cfg.Strategy)
			withTenants(t, cfg, 2)
			asOwner(t, cfg, harm)
			var unavailable *scopes.TenantUnavailableError
			require.ErrorAs(t, ready(t, cfg), &unavailable, name)
			db.AssertQuiet(t)
		}
		withTenants(t, cfg, 2)
		for _, state := range []string{"suspended", "dropping", "creating"} {
			db.Exec(t, pgtest.Owner, "update control.tenants set state = $1 where id = 2", state)
			require.ErrorContains(t, onlyLookup(t, cfg), state)
			require.NoError(t, newSetup(t, cfg, nil).Run(t.Context()))
		}
		db.Exec(t, pgtest.Owner, `create schema archived; create table archived.tenant_version (version_id int); create schema try_tenant`)
		db.Exec(t, pgtest.Owner, "update control.tenants set state = 'active'")
		require.NoError(t, ready(t, cfg), "schemas that no tenant has do not matter")
	})
}

func onlyLookup(t *testing.T, cfg config.Config) error {
	app, err := tenancy.Open(t.Context(), cfg, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	defer func() { require.NoError(t, app.Close()) }()
	_, err = app.Lookup(t.Context(), "tenant-0")
	require.NoError(t, err)
	_, err = app.Lookup(t.Context(), "tenant-1")
	return err
}

// A placement is served as soon as it is in order again, by the same process.
func TestAPlacementHealsByItself(t *testing.T) {
	t.Parallel()
	db, cfg := bare(t, config.MultipleDb)
	withTenants(t, cfg, 2)
	app, err := tenancy.Open(t.Context(), cfg, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	defer func() { require.NoError(t, app.Close()) }()
	name := `"` + db.Name + `_tenant-1"`
	db.Exec(t, pgtest.Superuser, "alter database "+name+" allow_connections false")
	_, err = app.Lookup(t.Context(), "tenant-1")
	require.ErrorIs(t, err, scopes.ErrUnavailable)
	require.Contains(t, app.NotServed()["tenant-1"], "not currently accepting connections")
	db.Exec(t, pgtest.Superuser, "alter database "+name+" allow_connections true")
	require.Eventually(t, func() bool {
		_, err := app.Lookup(t.Context(), "tenant-1")
		return err == nil
	}, 10*time.Second, 50*time.Millisecond)
	require.Empty(t, app.NotServed())
}

func TestRightsLostBetweenMigrationAndGrantAreGranted(t *testing.T) {
	t.Parallel()
	eachStrategy(t, func(t *testing.T, db *pgtest.DB, cfg config.Config) {
		withTenants(t, cfg, 1)
		if _, shared := cfg.SharedPlacement(); !shared {
			db.Exec(t, pgtest.Owner, "revoke all on schema control from "+pgtest.Runtime)
		} else {
			db.Exec(t, pgtest.Owner, "revoke all on tenant_version from "+pgtest.Runtime)
		}
		var notReady *tenancy.NotReadyError
		require.ErrorAs(t, tenancy.Ready(t.Context(), cfg), &notReady)
		require.NoError(t, newSetup(t, cfg, nil).Run(t.Context()))
		require.NoError(t, tenancy.Ready(t.Context(), cfg))
	})
}

func TestARuntimeRoleThatIsNotBoundIsRefusedWithTheSQL(t *testing.T) {
	t.Parallel()
	db, cfg := bare(t, config.SingleSchema)
	withTenants(t, cfg, 1)
	role := strings.ReplaceAll(db.Name, "test_", "strong_")
	db.Exec(t, pgtest.Superuser, "create role "+role+" login bypassrls")
	t.Cleanup(func() { db.Exec(t, pgtest.Superuser, "drop owned by "+role+"; drop role "+role) })
	strong := settings(t, db, config.SingleSchema, "PGUSER="+role)
	require.NoError(t, newSetup(t, strong, nil).Run(t.Context()))
	err := tenancy.Ready(t.Context(), strong)
	require.ErrorContains(t, err, "nobypassrls")
	require.NotContains(t, err.Error(), "\n")
}

func TestDroppedPolicyIsRefused(t *testing.T) {
	t.Parallel()
	eachStrategy(t, func(t *testing.T, _ *pgtest.DB, cfg config.Config) {
		withTenants(t, cfg, 2)
		asOwner(t, cfg, "alter table tasks disable row level security")
		require.ErrorContains(t, ready(t, cfg), "tasks")
	})
}

func TestWithoutAnOwnerThereIsNoSetup(t *testing.T) {
	t.Parallel()
	_, cfg := bare(t, config.SingleSchema)
	withTenants(t, cfg, 1)
	server := cfg.Runtime()
	served, err := config.Load([]string{"PGHOST=" + server.Host, fmt.Sprintf("PGPORT=%d", server.Port), "PGDATABASE=" + cfg.Database, "PGUSER=" + cfg.User}, t.TempDir())
	require.NoError(t, err)
	_, err = tenancy.NewSetup(served, nil, nil)
	require.ErrorContains(t, err, "PGOWNER: is not set")
	require.NoError(t, tenancy.Ready(t.Context(), served), "serving needs no owner")
}

// An owner without the right to create things is told the SQL that a superuser should run.
func TestWhatTheOwnerMayNotDoComesWithItsSQL(t *testing.T) {
	t.Parallel()
	db, _ := bare(t, config.SingleSchema)
	weak := strings.ReplaceAll(db.Name, "test_", "weak_")
	db.Exec(t, pgtest.Superuser, "create role "+weak+" login")
	t.Cleanup(func() { db.Exec(t, pgtest.Superuser, "drop role "+weak) })

	err := newSetup(t, settings(t, db, config.SingleSchema, "PGOWNER="+weak, "PGDATABASE="+db.Name+"_x"), nil).Run(t.Context())
	require.ErrorContains(t, err, fmt.Sprintf(`create database "%s_x" owner "%s"`, db.Name, weak))
	var sql *tenancy.SQLError
	require.ErrorAs(t, err, &sql)

	err = newSetup(t, settings(t, db, config.SingleSchema, "PGUSER=nobody_"+weak), nil).Run(t.Context())
	require.ErrorContains(t, err, fmt.Sprintf(`create role "nobody_%s" login password '...'`, weak))
}

// A role made by us can log in with its password, over SCRAM, as pg_authid shows.
func TestARoleIsMadeWithAVerifierOfItsPassword(t *testing.T) {
	t.Parallel()
	db, _ := bare(t, config.SingleSchema)
	boss, app := strings.ReplaceAll(db.Name, "test_", "boss_"), strings.ReplaceAll(db.Name, "test_", "app_")
	db.Exec(t, pgtest.Superuser, fmt.Sprintf("create role %s login createrole; alter database %s owner to %[1]s", boss, db.Name))
	t.Cleanup(func() {
		db.Exec(t, pgtest.Superuser, fmt.Sprintf("alter database %s owner to %s; drop owned by %s, %s; drop role %[3]s, %[4]s", db.Name, pgtest.Owner, boss, app))
	})
	var said []string
	cfg := settings(t, db, config.SingleSchema, "PGOWNER="+boss, "PGUSER="+app, "PGPASSWORD=hunter2")
	require.NoError(t, newSetup(t, cfg, &said).Run(t.Context()))
	require.Contains(t, said, "created role "+app)
	require.NoError(t, tenancy.Ready(t.Context(), cfg))

	require.NotContains(t, storedVerifier(t, db, app), "hunter2")

	// The server makes a verifier of its own when it is given the password; with the same salt ours is the same.
	for _, password := range []string{"hunter2", "it's à la façon"} {
		require.NoError(t, setPassword(t, db, app, password))
		stored := storedVerifier(t, db, app)
		_, rest, _ := strings.Cut(stored, "$4096:")
		salt, err := base64.StdEncoding.DecodeString(rest[:strings.Index(rest, "$")])
		require.NoError(t, err)
		require.Equal(t, stored, tenancy.ScramVerifier(password, salt, 4096))
	}
}

func setPassword(t *testing.T, db *pgtest.DB, role, password string) error {
	_, err := db.Connect(t, pgtest.Superuser).Exec(t.Context(),
		"alter role "+role+" password '"+strings.ReplaceAll(password, "'", "''")+"'")
	return err
}

func storedVerifier(t *testing.T, db *pgtest.DB, role string) (verifier string) {
	t.Helper()
	conn := db.Connect(t, pgtest.Superuser)
	require.NoError(t, conn.QueryRow(t.Context(), "select rolpassword from pg_authid where rolname = $1", role).Scan(&verifier))
	require.True(t, strings.HasPrefix(verifier, "SCRAM-SHA-256$4096:"), verifier)
	return verifier
}

func TestAServerThatIsAwayIsOneLine(t *testing.T) {
	t.Parallel()
	cfg, err := config.Load([]string{"PGHOST=localhost", "PGPORT=1", "PGPASSWORD=hunter2", "PGOWNER=boss"}, t.TempDir())
	require.NoError(t, err)
	for _, err := range []error{tenancy.Ready(t.Context(), cfg), newSetup(t, cfg, nil).Run(t.Context())} {
		require.ErrorIs(t, err, scopes.ErrUnavailable)
		require.ErrorContains(t, err, "connection refused")
		require.NotContains(t, err.Error(), "\n")
		require.NotContains(t, err.Error(), "hunter2")
	}
}

func TestARoleThatIsNotThereIsAHintAtMigrate(t *testing.T) {
	t.Parallel()
	db, _ := bare(t, config.SingleSchema)
	err := tenancy.Ready(t.Context(), settings(t, db, config.SingleSchema, "PGUSER=nobody_at_all"))
	require.ErrorContains(t, err, `role "nobody_at_all" does not exist; if the role does not exist yet, `+"`tenanted migrate` creates it")
}

// Placements that cannot be looked at, since their tables are locked, keep no other from being looked at.
func TestLockedPlacementsDoNotHoldUpOthers(t *testing.T) {
	t.Parallel()
	db, cfg := bare(t, config.MultipleSchemas)
	const locked = 20
	withTenants(t, cfg, locked+1)
	lock := db.Connect(t, pgtest.Owner)
	_, err := lock.Exec(t.Context(), "begin")
	require.NoError(t, err)
	for n := range locked {
		_, err := lock.Exec(t.Context(), fmt.Sprintf("lock table %q.subtasks", numbered(n).Slug))
		require.NoError(t, err)
	}
	app, err := tenancy.Open(t.Context(), cfg, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	defer func() { require.NoError(t, app.Close()) }()
	ctx, cancel := context.WithCancel(t.Context())
	var clients sync.WaitGroup
	for n := range locked {
		clients.Go(func() {
			for ctx.Err() == nil {
				_, err := app.Lookup(ctx, numbered(n).Slug)
				assert.Error(t, err)
				time.Sleep(time.Millisecond)
			}
		})
	}
	time.Sleep(100 * time.Millisecond) // so that they are first
	healthy, stop := context.WithTimeout(ctx, 5*time.Second)
	defer stop()
	_, err = app.Lookup(healthy, numbered(locked).Slug)
	require.NoError(t, err)
	require.Eventually(t, func() bool { return len(app.NotServed()) == locked }, 20*time.Second, 10*time.Millisecond)
	cancel()
	clients.Wait()
	require.NoError(t, lock.Close(t.Context()))
	require.Eventually(t, func() bool {
		_, err := app.Lookup(t.Context(), numbered(0).Slug)
		return err == nil
	}, 20*time.Second, 50*time.Millisecond, "served again")
}

// One fix is enough, and takes nothing from the role that owns the database.
func TestADatabaseOfAnotherRoleIsFixedByTheSQLGiven(t *testing.T) {
	t.Parallel()
	eachStrategy(t, func(t *testing.T, db *pgtest.DB, cfg config.Config) {
		own := []string{db.Name}
		if cfg.Strategy == config.MultipleDb {
			own = append(own, db.Name+"_tenant-1")
			db.Exec(t, pgtest.Superuser, `create database "`+own[1]+`"`)
		}
		db.Exec(t, pgtest.Superuser, `alter database "`+db.Name+`" owner to `+pgtest.Superuser)
		for _, name := range own {
			err := newSetup(t, cfg, nil).Run(t.Context())
			if name != db.Name {
				_, err = newCreator(t, cfg).Create(t.Context(), numbered(1), account(numbered(1)))
			}
			var refused *tenancy.SQLError
			require.ErrorAs(t, err, &refused)
			require.Contains(t, err.Error(), fmt.Sprintf("database %q belongs to another role", name))
			require.Contains(t, err.Error(), "run: grant create on database ")
			require.NotContains(t, err.Error(), "\n")
			to := db.Config(pgtest.Superuser)
			to.Database = refused.In
			fix(t, to, refused.SQL)
			require.NoError(t, newSetup(t, cfg, nil).Run(t.Context()))
		}
		withTenants(t, cfg, 2)
		require.NoError(t, tenancy.Ready(t.Context(), cfg))
	})
}

func fix(t *testing.T, to *pgx.ConnConfig, sql string) {
	t.Helper()
	conn, err := pgx.ConnectConfig(t.Context(), to)
	require.NoError(t, err)
	defer conn.Close(context.WithoutCancel(t.Context()))
	_, err = conn.Exec(t.Context(), sql)
	require.NoError(t, err)
}
