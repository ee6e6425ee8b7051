package session_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"tenanted/scopes"
	"tenanted/scopes/pgtest"
	"tenanted/scopes/session"
)

// querier is what sqlc's generated code asks for in its pgx mode: a pool or a transaction.
type querier interface {
	Exec(context.Context, string, ...any) (pgconn.CommandTag, error)
	Query(context.Context, string, ...any) (pgx.Rows, error)
	QueryRow(context.Context, string, ...any) pgx.Row
	CopyFrom(context.Context, pgx.Identifier, []string, pgx.CopyFromSource) (int64, error)
	SendBatch(context.Context, *pgx.Batch) pgx.BatchResults
	Begin(context.Context) (pgx.Tx, error)
}

var _ querier = (*session.Pool)(nil)

// pgxPool returns a pool of one connection, so that whatever is left on it meets the next user.
func pgxPool(t *testing.T, config *pgx.ConnConfig, change ...func(*pgxpool.Config)) *session.Pool {
	t.Helper()
	settings, err := pgxpool.ParseConfig("")
	require.NoError(t, err)
	settings.ConnConfig, settings.MaxConns = config.Copy(), 1
	for _, f := range change {
		f(settings)
	}
	pool, err := pgxpool.NewWithConfig(context.WithoutCancel(t.Context()), settings)
	require.NoError(t, err)
	t.Cleanup(func() {
		require.Zero(t, pool.Stat().AcquiredConns(), "connections in use")
		pool.Close()
	})
	return session.NewPool(pool).With(session.Options{TxForm: form(t)})
}

func askPgx(ctx context.Context, t *testing.T, q querier) (setting string, rows int) {
	t.Helper()
	require.NoError(t, q.QueryRow(ctx, who).Scan(&setting, &rows))
	return setting, rows
}

func name(ctx context.Context, q querier, id int) (name string, err error) {
	err = q.QueryRow(ctx, "select name from things where id = $1", id).Scan(&name)
	return name, err
}

func TestPoolCarriesTheTenantOfEachStatement(t *testing.T) {
	t.Parallel()
	pool := pgxPool(t, database(t).Config(pgtest.Runtime))
	for i := range 6 {
		id := scopes.TenantID(i%3 + 1)
		ctx := tenant(t.Context(), id)
		setting, rows := askPgx(ctx, t, pool)
		require.Equal(t, fmt.Sprint(id), setting)
		require.Equal(t, 100, rows)
		got, err := name(ctx, pool, 7)
		require.NoError(t, err)
		require.Equal(t, fmt.Sprint("thing of ", id), got)
	}
}

// everyWay is each way in which a statement can be given to a pool or a transaction.
var everyWay = map[string]func(context.Context, querier) error{
	"query":     func(ctx context.Context, q querier) error { _, err := q.Query(ctx, "select 1"); return err },
	"query row": func(ctx context.Context, q querier) error { return q.QueryRow(ctx, "select 1").Scan(new(int)) },
	"exec":      func(ctx context.Context, q querier) error { _, err := q.Exec(ctx, "select $1::int", 1); return err },
	"begin":     func(ctx context.Context, q querier) error { _, err := q.Begin(ctx); return err },
	"batch": func(ctx context.Context, q querier) error {
		batch := &pgx.Batch{}
		batch.Queue("select 1")
		return q.SendBatch(ctx, batch).Close()
	},
	"copy": func(ctx context.Context, q querier) error {
		_, err := q.CopyFrom(ctx, pgx.Identifier{"uniques"}, []string{"id"}, pgx.CopyFromRows([][]any{{int64(1)}}))
		return err
	},
}

func TestPoolRefusesStatementsWithoutTenant(t *testing.T) {
	t.Parallel()
	var trips pgtest.RoundTrips
	pool := pgxPool(t, trips.Watch(database(t).Config(pgtest.Runtime)))
	askPgx(tenant(t.Context(), 1), t, pool)
	before := trips.N()
	for way, send := range everyWay {
		for _, ctx := range []context.Context{t.Context(), tenant(t.Context(), 0), tenant(t.Context(), -1), scopes.AllTenants(t.Context(), "test")} {
			require.ErrorAs(t, send(ctx, pool), new(*scopes.TenantMissingError), way)
		}
	}
	require.Equal(t, before, trips.N(), "nothing may be sent")

	elsewhere := scopes.WithTenant(t.Context(), scopes.Tenant{ID: scopes.TenantID(1), Placement: scopes.Placement{Database: "elsewhere"}})
	require.ErrorContains(t, everyWay["query"](elsewhere, pool), `lives in database "elsewhere"`)
}

func TestPoolTransactions(t *testing.T) {
	t.Parallel()
	pool := pgxPool(t, database(t).Config(pgtest.Runtime))
	ctx := tenant(t.Context(), 2)
	tx, err := pool.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
	require.NoError(t, err)
	setting, rows := askPgx(ctx, t, tx)
	require.Equal(t, "2", setting)
	require.Equal(t, 100, rows)
	var level string
	require.NoError(t, tx.QueryRow(ctx, "show transaction_isolation").Scan(&level))
	require.Equal(t, "repeatable read", level)

	savepoint, err := tx.Begin(ctx)
	require.NoError(t, err)
	for _, q := range []querier{tx, savepoint} {
		for way, send := range everyWay {
			require.ErrorContains(t, send(tenant(t.Context(), 3), q), "tenant 3 inside a transaction of tenant 2", way)
			require.ErrorAs(t, send(t.Context(), q), new(*scopes.TenantMissingError), way)
		}
	}
	_, err = savepoint.Exec(ctx, "delete from things")
	require.NoError(t, err)
	require.NoError(t, savepoint.Rollback(ctx))
	_, err = tx.Exec(ctx, "update things set name = 'changed' where id = $1", 1)
	require.NoError(t, err)
	require.NoError(t, tx.Commit(ctx))

	// What has ended is of no use, above all while the connection serves another caller.
	other, err := pool.Begin(tenant(t.Context(), 2))
	require.NoError(t, err)
	for _, q := range []querier{tx, savepoint} {
		for way, send := range everyWay {
			require.ErrorIs(t, send(ctx, q), pgx.ErrTxClosed, way)
		}
	}
	require.ErrorIs(t, tx.Commit(ctx), pgx.ErrTxClosed)
	require.ErrorIs(t, tx.Rollback(ctx), pgx.ErrTxClosed)
	require.ErrorIs(t, savepoint.Rollback(ctx), pgx.ErrTxClosed)
	_, rows = askPgx(ctx, t, other)
	require.Equal(t, 100, rows)
	require.NoError(t, other.Rollback(ctx))
	changed, err := name(tenant(t.Context(), 2), pool, 1)
	require.NoError(t, err)
	require.Equal(t, "changed", changed)
	changed, err = name(tenant(t.Context(), 3), pool, 1)
	require.NoError(t, err)
	require.Equal(t, "thing of 3", changed)
}

func TestPoolTransactionAfterACancelledContext(t *testing.T) {
	t.Parallel()
	pool := pgxPool(t, database(t).Config(pgtest.Runtime))
	ctx, cancel := context.WithCancel(tenant(t.Context(), 1))
	tx, err := pool.Begin(ctx)
	require.NoError(t, err)
	_, err = tx.Exec(ctx, "delete from things")
	require.NoError(t, err)
	cancel()
	require.NoError(t, tx.Rollback(ctx))
	_, rows := askPgx(tenant(t.Context(), 1), t, pool)
	require.Equal(t, 100, rows)
}

func TestPoolBatchesAndCopies(t *testing.T) {
	t.Parallel()
	pool := pgxPool(t, database(t).Config(pgtest.Runtime))
	for id := scopes.TenantID(1); id <= 2; id++ {
		ctx := tenant(t.Context(), id)
		n, err := pool.CopyFrom(ctx, pgx.Identifier{"parts"}, []string{"id", "thing"},
			pgx.CopyFromRows([][]any{{int64(10 * id), int64(1)}, {int64(10*id + 1), int64(1)}}))
		require.NoError(t, err)
		require.EqualValues(t, 2, n)

		var rows int
		batch := &pgx.Batch{}
		batch.Queue("insert into things values ($1, $2, 'batch')", id, 300)
		batch.Queue("select count(*) from things").QueryRow(func(row pgx.Row) error { return row.Scan(&rows) })
		require.NoError(t, pool.SendBatch(ctx, batch).Close())
		require.Equal(t, 101, rows)
	}
	ctx := tenant(t.Context(), 1)
	_, err := pool.CopyFrom(ctx, pgx.Identifier{"things"}, []string{"account_id", "id"}, pgx.CopyFromRows([][]any{{int64(2), int64(400)}}))
	require.ErrorContains(t, err, "COPY FROM not supported with row-level security")

	failing := &pgx.Batch{}
	failing.Queue("delete from things")
	failing.Queue("select 1/0")
	require.ErrorContains(t, pool.SendBatch(ctx, failing).Close(), "division by zero")
	beginning := &pgx.Batch{}
	beginning.BeginTx(pgx.TxOptions{})
	beginning.Queue("delete from things")
	require.ErrorContains(t, pool.SendBatch(ctx, beginning).Close(), "leave BeginTx out")
	_, rows := askPgx(ctx, t, pool)
	require.Equal(t, 101, rows, "all or nothing")
}

// TestPoolTakesWhatPgxTakes: pgx's own helpers, arguments and types.
func TestPoolTakesWhatPgxTakes(t *testing.T) {
	t.Parallel()
	pool := pgxPool(t, database(t).Config(pgtest.Runtime))
	ctx := tenant(t.Context(), 3)
	rows, err := pool.Query(ctx, "select id, name from things where id <= @most order by id", pgx.NamedArgs{"most": 3})
	require.NoError(t, err)
	type thing struct {
		ID   int64
		Name string
	}
	things, err := pgx.CollectRows(rows, pgx.RowToStructByName[thing])
	require.NoError(t, err)
	require.Equal(t, []thing{{1, "thing of 3"}, {2, "thing of 3"}, {3, "thing of 3"}}, things)

	var (
		ids  []int64
		when time.Time
		kept map[string]any
		none *string
	)
	require.NoError(t, pool.QueryRow(ctx, "select $1::bigint[], $2::timestamptz, $3::jsonb, $4::text",
		[]int64{1, 2}, time.Unix(1, 0), map[string]any{"a": "b"}, nil).Scan(&ids, &when, &kept, &none))
	require.Equal(t, []int64{1, 2}, ids)
	require.True(t, when.Equal(time.Unix(1, 0)))
	require.Equal(t, map[string]any{"a": "b"}, kept)
	require.Nil(t, none)

	require.ErrorIs(t, pool.QueryRow(ctx, "select id from things where id = $1", -1).Scan(new(int64)), pgx.ErrNoRows)
	tag, err := pool.Exec(ctx, "update things set name = 'x' where id < $1", 6)
	require.NoError(t, err)
	require.EqualValues(t, 5, tag.RowsAffected())
	for _, mode := range []any{pgx.QueryExecModeSimpleProtocol, pgx.QueryResultFormats{1}} {
		_, err = pool.Query(ctx, "select 1", mode)
		require.ErrorContains(t, err, "leave it out")
	}
	_, err = pool.BeginTx(ctx, pgx.TxOptions{BeginQuery: "begin; set app.tenant_id = '1'"})
	require.ErrorContains(t, err, "leave them out")
	_, err = pool.Exec(ctx, "begin")
	require.ErrorContains(t, err, "use BeginTx")
	require.ErrorContains(t, pool.QueryRow(ctx, "select name from things where id = 1").Scan(new(int64)), "cannot scan")
	askPgx(ctx, t, pool)
}

func TestPoolRoundTrips(t *testing.T) {
	t.Parallel()
	var trips pgtest.RoundTrips
	pool := pgxPool(t, trips.Watch(database(t).Config(pgtest.Runtime)))
	for id := scopes.TenantID(1); id <= 2; id++ { // the statement is prepared on the way
		_, err := name(tenant(t.Context(), id), pool, 1)
		require.NoError(t, err)
	}
	for id := scopes.TenantID(1); id <= 3; id++ {
		before := trips.N()
		_, err := name(tenant(t.Context(), id), pool, 1)
		require.NoError(t, err)
		require.EqualValues(t, 1, trips.N()-before)
	}
	before := trips.N()
	tx, err := pool.Begin(tenant(t.Context(), 1))
	require.NoError(t, err)
	_, err = name(tenant(t.Context(), 1), tx, 1)
	require.NoError(t, err)
	require.NoError(t, tx.Commit(t.Context()))
	require.EqualValues(t, 3, trips.N()-before)
}

func TestPoolOverSchemas(t *testing.T) {
	t.Parallel()
	db := database(t)
	db.Exec(t, pgtest.Owner, `
		create schema a; create table a.items (id bigint, name text); insert into a.items values (1, 'of a');
		create schema b; create table b.items (name text, id int); insert into b.items values ('of b', 1);
		grant usage on schema a, b to `+pgtest.Runtime+`; grant all on a.items, b.items to `+pgtest.Runtime)
	for _, config := range []*pgx.ConnConfig{db.Config(pgtest.Runtime), pgtest.PgBouncer(t, db.Config(pgtest.Runtime), "default_pool_size = 1")} {
		pool := pgxPool(t, config)
		for i := range 6 {
			schema := string("ab"[i%2])
			ctx := scopes.WithTenant(t.Context(), scopes.Tenant{ID: scopes.TenantID(i%2 + 1), Placement: scopes.Placement{Schema: schema}})
			var name string
			require.NoError(t, pool.QueryRow(ctx, "select name from items where id = $1", 1).Scan(&name))
			require.Equal(t, "of "+schema, name)
			batch := &pgx.Batch{}
			for range 2 {
				batch.Queue("select * from items where id = $1", 1).Query(func(rows pgx.Rows) error {
					item, err := pgx.CollectExactlyOneRow(rows, pgx.RowToMap)
					require.Equal(t, "of "+schema, item["name"])
					return err
				})
			}
			require.NoError(t, pool.SendBatch(ctx, batch).Close())
			n, err := pool.CopyFrom(ctx, pgx.Identifier{"items"}, []string{"id", "name"}, pgx.CopyFromRows([][]any{{int64(2), "copied"}}))
			require.NoError(t, err)
			require.EqualValues(t, 1, n)
		}
	}
}

func TestPoolSurvivesTheServerEndingConnections(t *testing.T) {
	t.Parallel()
	db := database(t)
	pool := pgxPool(t, db.Config(pgtest.Runtime))
	ctx := tenant(t.Context(), 1)
	for range 3 {
		askPgx(ctx, t, pool)
		db.Exec(t, pgtest.Superuser, "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and usename = '"+pgtest.Runtime+"'")
		_, rows := askPgx(ctx, t, pool)
		require.Equal(t, 100, rows)
	}
}

func TestPoolTimeouts(t *testing.T) {
	t.Parallel()
	pool := pgxPool(t, database(t).Config(pgtest.Runtime)).With(session.Options{StatementTimeout: 50 * time.Millisecond, TxForm: form(t)})
	_, err := pool.Exec(tenant(t.Context(), 1), "select pg_sleep(20)")
	require.ErrorIs(t, err, scopes.ErrTimeout)
	askPgx(tenant(t.Context(), 1), t, pool)
}
