// Package sqlcsql shows sqlc in its database/sql mode: the generated Queries take the *sql.DB of session.Open as they take
// any other, and no query in query.sql names the tenant.
//
// db.go, models.go and query.sql.go are generated:
//
//	go run github.com/sqlc-dev/sqlc/cmd/sqlc@v1.31.1 generate
package sqlcsql

import (
	"context"
	"database/sql"

	"github.com/jackc/pgx/v5"

	"tenanted/scopes/session"
)

// Open opens the database.
func Open(config *pgx.ConnConfig) Notes {
	db := session.Open(config)
	return Notes{db, New(db)}
}

// Notes are the notes of the tenant that the context carries.
type Notes struct {
	db      *sql.DB
	queries *Queries
}

// Add adds a note.
func (n Notes) Add(ctx context.Context, text string) error { return n.queries.AddNote(ctx, text) }

// AddAll adds all notes or none, in one transaction of one tenant.
func (n Notes) AddAll(ctx context.Context, texts ...string) error {
	tx, err := n.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // after Commit it does nothing
	queries := n.queries.WithTx(tx)
	for _, text := range texts {
		if err := queries.AddNote(ctx, text); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// List returns the texts of the tenant's notes.
func (n Notes) List(ctx context.Context) ([]string, error) { return n.queries.ListNotes(ctx) }
