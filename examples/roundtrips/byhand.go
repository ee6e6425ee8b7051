package roundtrips

import (
	"context"
	"database/sql"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// setLocal tells PostgreSQL the tenant until the end of the transaction.
const setLocal = "select set_config('app.tenant_id', $1, true)"

// byHandPgx begins a transaction for each statement, and sets the tenant in it.
func byHandPgx(pool *pgxpool.Pool) way {
	inTx := func(ctx context.Context, f func(pgx.Tx) error) error {
		return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, setLocal, key(ctx)); err != nil {
				return err
			}
			return f(tx)
		})
	}
	return way{
		read: func(ctx context.Context) (text string, err error) {
			err = inTx(ctx, func(tx pgx.Tx) error { return tx.QueryRow(ctx, selectNote).Scan(&text) })
			return text, err
		},
		readTwice: func(ctx context.Context) error {
			return inTx(ctx, func(tx pgx.Tx) error { return twicePgx(ctx, tx) })
		},
		forgetful: func(ctx context.Context) (text string, err error) {
			err = pool.QueryRow(ctx, selectNote).Scan(&text)
			return text, err
		},
	}
}

// byHandSQL is the same with database/sql.
func byHandSQL(db *sql.DB) way {
	inTx := func(ctx context.Context, f func(*sql.Tx) error) error {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer tx.Rollback() // after Commit it does nothing
		if _, err := tx.ExecContext(ctx, setLocal, key(ctx)); err != nil {
			return err
		}
		if err := f(tx); err != nil {
			return err
		}
		return tx.Commit()
	}
	return way{
		read: func(ctx context.Context) (text string, err error) {
			err = inTx(ctx, func(tx *sql.Tx) error { return tx.QueryRowContext(ctx, selectNote).Scan(&text) })
			return text, err
		},
		readTwice: func(ctx context.Context) error {
			return inTx(ctx, func(tx *sql.Tx) error { return twiceSQL(ctx, tx) })
		},
		forgetful: func(ctx context.Context) (text string, err error) {
			err = db.QueryRowContext(ctx, selectNote).Scan(&text)
			return text, err
		},
	}
}

// byHandBatch sends the tenant and the statement as one batch, which is one implicit transaction.
func byHandBatch(pool *pgxpool.Pool) way {
	w := byHandPgx(pool)
	w.read = func(ctx context.Context) (text string, err error) {
		batch := &pgx.Batch{}
		batch.Queue(setLocal, key(ctx))
		batch.Queue(selectNote).QueryRow(func(row pgx.Row) error { return row.Scan(&text) })
		err = pool.SendBatch(ctx, batch).Close()
		return text, err
	}
	return w
}
