package archive

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"tenanted/scopes"
)

// sequenceGap is how far behind the highest key a sequence goes on. Others take values while it is moved, which must not set it
// back: there is no lock on a sequence, and one on the table would keep all tenants waiting.
const sequenceGap = 10_000

// RaiseSequences moves the sequences of the tenant's keys past the highest one of each, so that the next row does not get a key that is
// taken: after [Changes.Apply], which brings rows with their keys. [Import] does it by itself.
func RaiseSequences(ctx context.Context, tx pgx.Tx, m *Models, tenant scopes.Tenant) error {
	d, err := readDatabase(ctx, tx, m, tenant)
	if err == nil {
		err = d.raiseSequences(ctx, tx, func(string, string) bool { return false })
	}
	if err != nil {
		return fmt.Errorf("move the sequences past the keys of %v: %w", tenant, err)
	}
	return nil
}

// raiseSequences moves the sequences of all columns but those of new keys.
func (d *database) raiseSequences(ctx context.Context, tx pgx.Tx, isNew func(table, column string) bool) error {
	for _, t := range d.tables {
		for _, c := range t.columns {
			if c.Sequence == "" || isNew(t.name, c.Name) {
				continue
			}
			if err := d.raiseSequence(ctx, tx, t, c); err != nil {
				return err
			}
		}
	}
	return nil
}

// raiseSequence refuses a key that would take most of the sequence: it is all tenants', and at its end nobody can insert.
func (d *database) raiseSequence(ctx context.Context, tx pgx.Tx, t *table, c column) error {
	var highest *int64
	query := fmt.Sprintf("select max(%s)::bigint from %s where %s", quoteIdent(c.Name), t.ident, d.own(t, t.ident))
	if err := tx.QueryRow(ctx, query).Scan(&highest); err != nil || highest == nil {
		return err
	}
	var most, step int64
	err := tx.QueryRow(ctx, "select seqmax, seqincrement from pg_sequence where seqrelid = $1::text::regclass", c.Sequence).Scan(&most, &step)
	if err != nil || step < 0 {
		return err
	}
	if *highest > most/2 {
		return &KeyError{t.name, fmt.Sprintf("%s %d would leave less than half of sequence %s for all tenants", c.Name, *highest, c.Sequence), false}
	}
	raise := fmt.Sprintf("select setval($1::text::regclass, least($2::bigint + %d, $3::bigint)) from %s where last_value <= $2::bigint", sequenceGap, c.Sequence)
	if _, err := tx.Exec(ctx, raise, c.Sequence, *highest, most); err != nil {
		return fmt.Errorf("move the sequence of table %s: %w", t.name, err)
	}
	return nil
}
