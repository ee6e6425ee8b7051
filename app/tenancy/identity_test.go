package tenancy_test

import (
	"context"
	"fmt"
	"log/slog"
	"os/exec"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"tenanted/app/config"
	"tenanted/app/tenancy"
	"tenanted/models"
	"tenanted/scopes"
	"tenanted/scopes/pgtest"
)

// copyDatabase copies a database as operators do: by a dump, or as a template.
func copyDatabase(t *testing.T, db *pgtest.DB, from, to string, dump bool) {
	t.Helper()
	super := db.Config(pgtest.Superuser)
	super.Database = "postgres"
	conn, err := pgx.ConnectConfig(t.Context(), super)
	require.NoError(t, err)
	defer conn.Close(context.Background())
	if !dump {
		_, err = conn.Exec(t.Context(), fmt.Sprintf(`create database %q template %q owner %s`, to, from, pgtest.Owner))
		require.NoError(t, err)
		return
	}
	_, err = conn.Exec(t.Context(), fmt.Sprintf(`create database %q owner %s`, to, pgtest.Owner))
	require.NoError(t, err)
	pipe := exec.CommandContext(t.Context(), "sh", "-c", `pg_dump "$FROM" | psql -qXv ON_ERROR_STOP=1 "$TO"`)
	dsn := func(name string) string { return strings.ReplaceAll(db.DSN(pgtest.Superuser), db.Name, name) }
	pipe.Env = append(pipe.Environ(), "FROM="+dsn(from), "TO="+dsn(to))
	out, err := pipe.CombinedOutput()
	require.NoError(t, err, string(out))
}

// projectOf returns the name of a tenant's project, over the application's own connection.
func projectOf(t *testing.T, cfg config.Config, slug string) (string, error) {
	t.Helper()
	app, err := tenancy.Open(t.Context(), cfg, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	defer func() { require.NoError(t, app.Close()) }()
	tenant, err := app.Lookup(t.Context(), slug)
	if err != nil {
		return "", err
	}
	var project models.Project
	err = app.DB.WithContext(scopes.WithTenant(t.Context(), tenant)).Take(&project).Error
	return project.Name, err
}

// A copy of the default database must not touch the databases of the deployment that it was copied from, by any way.
func TestCopyLeavesTheOriginalsDatabasesAlone(t *testing.T) {
	t.Parallel()
	for _, dump := range []bool{false, true} {
		db, cfg := bare(t, config.MultipleDb)
		withTenants(t, cfg, 2)
		copied := db.Name + "_staging"
		copyDatabase(t, db, db.Name, copied, dump)
		staging := settings(t, db, config.MultipleDb, "PGDATABASE="+copied)
		var refused *tenancy.PlacementError

		_, err := projectOf(t, staging, "tenant-0")
		require.ErrorAs(t, err, &refused)
		require.ErrorIs(t, err, scopes.ErrUnavailable)
		require.ErrorContains(t, err, "tenanted tenants adopt")
		require.NotContains(t, err.Error(), "\n")

		// Past the directory, the registry refuses too.
		app, err := tenancy.Open(t.Context(), staging, slog.New(slog.DiscardHandler))
		require.NoError(t, err)
		tenant := scopes.Tenant{ID: 1, Slug: "tenant-0", Placement: scopes.Placement{Database: db.Name + "_tenant-0", Schema: "public"}}
		err = app.DB.WithContext(scopes.WithTenant(t.Context(), tenant)).Create(&models.Project{Name: "wrong place"}).Error
		require.ErrorIs(t, err, scopes.ErrUnavailable)
		require.NoError(t, app.Close())

		require.ErrorAs(t, newSetup(t, staging, nil).Run(t.Context()), &refused, "migrate")
		creator := newCreator(t, staging)
		_, err = creator.Create(t.Context(), numbered(0), account(numbered(0)))
		require.ErrorAs(t, err, &refused, "seed")
		_, err = creator.Create(t.Context(), numbered(2), account(numbered(2)))
		require.ErrorAs(t, err, &refused, "a copy makes no databases before it is adopted")

		name, err := projectOf(t, cfg, "tenant-0")
		require.NoError(t, err, "the original goes on")
		require.Equal(t, "Company 0", name)
		require.NoError(t, newSetup(t, cfg, nil).Run(t.Context()))
	}
}

func adopt(t *testing.T, cfg config.Config) (adopted, problems map[string]string) {
	t.Helper()
	adopted, problems = map[string]string{}, map[string]string{}
	require.NoError(t, newSetup(t, cfg, nil).Adopt(t.Context(), func(a tenancy.Adoption) {
		if a.Problem == "" {
			adopted[a.Tenant.Slug] = a.Tenant.Database
		} else {
			problems[a.Tenant.Slug] = a.Problem
		}
	}))
	return adopted, problems
}

func TestAdoptTakesCopiesAndNoOriginal(t *testing.T) {
	t.Parallel()
	db, cfg := bare(t, config.MultipleDb)
	withTenants(t, cfg, 3)
	copied := db.Name + "_staging"
	copyDatabase(t, db, db.Name, copied, false)
	copyDatabase(t, db, db.Name+"_tenant-0", copied+"_tenant-0", true)
	copyDatabase(t, db, db.Name+"_tenant-0", copied+"_tenant-1", false) // the wrong tenant's
	staging := settings(t, db, config.MultipleDb, "PGDATABASE="+copied)

	for range 2 { // again changes nothing
		adopted, problems := adopt(t, staging)
		require.Equal(t, map[string]string{"tenant-0": copied + "_tenant-0"}, adopted)
		require.Contains(t, problems["tenant-1"], "is the original of another deployment")
		require.Contains(t, problems["tenant-1"], "has no rows of tenant 2")
		require.Contains(t, problems["tenant-2"], fmt.Sprintf("there is no database %q", copied+"_tenant-2"))
	}
	name, err := projectOf(t, staging, "tenant-0")
	require.NoError(t, err)
	require.Equal(t, "Company 0", name)
	_, err = projectOf(t, staging, "tenant-1")
	require.ErrorContains(t, err, "suspended")
	require.NoError(t, newSetup(t, staging, nil).Migrate(t.Context(), []scopes.Placement{{Database: copied + "_tenant-0", Schema: "public"}}, tenancy.Migrate{}))
	for n := range 3 {
		name, err = projectOf(t, cfg, numbered(n).Slug)
		require.NoError(t, err)
		require.Equal(t, numbered(n).Name, name)
	}
	adopted, problems := adopt(t, cfg)
	require.Len(t, adopted, 3, "on the original it changes nothing")
	require.Empty(t, problems)
}

// Placements in the default database go with it: a copy or a renamed database is whole.
func TestCopiedAndRenamedDefaultDatabase(t *testing.T) {
	t.Parallel()
	eachStrategy(t, func(t *testing.T, db *pgtest.DB, cfg config.Config) {
		withTenants(t, cfg, 2)
		if cfg.Strategy != config.MultipleDb {
			copied := settings(t, db, cfg.Strategy, "PGDATABASE="+db.Name+"_copy")
			copyDatabase(t, db, db.Name, copied.Database, true)
			require.NoError(t, newSetup(t, copied, nil).Run(t.Context()))
			place := map[config.Strategy]string{config.SingleSchema: "public", config.MultipleSchemas: "tenant-0", config.Mixed: "public"}[cfg.Strategy]
			to := db.Config(pgtest.Owner)
			to.Database = copied.Database
			conn, err := pgx.ConnectConfig(t.Context(), to)
			require.NoError(t, err)
			_, err = conn.Exec(t.Context(), fmt.Sprintf("update %q.projects set name = 'copied'", place))
			require.NoError(t, err)
			require.NoError(t, conn.Close(t.Context()))
			name, err := projectOf(t, copied, "tenant-0")
			require.NoError(t, err)
			require.Equal(t, "copied", name)
			name, err = projectOf(t, cfg, "tenant-0")
			require.NoError(t, err)
			require.Equal(t, "Company 0", name)
			return
		}
		renamed := settings(t, db, cfg.Strategy, "PGDATABASE="+db.Name+"_renamed")
		rename := func(from, to string) {
			super := db.Config(pgtest.Superuser)
			super.Database = "postgres"
			conn, err := pgx.ConnectConfig(t.Context(), super)
			require.NoError(t, err)
			defer conn.Close(context.Background())
			_, err = conn.Exec(t.Context(), fmt.Sprintf("alter database %q rename to %q", from, to))
			require.NoError(t, err)
		}
		rename(db.Name, renamed.Database)
		name, err := projectOf(t, renamed, "tenant-1")
		require.NoError(t, err)
		require.Equal(t, "Company 1", name)
		require.NoError(t, newSetup(t, renamed, nil).Run(t.Context()))
		rename(renamed.Database, db.Name)
	})
}

// A tenant's database that was restored, or is another deployment's, is refused until it is adopted.
func TestRestoredTenantsDatabase(t *testing.T) {
	t.Parallel()
	db, cfg := bare(t, config.MultipleDb)
	withTenants(t, cfg, 2)
	name := db.Name + "_tenant-1"
	copyDatabase(t, db, name, db.Name+"_backup", true)
	db.Exec(t, pgtest.Superuser, fmt.Sprintf("drop database %q with (force)", name))
	copyDatabase(t, db, db.Name+"_backup", name, true)
	_, err := projectOf(t, cfg, "tenant-1")
	require.ErrorContains(t, err, "is a copy of a tenant's database")
	_, err = projectOf(t, cfg, "tenant-0")
	require.NoError(t, err)
	var refused *tenancy.PlacementError
	require.ErrorAs(t, newSetup(t, cfg, nil).Run(t.Context()), &refused)
	adopted, problems := adopt(t, cfg)
	require.Empty(t, problems)
	require.Equal(t, name, adopted["tenant-1"])
	account, err := projectOf(t, cfg, "tenant-1")
	require.NoError(t, err)
	require.Equal(t, "Company 1", account)
	require.NoError(t, newSetup(t, cfg, nil).Run(t.Context()))

	foreign, other := bare(t, config.MultipleDb)
	withTenants(t, other, 1)
	db.Exec(t, pgtest.Owner, "update control.tenants set database = $1 where id = 1", foreign.Name+"_tenant-0")
	_, err = projectOf(t, cfg, "tenant-0")
	require.ErrorContains(t, err, "belongs to another deployment")
	_, problems = adopt(t, cfg)
	require.Empty(t, problems, "its own database is found under its own name")
	account, err = projectOf(t, cfg, "tenant-0")
	require.NoError(t, err)
	require.Equal(t, "Company 0", account)
}

// A default database that was lost and restored from its backup takes its tenants' databases back, and no other copy does.
func TestRestoredDefaultDatabase(t *testing.T) {
	t.Parallel()
	db, cfg := bare(t, config.MultipleDb)
	withTenants(t, cfg, 2)
	backup := settings(t, db, config.MultipleDb, "PGDATABASE="+db.Name+"_backup")
	copyDatabase(t, db, db.Name, backup.Database, true)
	copyDatabase(t, db, db.Name, db.Name+"_second", true)
	other := pgtest.Database(t, "empty", func(context.Context, *pgx.Conn) error { return nil }) // to drop ours from
	other.Exec(t, pgtest.Superuser, fmt.Sprintf("drop database %q with (force)", db.Name))
	_, err := projectOf(t, backup, "tenant-0")
	require.ErrorContains(t, err, "tenanted tenants adopt", "somebody says so first")
	adopted, problems := adopt(t, backup)
	require.Empty(t, problems)
	require.Len(t, adopted, 2)
	for n := range 2 {
		name, err := projectOf(t, backup, numbered(n).Slug)
		require.NoError(t, err)
		require.Equal(t, numbered(n).Name, name)
	}
	require.NoError(t, newSetup(t, backup, nil).Run(t.Context()))

	second := settings(t, db, config.MultipleDb, "PGDATABASE="+db.Name+"_second")
	adopted, problems = adopt(t, second)
	require.Empty(t, adopted, "the databases are the first one's now")
	require.Contains(t, problems["tenant-0"], "is the original of another deployment")
	_, err = projectOf(t, backup, "tenant-0")
	require.NoError(t, err)
}

// Two tenants cannot be given one placement, but the shared tables.
func TestPlacementsAreUnique(t *testing.T) {
	t.Parallel()
	eachStrategy(t, func(t *testing.T, db *pgtest.DB, cfg config.Config) {
		withTenants(t, cfg, 3)
		_, err := db.Connect(t, pgtest.Owner).Exec(t.Context(), `update control.tenants t set database = o.database, schema = o.schema
			from control.tenants o where t.id = 3 and o.id = 2`)
		if cfg.Strategy == config.SingleSchema {
			require.NoError(t, err)
			return
		}
		require.ErrorContains(t, err, "tenants_placement")
	})
}

// Databases of one name on two servers are two, and a tenant on another server has a database there.
func TestPlacementsHaveAServer(t *testing.T) {
	t.Parallel()
	db, cfg := bare(t, config.Mixed)
	withTenants(t, cfg, 3)
	change := func(set string) error {
		_, err := db.Connect(t, pgtest.Owner).Exec(t.Context(), "update control.tenants t set "+set+" from control.tenants o where t.id = 2 and o.id = 3")
		return err
	}
	require.NoError(t, change("server = 'eu', database = o.database, schema = o.schema"))
	require.ErrorContains(t, change("server = null, database = o.database, schema = o.schema"), "tenants_placement")
	require.ErrorContains(t, change("server = 'eu', database = null"), "tenants_server_database")
	require.ErrorContains(t, change("server = 'EU'"), "tenants_server_check")
}
