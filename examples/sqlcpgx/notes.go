// Package sqlcpgx shows sqlc in its pgx mode: the generated Queries take a session.Pool, or a transaction of it, where they
// would take a pgxpool.Pool. Its :batch queries work too.
//
// batch.go, db.go, models.go and query.sql.go are generated:
//
//	go run github.com/sqlc-dev/sqlc/cmd/sqlc@v1.31.1 generate
package sqlcpgx

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"tenanted/scopes/session"
)

// Notes are the notes of the tenant that the context carries.
type Notes struct {
	pool    *session.Pool
	queries *Queries
}

// Open returns the notes in a pool's database: session.NewPool(pgxPool).
func Open(pool *session.Pool) Notes { return Notes{pool, New(pool)} }

// Add adds a note.
func (n Notes) Add(ctx context.Context, text string) error { return n.queries.AddNote(ctx, text) }

// AddAll adds all notes or none, as a batch in a transaction of one tenant.
func (n Notes) AddAll(ctx context.Context, texts ...string) error {
	return pgx.BeginFunc(ctx, n.pool, func(tx pgx.Tx) (err error) {
		n.queries.WithTx(tx).AddNotes(ctx, texts).Exec(func(_ int, failed error) { err = errors.Join(err, failed) })
		return err
	})
}

// List returns the texts of the tenant's notes.
func (n Notes) List(ctx context.Context) ([]string, error) { return n.queries.ListNotes(ctx) }
