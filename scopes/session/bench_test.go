package session_test

import (
	"context"
	"database/sql"
	"testing"

	"github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"

	"tenanted/scopes/pgtest"
	"tenanted/scopes/session"
)

// BenchmarkForms reads one row, and inserts and deletes one, by each form, and as the floor without a tenant's settings.
func BenchmarkForms(b *testing.B) {
	db := pgtest.Database(b, "session", build)
	pools := map[string]*sql.DB{"floor": stdlib.OpenDB(*db.Config(pgtest.Owner))}
	options := session.Options{StatementTimeout: 5e9, LockTimeout: 2e9, ApplicationName: "bench"}
	for _, options.TxForm = range []session.TxForm{session.ImplicitTx, session.ExplicitTx} {
		pools[string(options.TxForm)] = sql.OpenDB(session.NewConnector(db.Config(pgtest.Runtime)).With(options))
	}
	ctx := tenant(context.WithoutCancel(b.Context()), 1)
	for _, name := range []string{"floor", string(session.ImplicitTx), string(session.ExplicitTx)} {
		pool := pools[name]
		b.Cleanup(func() { _ = pool.Close() })
		pool.SetMaxOpenConns(1)
		b.Run("read/"+name, func(b *testing.B) {
			for b.Loop() {
				var got string
				require.NoError(b, pool.QueryRowContext(ctx, "select name from things where account_id = $1 and id = $2", 1, 7).Scan(&got))
			}
		})
		b.Run("transaction/"+name, func(b *testing.B) {
			for b.Loop() {
				tx, err := pool.BeginTx(ctx, nil)
				require.NoError(b, err)
				_, err = tx.ExecContext(ctx, "update things set name = name where account_id = $1 and id = $2", 1, 7)
				require.NoError(b, err)
				require.NoError(b, tx.Commit())
			}
		})
	}
}
