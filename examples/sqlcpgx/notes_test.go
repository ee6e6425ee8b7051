package sqlcpgx

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
	db.Verify(t, Open(db.Pool(t)))
}

func TestTransactionIsOneTenants(t *testing.T) {
	t.Parallel()
	notes := Open(notesdb.New(t, notesdb.Schema).Pool(t))
	acme, umbrella := notesdb.As(t, notesdb.Acme), notesdb.As(t, notesdb.Umbrella)
	tx, err := notes.pool.Begin(acme)
	require.NoError(t, err)
	defer tx.Rollback(acme)
	queries := notes.queries.WithTx(tx)
	notesdb.RequireRefused(t, queries.AddNote(umbrella, "leaks"))
	queries.AddNotes(umbrella, []string{"drips"}).Exec(func(_ int, err error) { notesdb.RequireRefused(t, err) })
}
