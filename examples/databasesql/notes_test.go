package databasesql

import (
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/examples/notesdb"

	"tenanted/scopes/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func TestNotes(t *testing.T) {
	t.Parallel()
	db := notesdb.New(t, notesdb.Schema)
	notes := Open(db.Runtime)
	defer notes.Close()
	db.Verify(t, notes)
}

func TestTransactionIsOneTenants(t *testing.T) {
	t.Parallel()
	notes := Open(notesdb.New(t, notesdb.Schema).Runtime)
	defer notes.Close()
	tx, err := notes.BeginTx(notesdb.As(t, notesdb.Acme), nil)
	require.NoError(t, err)
	defer tx.Rollback()
	_, err = tx.ExecContext(notesdb.As(t, notesdb.Umbrella), insertNote, "leaks")
	notesdb.RequireRefused(t, err)
}

// A prepared statement has no tenant: each of its executions takes the one in its own context.
func TestPreparedStatementServesEveryTenant(t *testing.T) {
	t.Parallel()
	notes := Open(notesdb.New(t, notesdb.Schema).Runtime)
	defer notes.Close()
	acme, umbrella := notesdb.As(t, notesdb.Acme), notesdb.As(t, notesdb.Umbrella)
	insert, err := notes.PrepareContext(acme, insertNote)
	require.NoError(t, err)
	defer insert.Close()
	_, err = insert.ExecContext(umbrella, "leaks")
	require.NoError(t, err)
	_, err = insert.ExecContext(acme, "anvil")
	require.NoError(t, err)
	notesdb.RequireList(t, acme, notes, "anvil")
	notesdb.RequireList(t, umbrella, notes, "leaks")
}
