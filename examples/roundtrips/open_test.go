package roundtrips

import (
	"context"
	"database/sql"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"example.com/examples/notesdb"

	"tenanted/scopes"
	"tenanted/scopes/pgtest"
	"tenanted/scopes/registry"
	"tenanted/scopes/session"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// ways are the rows of the table in the README. Each opens pools of its own.
var ways = []struct {
	name string
	open func(t *testing.T, config *pgx.ConnConfig) way

	read, readTwice int64 // round trips
	failsClosed     bool  // refuses a statement without a tenant, before anything is sent
	pgBouncer       bool  // keeps tenants apart behind it, in transaction mode
	jobs            string
}{
	{"by hand: `begin`, `set_config(…, true)`, `commit`, pgx",
		func(t *testing.T, c *pgx.ConnConfig) way { return byHandPgx(pgxPool(t, c)) }, 4, 5, false, true, "by hand"},
	{"the same, `database/sql`",
		func(t *testing.T, c *pgx.ConnConfig) way { return byHandSQL(sqlPool(t, stdlib.OpenDB(*c))) }, 4, 5, false, true, "by hand"},
	{"by hand: `set_config(…, true)` and the statement in a `pgx.Batch`",
		func(t *testing.T, c *pgx.ConnConfig) way { return byHandBatch(pgxPool(t, c)) }, 1, 5, false, true, "by hand"},
	{"for the session: `set_config(…, false)`, and reset after use",
		func(t *testing.T, c *pgx.ConnConfig) way { return sessionLevel(sqlPool(t, stdlib.OpenDB(*c))) }, 3, 6, false, false, "by hand"},
	{"`session.Open` (`database/sql`, sqlc, sqlx, bun, ent)",
		func(t *testing.T, c *pgx.ConnConfig) way { return oursSQL(sqlPool(t, session.Open(c))) }, 1, 4, true, true, "examples/river"},
	{"`session.Pool` (pgx, sqlc)",
		func(t *testing.T, c *pgx.ConnConfig) way { return oursPgx(session.NewPool(pgxPool(t, c))) }, 1, 4, true, true, "examples/river"},
	{"GORM with `scopes` and `registry`",
		func(t *testing.T, c *pgx.ConnConfig) way { return oursGORM(gormDB(t, c)) }, 1, 4, true, true, "examples/river"},
}

func pgxPool(t *testing.T, config *pgx.ConnConfig) *pgxpool.Pool {
	settings, err := pgxpool.ParseConfig("")
	require.NoError(t, err)
	settings.ConnConfig, settings.MaxConns = config.Copy(), 4
	pool, err := pgxpool.NewWithConfig(context.WithoutCancel(t.Context()), settings)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	return pool
}

func sqlPool(t *testing.T, db *sql.DB) *sql.DB {
	db.SetMaxOpenConns(4)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

func gormDB(t *testing.T, config *pgx.ConnConfig) *gorm.DB {
	r, err := registry.Open(registry.Config{Runtime: config})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, r.Close()) })
	db, err := r.OpenGORM(&gorm.Config{Logger: logger.Discard}, scopes.NewPlugin(scopes.Config{Missing: scopes.Error}))
	require.NoError(t, err)
	return db
}

// fixture is a database in which each tenant has one note.
type fixture struct {
	*notesdb.DB
	acme, umbrella context.Context
}

func open(t *testing.T) fixture {
	db := notesdb.New(t, notesdb.Schema)
	as := func(tenant scopes.Tenant, text string) context.Context {
		tenant.Database = db.Name // the registry must know
		db.Exec(t, pgtest.Owner, "insert into notes (org_id, text) values ($1, $2)", tenant.Key(), text)
		return notesdb.As(t, tenant)
	}
	return fixture{db, as(notesdb.Acme, "anvil"), as(notesdb.Umbrella, "leaks")}
}
