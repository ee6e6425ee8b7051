package session_test

import (
	"database/sql"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"tenanted/scopes"
	"tenanted/scopes/pgtest"
	"tenanted/scopes/session"
)

// What is only to read runs in a read-only transaction, and costs no round trip more. Within a transaction the one it was begun
// as counts.
func TestReading(t *testing.T) {
	t.Parallel()
	var trips pgtest.RoundTrips
	db := database(t)
	pool := open(t, trips.Watch(db.Config(pgtest.Runtime)))
	writing := tenant(t.Context(), 1)
	reading := scopes.Reading(writing)
	const write = "update things set name = 'changed' where id = 1"
	for range 2 { // prepared, and anew
		_, rows := ask(t, pool, reading)
		require.Equal(t, 100, rows)
		_, err := pool.ExecContext(reading, write)
		require.ErrorContains(t, err, "25006")
		_, err = pool.ExecContext(writing, write)
		require.NoError(t, err)
	}
	before := trips.N()
	ask(t, pool, reading)
	require.EqualValues(t, 1, trips.N()-before)

	tx, err := pool.BeginTx(reading, nil)
	require.NoError(t, err)
	_, err = tx.ExecContext(writing, write)
	require.ErrorContains(t, err, "25006")
	require.NoError(t, tx.Rollback())

	tx, err = pool.BeginTx(writing, &sql.TxOptions{})
	require.NoError(t, err)
	_, err = tx.ExecContext(reading, write)
	require.NoError(t, err)
	_, err = tx.ExecContext(scopes.Reading(tenant(t.Context(), 2)), write)
	require.ErrorContains(t, err, "inside a transaction of tenant 1")
	require.NoError(t, tx.Rollback())
}

// A pool of pgx's own keeps to it too.
func TestPoolReading(t *testing.T) {
	t.Parallel()
	inner, err := pgxpool.New(t.Context(), database(t).DSN(pgtest.Runtime))
	require.NoError(t, err)
	defer inner.Close()
	pool := session.NewPool(inner)
	reading := scopes.Reading(tenant(t.Context(), 1))
	_, err = pool.Exec(reading, "update things set name = 'changed' where id = 1")
	require.ErrorContains(t, err, "25006")
	tx, err := pool.Begin(reading)
	require.NoError(t, err)
	_, err = tx.Exec(reading, "update things set name = 'changed' where id = 1")
	require.ErrorContains(t, err, "25006")
	require.NoError(t, tx.Rollback(t.Context()))
}
