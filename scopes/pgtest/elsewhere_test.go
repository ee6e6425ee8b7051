package pgtest

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

func TestElsewhereIsAnotherServer(t *testing.T) {
	t.Parallel()
	empty := func(context.Context, *pgx.Conn) error { return nil }
	here, there := Database(t, "empty", empty), Elsewhere(t, "empty", empty)
	system := func(db *DB, role string) (id string) {
		require.NoError(t, db.Connect(t, role).QueryRow(t.Context(), "select system_identifier::text from pg_control_system()").Scan(&id))
		return id
	}
	require.NotEqual(t, system(here, Superuser), system(there, Superuser))
	require.Equal(t, system(there, Owner), system(there, Runtime))
}
