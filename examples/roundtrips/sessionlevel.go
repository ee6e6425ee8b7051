package roundtrips

import (
	"context"
	"database/sql"
	"errors"
)

// setSession tells PostgreSQL the tenant until something else is said on the connection.
const setSession = "select set_config('app.tenant_id', $1, false)"

// sessionLevel sets the tenant on a connection before it is used and takes it off again afterwards, as some libraries do.
func sessionLevel(db *sql.DB) way {
	onConn := func(ctx context.Context, f func(*sql.Conn) error) (err error) {
		conn, err := db.Conn(ctx)
		if err != nil {
			return err
		}
		defer conn.Close()
		if _, err := conn.ExecContext(ctx, setSession, key(ctx)); err != nil {
			return err
		}
		defer func() {
			_, failed := conn.ExecContext(context.WithoutCancel(ctx), setSession, "")
			err = errors.Join(err, failed)
		}()
		return f(conn)
	}
	return way{
		read: func(ctx context.Context) (text string, err error) {
			err = onConn(ctx, func(conn *sql.Conn) error { return conn.QueryRowContext(ctx, selectNote).Scan(&text) })
			return text, err
		},
		readTwice: func(ctx context.Context) error {
			return onConn(ctx, func(conn *sql.Conn) error {
				tx, err := conn.BeginTx(ctx, nil)
				if err != nil {
					return err
				}
				defer tx.Rollback() // after Commit it does nothing
				if err := twiceSQL(ctx, tx); err != nil {
					return err
				}
				return tx.Commit()
			})
		},
		forgetful: func(ctx context.Context) (text string, err error) {
			err = db.QueryRowContext(ctx, selectNote).Scan(&text)
			return text, err
		},
	}
}
