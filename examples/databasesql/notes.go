// Package databasesql shows database/sql itself: session.Open returns an *sql.DB that tells PostgreSQL the tenant of each
// statement's context. Nothing else changes, and no statement names the tenant.
package databasesql

import (
	"context"
	"database/sql"

	"github.com/jackc/pgx/v5"

	"tenanted/scopes/session"
)

// Open opens the database. Its user must be a role that row-level security applies to.
func Open(config *pgx.ConnConfig) Notes { return Notes{session.Open(config)} }

// Notes are the notes of the tenant that the context carries.
type Notes struct{ *sql.DB }

const insertNote = "insert into notes (text) values ($1)"

// Add adds a note. The column's default makes it the tenant's.
func (n Notes) Add(ctx context.Context, text string) error {
	_, err := n.ExecContext(ctx, insertNote, text)
	return err
}

// AddAll adds all notes or none. A transaction is one tenant's: it refuses a context of another.
func (n Notes) AddAll(ctx context.Context, texts ...string) error {
	tx, err := n.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // after Commit it does nothing
	for _, text := range texts {
		if _, err := tx.ExecContext(ctx, insertNote, text); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// List returns the tenant's notes: the row-level security of the table leaves no others.
func (n Notes) List(ctx context.Context) (texts []string, err error) {
	rows, err := n.QueryContext(ctx, "select text from notes order by text")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return nil, err
		}
		texts = append(texts, text)
	}
	return texts, rows.Err()
}
