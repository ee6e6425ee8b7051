// Package bun shows bun, an ORM: it works on the *sql.DB of session.Open. bun knows nothing of tenants; the session and the
// table's row-level security confine whatever it builds.
package bun

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"

	"tenanted/scopes/session"
)

// Open opens the database. bun writes values into the statements' text, so each text is new: to prepare it would take a round
// trip and serve once.
func Open(config *pgx.ConnConfig) Notes {
	config = config.Copy()
	config.DefaultQueryExecMode = pgx.QueryExecModeExec
	return Notes{bun.NewDB(session.Open(config), pgdialect.New())}
}

// Notes are the notes of the tenant that the context carries.
type Notes struct{ *bun.DB }

// Note is a row. The tenant and the id come from the columns' defaults. The tenant's column is no field, so that no
// program can set it; the primary key, which contains it, is the table's.
type Note struct {
	bun.BaseModel `bun:"table:notes"`

	ID   string `bun:",pk,nullzero"`
	Text string
}

// Add adds a note.
func (n Notes) Add(ctx context.Context, text string) error { return add(ctx, n, text) }

// add takes the database or a transaction.
func add(ctx context.Context, db bun.IDB, text string) error {
	_, err := db.NewInsert().Model(&Note{Text: text}).Exec(ctx)
	return err
}

// AddAll adds all notes or none, in one transaction of one tenant.
func (n Notes) AddAll(ctx context.Context, texts ...string) error {
	return n.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		for _, text := range texts {
			if err := add(ctx, tx, text); err != nil {
				return err
			}
		}
		return nil
	})
}

// List returns the texts of the tenant's notes.
func (n Notes) List(ctx context.Context) (texts []string, err error) {
	err = n.NewSelect().Model((*Note)(nil)).Column("text").Order("text").Scan(ctx, &texts)
	return texts, err
}
