package sqlx

import (
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/examples/notesdb"

	"tenanted/scopes"
	"tenanted/scopes/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func TestNotes(t *testing.T) {
	t.Parallel()
	db := notesdb.New(t, notesdb.Schema)
	notes := Open(db.Runtime)
	defer notes.Close()
	db.Verify(t, notes)

	found, err := notes.Find(notesdb.As(t, notesdb.Umbrella), "anvil", "leaks")
	require.NoError(t, err)
	require.Len(t, found, 1, "the anvil is Acme's")
	require.Equal(t, "leaks", found[0].Text)

	db.RequireNothingSent(t, func() {
		require.ErrorAs(t, notes.Get(&Note{}, "select id, text from notes limit 1"), new(*scopes.TenantMissingError))
	})
}

func TestTransactionIsOneTenants(t *testing.T) {
	t.Parallel()
	notes := Open(notesdb.New(t, notesdb.Schema).Runtime)
	defer notes.Close()
	tx, err := notes.BeginTxx(notesdb.As(t, notesdb.Acme), nil)
	require.NoError(t, err)
	defer tx.Rollback()
	_, err = tx.NamedExecContext(notesdb.As(t, notesdb.Umbrella), insertNote, Note{Text: "leaks"})
	notesdb.RequireRefused(t, err)
}
