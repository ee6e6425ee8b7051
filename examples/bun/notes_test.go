package bun

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

	before := db.Sent.N()
	require.NoError(t, notes.Add(notesdb.As(t, notesdb.Acme), "a text that no statement had"))
	require.EqualValues(t, 1, db.Sent.N()-before, "round trips")
}

// An update that forgot its condition, where bun lets one through, still changes the tenant's rows only.
func TestUpdateOfEverythingIsOneTenants(t *testing.T) {
	t.Parallel()
	notes := Open(notesdb.New(t, notesdb.Schema).Runtime)
	defer notes.Close()
	acme, umbrella := notesdb.As(t, notesdb.Acme), notesdb.As(t, notesdb.Umbrella)
	require.NoError(t, notes.Add(acme, "anvil"))
	require.NoError(t, notes.Add(umbrella, "leaks"))
	_, err := notes.NewUpdate().Model((*Note)(nil)).Set("text = ?", "changed").Where("1 = 1").Exec(acme)
	require.NoError(t, err)
	notesdb.RequireList(t, acme, notes, "changed")
	notesdb.RequireList(t, umbrella, notes, "leaks")
}

func TestTransactionIsOneTenants(t *testing.T) {
	t.Parallel()
	notes := Open(notesdb.New(t, notesdb.Schema).Runtime)
	defer notes.Close()
	tx, err := notes.BeginTx(notesdb.As(t, notesdb.Acme), nil)
	require.NoError(t, err)
	defer tx.Rollback()
	notesdb.RequireRefused(t, add(notesdb.As(t, notesdb.Umbrella), tx, "leaks"))
}
