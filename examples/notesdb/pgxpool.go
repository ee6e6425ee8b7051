package notesdb

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"tenanted/scopes/session"
)

// Pool opens a pool for tenants' statements over Runtime. It is closed when the test ends.
func (db *DB) Pool(t testing.TB) *session.Pool {
	t.Helper()
	return session.NewPool(db.PlainPool(t))
}

// PlainPool opens pgx's own pool over Runtime. A program has it from pgxpool.New(ctx, os.Getenv("DATABASE_URL")).
func (db *DB) PlainPool(t testing.TB) *pgxpool.Pool {
	t.Helper()
	config, err := pgxpool.ParseConfig("")
	require.NoError(t, err)
	config.ConnConfig = db.Runtime.Copy()
	pool, err := pgxpool.NewWithConfig(context.WithoutCancel(t.Context()), config)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	return pool
}
