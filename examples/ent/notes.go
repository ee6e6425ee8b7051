// Package ent shows ent: its SQL driver works on the *sql.DB of session.Open. The schema has no column for the tenant, so
// that no query can name one; the session and the table's row-level security confine them all.
//
// The directory ent, but for ent/schema, is generated:
//
//	go run -mod=mod entgo.io/ent/cmd/ent generate ./ent/schema && go mod tidy
//
// The table is made by SQL of one's own (notesdb/schema.sql), since ent's migrations know no policies and no primary key of
// two columns.
package ent

import (
	"context"

	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"
	"github.com/jackc/pgx/v5"

	"example.com/examples/ent/ent"
	"example.com/examples/ent/ent/note"

	"tenanted/scopes/session"
)

// Open opens the database.
func Open(config *pgx.ConnConfig) Notes {
	driver := entsql.OpenDB(dialect.Postgres, session.Open(config))
	return Notes{ent.NewClient(ent.Driver(driver))}
}

// Notes are the notes of the tenant that the context carries.
type Notes struct{ *ent.Client }

// Add adds a note.
func (n Notes) Add(ctx context.Context, text string) error {
	return n.Note.Create().SetText(text).Exec(ctx)
}

// AddAll adds all notes or none, in one transaction of one tenant.
func (n Notes) AddAll(ctx context.Context, texts ...string) error {
	tx, err := n.Tx(ctx)
	if err != nil {
		return err
	}
	defer tx.Rollback() // after Commit it does nothing
	for _, text := range texts {
		if err := tx.Note.Create().SetText(text).Exec(ctx); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// List returns the texts of the tenant's notes.
func (n Notes) List(ctx context.Context) ([]string, error) {
	return n.Note.Query().Order(note.ByText()).Select(note.FieldText).Strings(ctx)
}
