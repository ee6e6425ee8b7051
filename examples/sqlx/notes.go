// Package sqlx shows sqlx: it wraps the *sql.DB of session.Open. Use its methods that take a context; those without one
// (Get, Select, MustExec …) carry no tenant and are refused.
package sqlx

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jmoiron/sqlx"

	"tenanted/scopes/session"
)

// Open opens the database. The name of the driver tells sqlx how PostgreSQL writes parameters.
func Open(config *pgx.ConnConfig) Notes { return Notes{sqlx.NewDb(session.Open(config), "pgx")} }

// Notes are the notes of the tenant that the context carries.
type Notes struct{ *sqlx.DB }

// Note is a row. The tenant's column is left out: nothing here needs it.
type Note struct {
	ID   string `db:"id"`
	Text string `db:"text"`
}

const insertNote = "insert into notes (text) values (:text)"

// Add adds a note.
func (n Notes) Add(ctx context.Context, text string) error {
	_, err := n.NamedExecContext(ctx, insertNote, Note{Text: text})
	return err
}

// AddAll adds all notes or none, in one transaction of one tenant.
func (n Notes) AddAll(ctx context.Context, texts ...string) error {
	tx, err := n.BeginTxx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // after Commit it does nothing
	for _, text := range texts {
		if _, err := tx.NamedExecContext(ctx, insertNote, Note{Text: text}); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// Find returns the tenant's notes with one of these texts.
func (n Notes) Find(ctx context.Context, texts ...string) (notes []Note, err error) {
	query, args, err := sqlx.In("select id, text from notes where text in (?) order by text", texts)
	if err != nil {
		return nil, err
	}
	err = n.SelectContext(ctx, &notes, n.Rebind(query), args...)
	return notes, err
}

// List returns the texts of the tenant's notes.
func (n Notes) List(ctx context.Context) (texts []string, err error) {
	err = n.SelectContext(ctx, &texts, "select text from notes order by text")
	return texts, err
}
