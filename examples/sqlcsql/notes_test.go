package sqlcsql

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
	defer notes.db.Close()
	db.Verify(t, notes)
}

func TestTransactionIsOneTenants(t *testing.T) {
	t.Parallel()
	notes := Open(notesdb.New(t, notesdb.Schema).Runtime)
	defer notes.db.Close()
	tx, err := notes.db.BeginTx(notesdb.As(t, notesdb.Acme), nil)
	require.NoError(t, err)
	defer tx.Rollback()
	notesdb.RequireRefused(t, notes.queries.WithTx(tx).AddNote(notesdb.As(t, notesdb.Umbrella), "leaks"))
}
