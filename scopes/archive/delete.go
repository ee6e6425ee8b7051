package archive

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"tenanted/scopes"
)

// TableRows is a number of rows of a table.
type TableRows struct {
	Name string // the table's
	Rows int64  // how many
}

// Delete removes the tenant's rows of all models, children before parents, in the tables that names mean in the transaction, and
// returns how many there were in each table. It refuses what Export refuses, since what that leaves out would remain.
func Delete(ctx context.Context, tx pgx.Tx, m *Models, tenant scopes.Tenant) (removed []TableRows, err error) {
	err = pgx.BeginFunc(ctx, tx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, pinned, m.config.Setting, tenant.Key()); err != nil {
			return err
		}
		d, err := readDatabase(ctx, tx, m, tenant)
		if err != nil {
			return err
		}
		if err := lockTenant(ctx, tx, tenant); err != nil {
			return err
		}
		removed, err = d.delete(ctx, tx)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("delete the rows of %v: %w", tenant, err)
	}
	return removed, nil
}

func (d *database) delete(ctx context.Context, tx pgx.Tx) (removed []TableRows, err error) {
	if _, err := tx.Exec(ctx, loading, pgx.QueryExecModeSimpleProtocol); err != nil {
		return nil, err
	}
	for _, t := range slices.Backward(d.tables) {
		tag, err := tx.Exec(ctx, "delete from "+t.ident+" where "+d.own(t, t.ident))
		if err != nil {
			return nil, fmt.Errorf("table %s: %w", t.name, err)
		}
		removed = append(removed, TableRows{t.name, tag.RowsAffected()})
	}
	_, err = tx.Exec(ctx, "set constraints all immediate")
	return removed, err
}
