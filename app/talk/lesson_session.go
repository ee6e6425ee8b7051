package talk

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"tenanted/scopes"
	"tenanted/scopes/session"
)

// setForTheSession tells the server the tenant until the connection ends, as middleware often does.
func setForTheSession(ctx context.Context, db *sql.DB, tenant string) error {
	_, err := db.ExecContext(ctx, "SELECT set_config('app.tenant_id', $1, false)", tenant)
	return err
}

// countWithoutTenant is the next request on a pooled connection. Nobody told the server for whom.
func countWithoutTenant(ctx context.Context, db *sql.DB) (n int64, err error) {
	return n, db.QueryRowContext(ctx, "SELECT count(*) FROM subtasks").Scan(&n)
}

var leakingPool = Experiment{
	Name: "session-setting", Title: "Set the tenant for the session", code: []any{setForTheSession, countWithoutTenant, currentTenant},
	Claim: "A setting of the session stays on the pooled connection, and the next request works for the last one’s tenant; what is set for the transaction is gone after it.",
	run: func(ctx context.Context, t *trial) error {
		pool := t.plain(t.lab.as(t.lab.server.Runtime, t.lab.server.Database), fullSchema)
		pool.SetMaxOpenConns(1)
		if err := pool.PingContext(ctx); err != nil {
			return err
		}
		t.begin()
		if err := setForTheSession(ctx, pool, "2"); err != nil {
			return err
		}
		leaked, err := countWithoutTenant(ctx, pool)
		if err != nil {
			return err
		}
		t.answer("after a session-level setting", "the next request, without a tenant, sees %d rows: all of Bolt’s", leaked)
		t.expect(leaked == subtasksOf(2), "%d rows leaked", leaked)
		return t.nothingLeft(ctx)
	},
}

// currentTenant asks the server for whom it works.
func currentTenant(ctx context.Context, db rowQueryer) (tenant string, err error) {
	return tenant, db.QueryRow(ctx, "SELECT coalesce(current_setting('app.tenant_id', true), '')").Scan(&tenant)
}

// rowQueryer is a pool with the session layer, or the same one without.
type rowQueryer interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// nothingLeft shows that the session layer leaves no tenant on a connection: it asks through the layer, and then past it.
func (t *trial) nothingLeft(ctx context.Context) error {
	config, err := pgxpool.ParseConfig("")
	if err != nil {
		return err
	}
	config.ConnConfig, config.MaxConns = t.recorder.Watch(t.lab.as(t.lab.server.Runtime, t.lab.server.Database)), 1
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return err
	}
	defer pool.Close()
	bolt := scopes.WithTenant(ctx, in(t.lab.Tenants[1], fullSchema))
	during, err := currentTenant(bolt, session.NewPool(pool))
	if err != nil {
		return err
	}
	after, err := currentTenant(ctx, pool)
	t.end()
	t.answer("with the session layer", "during Bolt’s statement the tenant is %q, on the same connection after it %q", during, after)
	t.expect(during == "2" && after == "", "%q during, %q after", during, after)
	t.stopped(Session, "nothing is left on the connection")
	return err
}

// readByHand sets the tenant as one does by hand: BEGIN, set_config, the query, COMMIT.
func readByHand(ctx context.Context, db *sql.DB, tenant string) (n int64, err error) {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return 0, err
	}
	defer tx.Rollback()
	if _, err := tx.ExecContext(ctx, "SELECT set_config('app.tenant_id', $1, true)", tenant); err != nil {
		return 0, err
	}
	if err := tx.QueryRowContext(ctx, "SELECT count(*) FROM subtasks").Scan(&n); err != nil {
		return 0, err
	}
	return n, tx.Commit()
}

// readByContext leaves the tenant to the session layer.
func readByContext(ctx context.Context, db *sql.DB) (n int64, err error) {
	return n, db.QueryRowContext(ctx, "SELECT count(*) FROM subtasks").Scan(&n)
}

var roundTrips = Experiment{
	Name: "round-trips", Title: "One round trip or four", code: []any{readByHand, readByContext},
	Claim: "Setting the tenant by hand takes four round trips for one statement; the session sends both in one message and waits once.",
	run: func(ctx context.Context, t *trial) error {
		tenant := in(t.lab.Tenants[0], fullSchema)
		role := t.lab.as(t.lab.server.Runtime, t.lab.server.Database)
		plain := t.plain(role, fullSchema)
		ours, err := t.registry(role)
		if err != nil {
			return err
		}
		byHand := func() (int64, error) { return readByHand(ctx, plain, tenant.Key()) }
		byContext := func() (int64, error) { return readByContext(scopes.WithTenant(ctx, tenant), ours) }
		four, err := t.trips("by hand", byHand)
		if err != nil {
			return err
		}
		one, err := t.trips("by the session", byContext)
		t.expect(four == 4 && one == 1, "%d and %d round trips", four, one)
		return err
	},
}

// trips counts a warm call's round trips.
func (t *trial) trips(label string, f func() (int64, error)) (int64, error) {
	for range 2 {
		if _, err := f(); err != nil {
			return 0, err
		}
	}
	before := t.result.Sent
	t.begin()
	_, err := f()
	t.end()
	t.result.Sent = append(before, t.result.Sent...)
	t.answer(label, "%d waits for the server, %.2f ms", t.result.Trips, float64(t.result.Took.Microseconds())/1000)
	return t.result.Trips, err
}

// openFor opens a connection, as a role of PostgreSQL for each tenant would need one.
func openFor(ctx context.Context, as *pgx.ConnConfig) error {
	conn, err := pgx.ConnectConfig(ctx, as)
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

// tellTheTenant changes for whom an open connection works.
func tellTheTenant(ctx context.Context, db *sql.DB, tenant string) error {
	_, err := db.ExecContext(ctx, "SELECT set_config('app.tenant_id', $1, true)", tenant)
	return err
}

var rolePerTenant = Experiment{
	Name: "role-per-tenant", Title: "A connection for each tenant", code: []any{openFor, tellTheTenant},
	Claim: "With a PostgreSQL user for each tenant every change of tenant is a new connection, which costs many times what changing a setting does.",
	run: func(ctx context.Context, t *trial) error {
		role := t.lab.as(t.lab.server.Runtime, t.lab.server.Database)
		pool := stdlib.OpenDB(*role)
		defer pool.Close()
		if err := tellTheTenant(ctx, pool, "1"); err != nil {
			return err
		}
		const tenants = 20
		connections, err := timed(tenants, func(int) error { return openFor(ctx, role) })
		if err != nil {
			return err
		}
		settings, err := timed(tenants, func(i int) error { return tellTheTenant(ctx, pool, fmt.Sprint(i+1)) })
		t.answer("20 tenants, each by a connection of its own", "%v", connections.Round(10*time.Microsecond))
		t.answer("20 tenants, each by a setting", "%v", settings.Round(10*time.Microsecond))
		t.expect(connections > 3*settings, "%v against %v", connections, settings)
		return err
	},
}

// timed calls f some times.
func timed(times int, f func(int) error) (time.Duration, error) {
	began := time.Now()
	for i := range times {
		if err := f(i); err != nil {
			return 0, err
		}
	}
	return time.Since(began), nil
}
