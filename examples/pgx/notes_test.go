package pgx

import (
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/examples/notesdb"

	"tenanted/scopes"
	"tenanted/scopes/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func open(t *testing.T) (*notesdb.DB, Notes) {
	db := notesdb.New(t, notesdb.Schema)
	return db, Open(db.PlainPool(t))
}

func TestNotes(t *testing.T) {
	t.Parallel()
	db, notes := open(t)
	db.Verify(t, notes)
}

func TestBatch(t *testing.T) {
	t.Parallel()
	db, notes := open(t)
	acme := notesdb.As(t, notesdb.Acme)
	require.NoError(t, notes.AddBatch(acme, "anvil", "rocket"))
	require.Error(t, notes.AddBatch(acme, "is rolled back", ""))
	notesdb.RequireList(t, acme, notes, "anvil", "rocket")
	db.RequireNothingSent(t, func() {
		require.ErrorAs(t, notes.AddBatch(t.Context(), "whose?"), new(*scopes.TenantMissingError))
	})
}

func TestTransactionIsOneTenants(t *testing.T) {
	t.Parallel()
	_, notes := open(t)
	acme, umbrella := notesdb.As(t, notesdb.Acme), notesdb.As(t, notesdb.Umbrella)
	tx, err := notes.Begin(acme)
	require.NoError(t, err)
	defer tx.Rollback(acme)
	_, err = tx.Exec(umbrella, insertNote, "leaks")
	notesdb.RequireRefused(t, err)
}
