package session_test

import (
	"context"
	"database/sql"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"tenanted/scopes"
	"tenanted/scopes/pgtest"
	"tenanted/scopes/session"
)

// eachWay calls test with each way to the server: directly, and through a pooler that gives every transaction the same
// connection.
func eachWay(t *testing.T, db *pgtest.DB, test func(t *testing.T, config *pgx.ConnConfig)) {
	t.Run("direct", func(t *testing.T) { test(t, db.Config(pgtest.Runtime)) })
	t.Run("PgBouncer", func(t *testing.T) { test(t, pgtest.PgBouncer(t, db.Config(pgtest.Runtime))) })
	t.Run("PgBouncer with prepared statements", func(t *testing.T) {
		test(t, pgtest.PgBouncerPrepared(t, db.Config(pgtest.Runtime)))
	})
}

// openWith returns a pool of one connection with these options.
func openWith(t *testing.T, config *pgx.ConnConfig, options session.Options) *sql.DB {
	if options.TxForm == session.DetectTx {
		options.TxForm = form(t)
	}
	pool := sql.OpenDB(session.NewConnector(config).With(options))
	pool.SetMaxOpenConns(1)
	t.Cleanup(func() { require.NoError(t, pool.Close()) })
	return pool
}

// Without its extension's schema in the search_path, citext compares like text, and nothing says so.
func TestFurtherSchemas(t *testing.T) {
	t.Parallel()
	db := database(t)
	db.Exec(t, pgtest.Superuser, `create schema "the extensions"; create extension citext schema "the extensions";
		create schema reference; create table reference.countries (code text); insert into reference.countries values ('ch');
		create schema a; create table a.people (email "the extensions".citext); insert into a.people values ('Ann@A');
		create schema b; create table b.people (email "the extensions".citext); insert into b.people values ('Bob@B');
		grant usage on schema "the extensions", reference, a, b to `+pgtest.Runtime+`;
		grant select on reference.countries, a.people, b.people to `+pgtest.Runtime)
	const query = "select (select count(*) from people where email = $1), (select count(*) from countries)"
	eachWay(t, db, func(t *testing.T, config *pgx.ConnConfig) {
		pool := openWith(t, config, session.Options{Schemas: []string{"the extensions", "reference"}})
		for i := range 6 {
			ctx := inSchema(t.Context(), string("ab"[i%2]))
			var people, countries int
			require.NoError(t, pool.QueryRowContext(ctx, query, "ann@a").Scan(&people, &countries))
			require.Equal(t, []int{1 - i%2, 1}, []int{people, countries})
			tx, err := pool.BeginTx(ctx, nil)
			require.NoError(t, err)
			var path string
			require.NoError(t, tx.QueryRowContext(ctx, "show search_path").Scan(&path))
			require.Equal(t, fmt.Sprintf(`"%c", "the extensions", "reference", pg_temp`, "ab"[i%2]), path)
			require.NoError(t, tx.Commit())
		}
	})
}

func TestApplicationName(t *testing.T) {
	t.Parallel()
	eachWay(t, database(t), func(t *testing.T, config *pgx.ConnConfig) {
		pool := openWith(t, config, session.Options{ApplicationName: "it's ours:"})
		for id := range scopes.TenantID(3) {
			ctx, want := tenant(t.Context(), id+1), fmt.Sprintf("it's ours: %d", id+1)
			const shown = "select application_name from pg_stat_activity where pid = pg_backend_pid()"
			var name string
			require.NoError(t, pool.QueryRowContext(ctx, shown).Scan(&name))
			require.Equal(t, want, name)
			tx, err := pool.BeginTx(ctx, nil)
			require.NoError(t, err)
			require.NoError(t, tx.QueryRowContext(ctx, shown).Scan(&name))
			require.Equal(t, want, name)
			require.NoError(t, tx.Rollback())
		}
	})
	t.Run("all tenants", func(t *testing.T) {
		db := database(t)
		pool := sql.OpenDB(session.NewAllTenantsConnector(db.Config(pgtest.Owner)).With(session.Options{ApplicationName: "ours"}))
		defer pool.Close()
		var name string
		require.NoError(t, pool.QueryRowContext(scopes.AllTenants(t.Context(), "test"), "show application_name").Scan(&name))
		require.Equal(t, "ours all tenants", name)
	})
}

// tracer records its calls.
type tracer struct{ log []string }

func (tr *tracer) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	who, err := scopes.FromContext(ctx)
	if err != nil {
		who.Slug = "nobody"
	}
	tr.log = append(tr.log, fmt.Sprintf("%v: %s %v", who, data.SQL, data.Args))
	return ctx
}

func (tr *tracer) TraceQueryEnd(_ context.Context, _ *pgx.Conn, data pgx.TraceQueryEndData) {
	tr.log = append(tr.log, fmt.Sprintf("%v %v", data.CommandTag, data.Err))
}

// A tracer, as OpenTelemetry's, has each statement with its tenant.
func TestTracer(t *testing.T) {
	t.Parallel()
	config, traced := database(t).Config(pgtest.Runtime), &tracer{}
	config.Tracer = traced
	pool := openWith(t, config, session.Options{})
	ctx := tenant(t.Context(), 2)
	_, err := pool.ExecContext(ctx, "update things set name = $1", "x")
	require.NoError(t, err)
	_, err = pool.ExecContext(ctx, "select 1/0")
	require.Error(t, err)
	_, err = pool.ExecContext(t.Context(), "select 2")
	require.Error(t, err)
	require.Equal(t, []string{
		"tenant 2: update things set name = $1 [x]", "UPDATE 100 <nil>",
		"tenant 2: select 1/0 []", " ERROR: division by zero (SQLSTATE 22012)",
		"no tenant (nobody): select 2 []", " " + err.Error(),
	}, traced.log)
}
