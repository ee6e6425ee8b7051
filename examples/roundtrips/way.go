// Package roundtrips counts how often a program waits for PostgreSQL to read one row as a tenant, with the tenant set by hand,
// for the session, and by tenanted. Its test asserts the counts, and what becomes of a statement whose author forgot the
// tenant, and behind PgBouncer.
package roundtrips

import (
	"context"
	"database/sql"

	"github.com/jackc/pgx/v5"

	"tenanted/scopes"
)

// way is a way to tell PostgreSQL the tenant. All take the tenant from the context.
type way struct {
	read      func(ctx context.Context) (string, error) // one statement
	readTwice func(ctx context.Context) error           // a transaction of two statements
	forgetful func(ctx context.Context) (string, error) // one statement by somebody who has forgotten the tenant
}

const selectNote = "select text from notes"

func key(ctx context.Context) string { return scopes.MustFromContext(ctx).Key() }

func twicePgx(ctx context.Context, tx pgx.Tx) error {
	for range 2 {
		if err := tx.QueryRow(ctx, selectNote).Scan(new(string)); err != nil {
			return err
		}
	}
	return nil
}

func twiceSQL(ctx context.Context, tx *sql.Tx) error {
	for range 2 {
		if err := tx.QueryRowContext(ctx, selectNote).Scan(new(string)); err != nil {
			return err
		}
	}
	return nil
}
