// Package pgx shows pgx without database/sql: session.Pool stands in front of a pgxpool.Pool, and has its methods for
// statements, transactions and batches. Statements on the pgxpool.Pool itself would carry no tenant.
package pgx

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"tenanted/scopes/session"
)

// Open returns the notes in a database. The pool stays the caller's, to close.
func Open(pool *pgxpool.Pool) Notes { return Notes{session.NewPool(pool)} }

// Notes are the notes of the tenant that the context carries.
type Notes struct{ *session.Pool }

const insertNote = "insert into notes (text) values ($1)"

// Add adds a note.
func (n Notes) Add(ctx context.Context, text string) error {
	_, err := n.Exec(ctx, insertNote, text)
	return err
}

// AddAll adds all notes or none, in one transaction of one tenant.
func (n Notes) AddAll(ctx context.Context, texts ...string) error {
	return pgx.BeginFunc(ctx, n, func(tx pgx.Tx) error {
		for _, text := range texts {
			if _, err := tx.Exec(ctx, insertNote, text); err != nil {
				return err
			}
		}
		return nil
	})
}

// AddBatch does the same in one batch, which is a transaction of its own.
func (n Notes) AddBatch(ctx context.Context, texts ...string) error {
	batch := &pgx.Batch{}
	for _, text := range texts {
		batch.Queue(insertNote, text)
	}
	return n.SendBatch(ctx, batch).Close()
}

// List returns the tenant's notes.
func (n Notes) List(ctx context.Context) ([]string, error) {
	rows, err := n.Query(ctx, "select text from notes order by text")
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}
