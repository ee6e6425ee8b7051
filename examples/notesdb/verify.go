package notesdb

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"tenanted/scopes"
)

// Notes are the notes of the tenant that the context carries. Every example that is about a database library has them.
type Notes interface {
	Add(ctx context.Context, text string) error
	// AddAll adds all texts, or none, in one transaction.
	AddAll(ctx context.Context, texts ...string) error
	List(ctx context.Context) ([]string, error)
}

// Verify proves that notes are kept apart, and that a statement without a tenant is refused before anything is sent.
func (db *DB) Verify(t *testing.T, notes Notes) {
	acme, umbrella := As(t, Acme), As(t, Umbrella)
	require.NoError(t, notes.Add(acme, "anvil"))
	require.NoError(t, notes.AddAll(umbrella, "leaks", "drips"))
	require.Error(t, notes.AddAll(umbrella, "is rolled back", ""), "an empty text breaks the table's check")
	RequireList(t, acme, notes, "anvil")
	RequireList(t, umbrella, notes, "drips", "leaks")

	for _, nobody := range []context.Context{t.Context(), As(t, scopes.Tenant{Slug: "without an id"})} {
		db.RequireNothingSent(t, func() {
			_, err := notes.List(nobody)
			for _, err := range []error{notes.Add(nobody, "whose?"), notes.AddAll(nobody, "whose?"), err} {
				require.ErrorAs(t, err, new(*scopes.TenantMissingError))
			}
		})
	}
}

// RequireList requires that the context's tenant has these notes and no others.
func RequireList(t testing.TB, ctx context.Context, notes interface {
	List(context.Context) ([]string, error)
}, want ...string) {
	t.Helper()
	got, err := notes.List(ctx)
	require.NoError(t, err)
	require.Equal(t, want, got)
}

// RequireRefused requires that err refuses Umbrella's statement in a transaction of Acme's.
func RequireRefused(t testing.TB, err error) {
	t.Helper()
	require.ErrorContains(t, err, "statement for tenant "+Umbrella.Key()+" inside a transaction of tenant "+Acme.Key())
}
