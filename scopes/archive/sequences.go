package archive

import (
	"context"
	"fmt"
)

// sequenceGap is how far behind the highest key a sequence goes on. Others take values while it is moved, which must not set it
// back: there is no lock on a sequence, and one on the table would keep all tenants waiting.
const sequenceGap = 10_000

// raiseSequences moves the sequences of kept keys past the highest one of each, so that the next row does not get a key that is taken.
func (i *importer) raiseSequences(ctx context.Context) error {
	for _, t := range i.db.tables {
		for _, c := range t.columns {
			if c.Sequence == "" || i.keys != nil && i.keys.has(t.name, c.Name) {
				continue
			}
			if err := i.raiseSequence(ctx, t, c); err != nil {
				return err
			}
		}
	}
	return nil
}

// raiseSequence refuses a key that would take most of the sequence: it is all tenants', and at its end nobody can insert.
func (i *importer) raiseSequence(ctx context.Context, t *table, c column) error {
	var highest *int64
	query := fmt.Sprintf("select max(%s)::bigint from %s where %s", quoteIdent(c.Name), t.ident, i.db.own(t, t.ident))
	if err := i.tx.QueryRow(ctx, query).Scan(&highest); err != nil || highest == nil {
		return err
	}
	var most, step int64
	err := i.tx.QueryRow(ctx, "select seqmax, seqincrement from pg_sequence where seqrelid = $1::text::regclass", c.Sequence).Scan(&most, &step)
	if err != nil || step < 0 {
		return err
	}
	if *highest > most/2 {
		return &KeyError{t.name, fmt.Sprintf("%s %d would leave less than half of sequence %s for all tenants", c.Name, *highest, c.Sequence), false}
	}
	raise := fmt.Sprintf("select setval($1::text::regclass, least($2::bigint + %d, $3::bigint)) from %s where last_value <= $2::bigint", sequenceGap, c.Sequence)
	if _, err := i.tx.Exec(ctx, raise, c.Sequence, *highest, most); err != nil {
		return fmt.Errorf("move the sequence of table %s: %w", t.name, err)
	}
	return nil
}
