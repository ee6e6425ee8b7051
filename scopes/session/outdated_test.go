package session_test

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"tenanted/scopes"
	"tenanted/scopes/pgtest"
	"tenanted/scopes/session"
)

// Two schemas have the same table. Each case changes one of them while connections know both.
var schemaChanges = map[string]string{
	"column added":      "alter table one.items add note text",
	"column dropped":    "alter table one.items drop extra",
	"column retyped":    "alter table one.items alter code type text using code::text",
	"column narrowed":   "alter table one.items alter code type smallint",
	"to another kind":   "alter table one.items alter code type timestamptz using to_timestamp(code)",
	"column renamed":    "alter table one.items rename extra to other",
	"columns reordered": "alter table one.items drop code; alter table one.items add code bigint default 7",
	"table made again":  "drop table one.items; create table one.items (code text, id bigint, extra text); insert into one.items values ('7', 1, 'x'); grant all on one.items to " + pgtest.Runtime,
	"schema made again": "drop schema one cascade; create schema one; create table one.items (id bigint, code numeric); insert into one.items values (1, 7); grant usage on schema one to " + pgtest.Runtime + "; grant all on one.items to " + pgtest.Runtime,
}

func twoSchemas(t *testing.T) *pgtest.DB {
	db := database(t)
	for _, schema := range []string{"one", "two"} {
		db.Exec(t, pgtest.Owner, fmt.Sprintf(`create schema %[1]s; create table %[1]s.items (id bigint, code bigint, extra text);
			insert into %[1]s.items values (1, 7, 'x'); grant usage on schema %[1]s to %[2]s; grant all on %[1]s.items to %[2]s`, schema, pgtest.Runtime))
	}
	return db
}

func inSchema(ctx context.Context, schema string) context.Context {
	return scopes.WithTenant(ctx, scopes.Tenant{ID: 1, Placement: scopes.Placement{Schema: schema}})
}

// readItems reads what every version of the table has, by what every version has.
func readItems(ctx context.Context, q queryer) error {
	rows, err := q.QueryContext(ctx, "select * from items where id = $1", 1)
	if err != nil {
		return err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return err
	}
	n := 0
	for rows.Next() {
		values := make([]any, len(columns))
		for i := range values {
			values[i] = new(any)
		}
		if err := rows.Scan(values...); err != nil {
			return err
		}
		n++
	}
	if n != 1 && rows.Err() == nil {
		return fmt.Errorf("%d rows", n)
	}
	return rows.Err()
}

func inTransaction(ctx context.Context, pool beginner, work func(*sql.Tx) error) error {
	tx, err := pool.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	if err := work(tx); err != nil {
		return err
	}
	return tx.Commit()
}

func TestSchemasThatDiffer(t *testing.T) {
	t.Parallel()
	for name, change := range schemaChanges {
		for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeCacheStatement, pgx.QueryExecModeExec} {
			t.Run(fmt.Sprintf("%s/%v", name, mode), func(t *testing.T) {
				t.Parallel()
				db := twoSchemas(t)
				config := db.Config(pgtest.Runtime)
				config.DefaultQueryExecMode = mode
				pool := open(t, config)
				one, two := inSchema(t.Context(), "one"), inSchema(t.Context(), "two")
				for range 2 {
					require.NoError(t, readItems(one, pool))
					require.NoError(t, readItems(two, pool))
				}
				db.Exec(t, pgtest.Owner, change)
				for range 3 {
					require.NoError(t, readItems(two, pool))
					require.NoError(t, readItems(one, pool))
					first := func(ctx context.Context) func(*sql.Tx) error {
						return func(tx *sql.Tx) error { return readItems(ctx, tx) }
					}
					require.NoError(t, inTransaction(two, pool, first(two)))
					require.NoError(t, inTransaction(one, pool, first(one)))
				}
			})
		}
	}
}

// The first statement of a transaction is executed once more, in a transaction like the one that was begun. A later
// one is not, since that would undo those before it; the next transaction finds all in order.
func TestChangeMeetsATransaction(t *testing.T) {
	t.Parallel()
	for name, change := range schemaChanges {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := twoSchemas(t)
			pool := open(t, db.Config(pgtest.Runtime))
			ctx := inSchema(t.Context(), "one")
			require.NoError(t, readItems(ctx, pool))
			db.Exec(t, pgtest.Owner, change)
			tx, err := pool.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead})
			require.NoError(t, err)
			require.NoError(t, readItems(ctx, tx))
			var isolation, id string
			require.NoError(t, tx.QueryRowContext(ctx, "select current_setting('transaction_isolation'), current_setting('app.tenant_id')").Scan(&isolation, &id))
			require.Equal(t, "repeatable read", isolation)
			require.Equal(t, "1", id)
			require.NoError(t, tx.Commit())

			require.NoError(t, readItems(ctx, pool)) // prepared again
			db.Exec(t, pgtest.Owner, "alter table one.items add later int")
			second := func(tx *sql.Tx) error {
				if _, err := tx.ExecContext(ctx, "select 1"); err != nil {
					return err
				}
				return readItems(ctx, tx)
			}
			require.ErrorContains(t, inTransaction(ctx, pool, second), "0A000")
			require.NoError(t, inTransaction(ctx, pool, second))
		})
	}
}

// Arguments are encoded for the types that the server named when it described the statement.
func TestArgumentsAfterAColumnWasRetyped(t *testing.T) {
	t.Parallel()
	db := twoSchemas(t)
	pool := open(t, db.Config(pgtest.Runtime))
	ctx := inSchema(t.Context(), "one")
	count := func(q queryer, code any) (n int, err error) {
		err = q.QueryRowContext(ctx, "select count(*) from items where code = $1", code).Scan(&n)
		return n, err
	}
	for i, step := range []struct {
		change string
		code   any
	}{
		{"select", 7},
		{"alter table one.items alter code type text using code::text", "7"},
		{"update one.items set code = 'seven'", "seven"},
		{"alter table one.items alter code type boolean using true", true},
		{"alter table one.items alter code type numeric using 1.5", 1.5},
	} {
		db.Exec(t, pgtest.Owner, step.change)
		n, err := count(pool, step.code)
		require.NoError(t, err, step.change)
		require.Equal(t, 1, n, step.change)
		if i%2 == 1 {
			continue
		}
		require.NoError(t, inTransaction(ctx, pool, func(tx *sql.Tx) error { _, err := count(tx, step.code); return err }))
	}
	// A write that fails in its own right is not executed twice, and leaves the statement usable.
	_, err := pool.ExecContext(ctx, "update items set extra = 'y' where code = $1", 1.5)
	require.NoError(t, err)
}

func TestOthersAreServedDuringChanges(t *testing.T) {
	t.Parallel()
	db := twoSchemas(t)
	pool := open(t, db.Config(pgtest.Runtime))
	pool.SetMaxOpenConns(4)
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for i := range 8 {
		ctx := inSchema(t.Context(), []string{"one", "two"}[i%2])
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := readItems(ctx, pool); err != nil {
					t.Errorf("reader %d: %v", i, err)
					return
				}
			}
		})
	}
	for i := range 10 {
		db.Exec(t, pgtest.Owner, fmt.Sprintf("alter table one.items add c%d int; alter table one.items alter code type %s using code::%[2]s", i, []string{"text", "bigint"}[i%2]))
	}
	close(stop)
	readers.Wait()
}

// The limits are the server's settings during a transaction, implicit or not, and no longer.
func TestTimeouts(t *testing.T) {
	t.Parallel()
	db := database(t)
	config := db.Config(pgtest.Runtime)
	pool := sql.OpenDB(session.NewConnector(config).With(session.Options{StatementTimeout: 200 * time.Millisecond, LockTimeout: 100 * time.Millisecond, TxForm: form(t)}))
	t.Cleanup(func() { _ = pool.Close() })
	pool.SetMaxOpenConns(1)
	ctx := tenant(t.Context(), 1)
	locker := db.Connect(t, pgtest.Owner)
	_, err := locker.Exec(t.Context(), "begin; lock table things")
	require.NoError(t, err)
	for name, query := range map[string]string{"57014": "select pg_sleep(60 * $1)", "55P03": "select count(*) from things where id >= $1"} {
		_, err := pool.ExecContext(ctx, query, 1)
		require.ErrorIs(t, err, scopes.ErrTimeout, query)
		require.ErrorIs(t, err, scopes.ErrUnavailable, query)
		require.ErrorContains(t, err, name)
		err = inTransaction(ctx, pool, func(tx *sql.Tx) error { _, err := tx.ExecContext(ctx, query, 1); return err })
		require.ErrorIs(t, err, scopes.ErrTimeout, query)
	}
	_, err = locker.Exec(t.Context(), "rollback")
	require.NoError(t, err)
	_, rows := ask(t, pool, ctx)
	require.Equal(t, 100, rows)
}
