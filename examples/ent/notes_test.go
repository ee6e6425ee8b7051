package ent

import (
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/examples/ent/ent"
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

// To know the id of another tenant's note is of no use, neither for reading it nor for changing it.
func TestAnotherTenantsID(t *testing.T) {
	t.Parallel()
	notes := Open(notesdb.New(t, notesdb.Schema).Runtime)
	defer notes.Close()
	acme, umbrella := notesdb.As(t, notesdb.Acme), notesdb.As(t, notesdb.Umbrella)
	anvil, err := notes.Note.Create().SetText("anvil").Save(acme)
	require.NoError(t, err)
	_, err = notes.Note.Get(umbrella, anvil.ID)
	require.True(t, ent.IsNotFound(err), err)
	err = notes.Note.UpdateOneID(anvil.ID).SetText("stolen").Exec(umbrella)
	require.True(t, ent.IsNotFound(err), err)
	notesdb.RequireList(t, acme, notes, "anvil")
}

func TestTransactionIsOneTenants(t *testing.T) {
	t.Parallel()
	notes := Open(notesdb.New(t, notesdb.Schema).Runtime)
	defer notes.Close()
	tx, err := notes.Tx(notesdb.As(t, notesdb.Acme))
	require.NoError(t, err)
	defer tx.Rollback()
	notesdb.RequireRefused(t, tx.Note.Create().SetText("leaks").Exec(notesdb.As(t, notesdb.Umbrella)))
}
