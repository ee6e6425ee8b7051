package fleet

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"tenanted/scopes"
)

// try migrates a placement in a transaction that is rolled back.
func (w *worker) try(ctx context.Context, p scopes.Placement, _ state) (r Result) {
	began := time.Now()
	r = Result{Placement: p, Tries: 1}
	defer func() { r.Took = time.Since(began) }()
	if r.Err = w.open(ctx); r.Err != nil {
		return r
	}
	if r.Err = w.fleet.lock(ctx, w.conn, p, w.fleet.forSession(p), w.waiting); r.Err != nil {
		return r
	}
	var locks []TableLock
	r.Err = w.inTransaction(ctx, func(db *sql.DB) (err error) {
		var newest uint32 // of the objects there are
		if err := w.conn.QueryRow(ctx, "select coalesce(max(oid::bigint), 0)::oid from pg_class").Scan(&newest); err != nil {
			return err
		}
		if r.From, r.To, err = w.within(ctx, db, p); err != nil {
			return err
		}
		locks, err = tableLocks(ctx, w.conn, newest)
		return err
	}, "rollback")
	r.Locks = locks
	cleanup, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTime)
	defer cancel()
	r.Err = errors.Join(r.Err, w.fleet.unlock(cleanup, w.conn, p))
	return r
}

// inTransaction calls work in a transaction, which ends with a statement, or is rolled back after an error. Transactions in the database
// that work gets are savepoints.
func (w *worker) inTransaction(ctx context.Context, work func(*sql.DB) error, end string) error {
	held, err := w.db.Conn(ctx) // before there is a transaction, in which database/sql would not give it
	if err != nil {
		return err
	}
	defer held.Close()
	if _, err := w.conn.Exec(ctx, "begin"); err != nil {
		return err
	}
	db := sql.OpenDB(nested{held})
	db.SetMaxOpenConns(1)
	err = errors.Join(work(db), db.Close())
	if err == nil && end != "rollback" {
		_, err = w.conn.Exec(ctx, end)
		return err
	}
	cleanup, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTime)
	defer cancel()
	_, failed := w.conn.Exec(cleanup, "rollback")
	return errors.Join(err, failed)
}

// within brings a placement up in the open transaction that db is, and returns the versions before and after.
func (w *worker) within(ctx context.Context, db *sql.DB, p scopes.Placement) (from, to int64, err error) {
	if err := w.enter(ctx, p); err != nil {
		return 0, 0, err
	}
	provider, err := w.fleet.provider(db)
	if err != nil {
		return 0, 0, err
	}
	if from, _, err = provider.GetVersions(ctx); err != nil {
		return from, from, err
	}
	if _, err = provider.Up(ctx); err != nil {
		return from, from, err
	}
	to, _, err = provider.GetVersions(ctx)
	return from, to, err
}

// tableLocks returns the locks of the transaction that keep others waiting, on tables that were there before.
func tableLocks(ctx context.Context, conn *pgx.Conn, newest uint32) ([]TableLock, error) {
	rows, _ := conn.Query(ctx, `
		select c.relname::text, (array_agg(l.mode order by array_position(array['ShareUpdateExclusiveLock', 'ShareLock', 'ShareRowExclusiveLock',
			'ExclusiveLock', 'AccessExclusiveLock'], l.mode) desc))[1]
		from pg_locks l join pg_class c on c.oid = l.relation
		where l.pid = pg_backend_pid() and l.locktype = 'relation' and c.relkind in ('r', 'p') and c.oid::bigint <= $1
		  and c.relnamespace <> 'pg_catalog'::regnamespace and l.mode not in ('AccessShareLock', 'RowShareLock', 'RowExclusiveLock')
		group by 1 order by 1`, int64(newest))
	return pgx.CollectRows(rows, pgx.RowToStructByPos[TableLock])
}

// nested is a driver.Connector of one connection, in whose open transaction transactions are savepoints.
type nested struct{ held *sql.Conn }

// Connect implements driver.Connector.
func (n nested) Connect(context.Context) (driver.Conn, error) {
	var c nestedConn
	err := n.held.Raw(func(conn any) error {
		c.Conn = conn.(*stdlib.Conn)
		return nil
	})
	return c, err
}

// Driver implements driver.Connector.
func (nested) Driver() driver.Driver { return stdlib.GetDefaultDriver() }

type nestedConn struct{ *stdlib.Conn }

var _ driver.ConnBeginTx = nestedConn{}

// Close implements driver.Conn. The connection stays open.
func (nestedConn) Close() error { return nil }

// ResetSession implements driver.SessionResetter: in a transaction there is nothing that pgx's could do.
func (nestedConn) ResetSession(context.Context) error { return nil }

// Begin implements driver.Conn.
func (c nestedConn) Begin() (driver.Tx, error) {
	return c.BeginTx(context.Background(), driver.TxOptions{})
}

const savepoint = "migration"

// BeginTx implements driver.ConnBeginTx.
func (c nestedConn) BeginTx(ctx context.Context, _ driver.TxOptions) (driver.Tx, error) {
	return c, c.exec(ctx, "savepoint "+savepoint)
}

// Commit implements driver.Tx.
func (c nestedConn) Commit() error {
	return c.exec(context.Background(), "release savepoint "+savepoint)
}

// Rollback implements driver.Tx.
func (c nestedConn) Rollback() error {
	return c.exec(context.Background(), "rollback to savepoint "+savepoint)
}

func (c nestedConn) exec(ctx context.Context, statement string) error {
	if _, err := c.Conn.ExecContext(ctx, statement, nil); err != nil {
		return fmt.Errorf("%s: %w", statement, err)
	}
	return nil
}
