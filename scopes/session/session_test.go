package session_test

import (
	"context"
	"database/sql"
	"io"
	"log/slog"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"tenanted/scopes"
	"tenanted/scopes/pgtest"
	"tenanted/scopes/session"
)

func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.NewTextHandler(io.Discard, nil))) // AllTenants warns
	pgtest.Main(m)
}

func build(ctx context.Context, conn *pgx.Conn) error {
	_, err := conn.Exec(ctx, `
		create table things (account_id bigint not null, id bigint not null, name text, primary key (account_id, id));
		create table parts (id bigint primary key, thing bigint not null);
		alter table parts add foreign key (id) references parts (id) deferrable initially deferred;
		create table uniques (id bigint unique deferrable initially deferred);
		alter table things enable row level security;
		create policy tenant on things using (account_id = nullif(current_setting('app.tenant_id', true), '')::bigint);
		insert into things select t, n, 'thing of ' || t from generate_series(1, 3) t, generate_series(1, 100) n;
		grant select, insert, update, delete on things, parts, uniques to `+pgtest.Runtime)
	return err
}

func database(t *testing.T) *pgtest.DB { return pgtest.Database(t, "session", build) }

// open returns a pool of one connection, so that whatever is left on it meets the next user.
func open(t *testing.T, config *pgx.ConnConfig) *sql.DB {
	pool := sql.OpenDB(session.NewConnector(config).With(session.Options{TxForm: form(t)}))
	pool.SetMaxOpenConns(1)
	t.Cleanup(func() {
		require.Zero(t, pool.Stats().InUse, "connections in use")
		require.NoError(t, pool.Close())
	})
	return pool
}

func tenant(ctx context.Context, id scopes.TenantID) context.Context {
	return scopes.WithTenant(ctx, scopes.Tenant{ID: id})
}

// who asks for what is in force and visible.
const who = "select coalesce(current_setting('app.tenant_id', true), ''), (select count(*) from things)"

func ask(t *testing.T, q interface {
	QueryRowContext(context.Context, string, ...any) *sql.Row
}, ctx context.Context) (setting string, rows int) {
	t.Helper()
	require.NoError(t, q.QueryRowContext(ctx, who).Scan(&setting, &rows))
	return setting, rows
}

func TestEachStatementCarriesItsTenant(t *testing.T) {
	t.Parallel()
	pool := open(t, database(t).Config(pgtest.Runtime))
	for i := range 6 {
		id := scopes.TenantID(i%3 + 1)
		setting, rows := ask(t, pool, tenant(t.Context(), id))
		require.Equal(t, strconv.Itoa(int(id)), setting)
		require.Equal(t, 100, rows)
	}
}

func TestNoTenant(t *testing.T) {
	t.Parallel()
	var trips pgtest.RoundTrips
	config := trips.Watch(database(t).Config(pgtest.Runtime))
	pool := open(t, config)
	ask(t, pool, tenant(t.Context(), 1))
	ask(t, pool, tenant(t.Context(), 1)) // the driver pings a connection that it has not seen for a second, or ever
	before := trips.N()
	for name, call := range map[string]func(context.Context) error{
		"query":   func(ctx context.Context) error { return pool.QueryRowContext(ctx, "select 1").Scan(new(int)) },
		"exec":    func(ctx context.Context) error { _, err := pool.ExecContext(ctx, "select 1"); return err },
		"begin":   func(ctx context.Context) error { _, err := pool.BeginTx(ctx, nil); return err },
		"prepare": func(ctx context.Context) error { _, err := pool.PrepareContext(ctx, "select 1"); return err },
	} {
		for _, ctx := range []context.Context{t.Context(), tenant(t.Context(), 0), tenant(t.Context(), -1), scopes.AllTenants(t.Context(), "test")} {
			var missing *scopes.TenantMissingError
			require.ErrorAs(t, call(ctx), &missing, name)
		}
	}
	require.Equal(t, before, trips.N(), "nothing may be sent")
}

func TestTransactionCarriesItsTenant(t *testing.T) {
	t.Parallel()
	pool := open(t, database(t).Config(pgtest.Runtime))
	ctx := tenant(t.Context(), 2)
	tx, err := pool.BeginTx(ctx, nil)
	require.NoError(t, err)
	setting, rows := ask(t, tx, ctx)
	require.Equal(t, "2", setting)
	require.Equal(t, 100, rows)

	_, err = tx.ExecContext(tenant(t.Context(), 3), "select 1")
	require.ErrorContains(t, err, "tenant 3 inside a transaction of tenant 2")
	var missing *scopes.TenantMissingError
	_, err = tx.ExecContext(t.Context(), "select 1")
	require.ErrorAs(t, err, &missing)
	_, err = tx.ExecContext(scopes.AllTenants(t.Context(), "test"), "select 1")
	require.ErrorAs(t, err, &missing)
	require.NoError(t, tx.Commit())

	setting, _ = ask(t, pool, tenant(t.Context(), 1))
	require.Equal(t, "1", setting)
}

func TestSavepoints(t *testing.T) {
	t.Parallel()
	pool := open(t, database(t).Config(pgtest.Runtime))
	ctx := tenant(t.Context(), 1)
	tx, err := pool.BeginTx(ctx, nil)
	require.NoError(t, err)
	for _, sql := range []string{"savepoint here", "insert into things values (1, 1000, 'x')"} {
		_, err = tx.ExecContext(ctx, sql)
		require.NoError(t, err)
	}
	_, err = tx.ExecContext(ctx, "select 1/0")
	require.Error(t, err)
	_, err = tx.ExecContext(ctx, "rollback to savepoint here")
	require.NoError(t, err)
	setting, rows := ask(t, tx, ctx)
	require.Equal(t, "1", setting)
	require.Equal(t, 100, rows)
	require.NoError(t, tx.Rollback())
}

func TestTransactionEndedBySQL(t *testing.T) {
	t.Parallel()
	pool := open(t, database(t).Config(pgtest.Runtime))
	ctx := tenant(t.Context(), 1)
	for _, end := range []string{"commit", "rollback", "end"} {
		tx, err := pool.BeginTx(ctx, nil)
		require.NoError(t, err)
		_, err = tx.ExecContext(ctx, end)
		require.NoError(t, err)
		_, err = tx.ExecContext(ctx, "select 1")
		require.ErrorContains(t, err, "use Commit or Rollback")
		_ = tx.Rollback()
		setting, rows := ask(t, pool, tenant(t.Context(), 2))
		require.Equal(t, "2", setting)
		require.Equal(t, 100, rows)
	}
}

func TestTransactionOptions(t *testing.T) {
	t.Parallel()
	pool := open(t, database(t).Config(pgtest.Runtime))
	ctx := tenant(t.Context(), 1)
	for level, name := range map[sql.IsolationLevel]string{
		sql.LevelDefault: "read committed", sql.LevelReadCommitted: "read committed",
		sql.LevelRepeatableRead: "repeatable read", sql.LevelSnapshot: "repeatable read", sql.LevelSerializable: "serializable",
	} {
		tx, err := pool.BeginTx(ctx, &sql.TxOptions{Isolation: level, ReadOnly: true})
		require.NoError(t, err)
		var isolation, readOnly string
		require.NoError(t, tx.QueryRowContext(ctx, "select current_setting('transaction_isolation'), current_setting('transaction_read_only')").Scan(&isolation, &readOnly))
		require.Equal(t, name, isolation)
		require.Equal(t, "on", readOnly)
		require.NoError(t, tx.Rollback())
	}
	_, err := pool.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelLinearizable})
	require.ErrorContains(t, err, "isolation level")
}

func TestOneStatementAtATime(t *testing.T) {
	t.Parallel()
	pool := open(t, database(t).Config(pgtest.Runtime))
	ctx := tenant(t.Context(), 1)
	for _, sql := range []string{
		"select 1; select 2",
		"rollback; select 1",
		"select set_config('app.tenant_id', '2', true); delete from things",
	} {
		_, err := pool.ExecContext(ctx, sql)
		require.ErrorContains(t, err, "42601", sql)
	}
	_, err := pool.ExecContext(ctx, "begin")
	require.ErrorContains(t, err, "BeginTx")
	setting, rows := ask(t, pool, ctx)
	require.Equal(t, "1", setting)
	require.Equal(t, 100, rows)
}

func TestDeferredConstraintSurfaces(t *testing.T) {
	t.Parallel()
	pool := open(t, database(t).Config(pgtest.Runtime))
	ctx := tenant(t.Context(), 1)
	_, err := pool.ExecContext(ctx, "insert into uniques values ($1), ($1)", 1)
	require.ErrorContains(t, err, "23505")

	rows, err := pool.QueryContext(ctx, "insert into uniques values ($1), ($1) returning id", 1)
	require.NoError(t, err)
	for rows.Next() {
	}
	require.ErrorContains(t, rows.Err(), "23505")

	tx, err := pool.BeginTx(ctx, nil)
	require.NoError(t, err)
	_, err = tx.ExecContext(ctx, "insert into uniques values (1), (1)")
	require.NoError(t, err)
	require.ErrorContains(t, tx.Commit(), "23505")
	ask(t, pool, ctx)
}

func TestAllTenantsReadsOnly(t *testing.T) {
	t.Parallel()
	db := database(t)
	pool := sql.OpenDB(session.NewAllTenantsConnector(db.Config(pgtest.Owner)))
	t.Cleanup(func() { _ = pool.Close() })
	ctx := scopes.AllTenants(t.Context(), "test")
	var rows int
	require.NoError(t, pool.QueryRowContext(ctx, "select count(*) from things").Scan(&rows))
	require.Equal(t, 300, rows)
	_, err := pool.ExecContext(ctx, "delete from things")
	require.ErrorContains(t, err, "25006")
	_, err = pool.ExecContext(tenant(t.Context(), 1), "select 1")
	require.ErrorContains(t, err, "AllTenants")
}

func TestAnotherDatabase(t *testing.T) {
	t.Parallel()
	pool := open(t, database(t).Config(pgtest.Runtime))
	ctx := scopes.WithTenant(t.Context(), scopes.Tenant{ID: 1, Placement: scopes.Placement{Database: "elsewhere"}})
	_, err := pool.ExecContext(ctx, "select 1")
	require.ErrorContains(t, err, `lives in database "elsewhere"`)
}

func TestRowsClosedEarly(t *testing.T) {
	t.Parallel()
	pool := open(t, database(t).Config(pgtest.Runtime))
	for _, query := range []string{"select * from things", "select * from things where id > $1"} {
		args := make([]any, 0, 1)
		if query[len(query)-1] == '1' {
			args = append(args, 0)
		}
		rows, err := pool.QueryContext(tenant(t.Context(), 1), query, args...)
		require.NoError(t, err)
		require.True(t, rows.Next())
		require.NoError(t, rows.Close())
		setting, n := ask(t, pool, tenant(t.Context(), 2))
		require.Equal(t, "2", setting)
		require.Equal(t, 100, n)
	}
}

func TestCancelledWhileRowsAreOpen(t *testing.T) {
	t.Parallel()
	pool := open(t, database(t).Config(pgtest.Runtime))
	ctx, cancel := context.WithCancel(tenant(t.Context(), 1))
	rows, err := pool.QueryContext(ctx, "select name, pg_sleep(n / 50000) from things, generate_series(1, 100000) n")
	require.NoError(t, err)
	require.True(t, rows.Next())
	cancel()
	for rows.Next() {
	}
	require.ErrorIs(t, rows.Err(), context.Canceled)
	setting, n := ask(t, pool, tenant(t.Context(), 2))
	require.Equal(t, "2", setting)
	require.Equal(t, 100, n)
}

func TestCancelledInATransaction(t *testing.T) {
	t.Parallel()
	pool := open(t, database(t).Config(pgtest.Runtime))
	ctx, cancel := context.WithCancel(tenant(t.Context(), 1))
	tx, err := pool.BeginTx(ctx, nil)
	require.NoError(t, err)
	time.AfterFunc(20*time.Millisecond, cancel)
	_, err = tx.ExecContext(ctx, "select pg_sleep(60)")
	require.ErrorIs(t, err, context.Canceled)
	_ = tx.Rollback()
	setting, _ := ask(t, pool, tenant(t.Context(), 2))
	require.Equal(t, "2", setting)
}

func TestTerminatedConnection(t *testing.T) {
	t.Parallel()
	db := database(t)
	pool := open(t, db.Config(pgtest.Runtime))
	ctx := tenant(t.Context(), 1)
	kill := func() {
		db.Exec(t, pgtest.Superuser, "select pg_terminate_backend(pid) from pg_stat_activity where usename = '"+pgtest.Runtime+"' and datname = current_database()")
	}

	ask(t, pool, ctx)
	kill()
	ask(t, pool, ctx) // nothing was executed, so it is tried again on a new connection

	tx, err := pool.BeginTx(ctx, nil)
	require.NoError(t, err)
	kill()
	_, err = tx.ExecContext(ctx, "select 1")
	require.ErrorIs(t, err, scopes.ErrUnavailable)
	_ = tx.Rollback()
	ask(t, pool, ctx)
}

func TestServerNotThere(t *testing.T) {
	t.Parallel()
	config := database(t).Config(pgtest.Runtime)
	config.Host, config.Fallbacks = t.TempDir(), nil
	pool := open(t, config)
	_, err := pool.ExecContext(tenant(t.Context(), 1), "select 1")
	require.ErrorIs(t, err, scopes.ErrUnavailable)
}

func TestRoundTrips(t *testing.T) {
	t.Parallel()
	var trips pgtest.RoundTrips
	pool := open(t, trips.Watch(database(t).Config(pgtest.Runtime)))
	ctx := tenant(t.Context(), 1)
	const prepared = "select name from things where id = $1"
	read := func(query string, args ...any) {
		require.NoError(t, pool.QueryRowContext(ctx, query, args...).Scan(new(string)))
	}
	read(prepared, 1) // connects, and prepares
	read(prepared, 1) // and the driver has seen that the connection lives
	for name, c := range map[string]struct {
		trips int64
		do    func()
	}{
		"bare read":                 {1, func() { read(prepared, 2) }},
		"bare read, no arguments":   {1, func() { read("select 'x'") }},
		"first time with arguments": {2, func() { read("select name from things where id = $1 and id > 0", 1) }},
		"transaction": {3, func() {
			tx, err := pool.BeginTx(ctx, nil)
			require.NoError(t, err)
			require.NoError(t, tx.QueryRowContext(ctx, prepared, 3).Scan(new(string)))
			require.NoError(t, tx.Commit())
		}},
	} {
		before := trips.N()
		c.do()
		require.Equal(t, c.trips, trips.N()-before, name)
	}
}
