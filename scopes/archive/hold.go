package archive

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"tenanted/scopes"
)

// Hold has everybody else's statements that would change the tenant's rows wait, until the transaction ends; reads go on. When
// it returns, no transaction that has changed them is under way: an export that begins now has all that was ever acknowledged.
// The transaction must be READ COMMITTED, and its lock_timeout bounds how long each statement waits for the others'.
//
// With alone, the tables have no other tenant's rows, and are locked as a whole. Else the tenant's rows are: a new row waits
// since it refers to one that is locked. A table whose rows need not refer to one, nor are one for each tenant, is locked
// as a whole all the same, for all tenants.
func Hold(ctx context.Context, tx pgx.Tx, m *Models, tenant scopes.Tenant, alone bool) error {
	err := hold(ctx, tx, m, tenant, alone)
	if err != nil {
		return fmt.Errorf("hold back changes of the rows of %v: %w", tenant, err)
	}
	return nil
}

func hold(ctx context.Context, tx pgx.Tx, m *Models, tenant scopes.Tenant, alone bool) error {
	d, err := readDatabase(ctx, tx, m, tenant)
	if err != nil {
		return err
	}
	bound := map[string]bool{}
	if !alone {
		if bound, err = d.boundToParents(ctx, tx); err != nil {
			return err
		}
	}
	for _, t := range d.tables { // parents first: then nobody adds children to those that are locked
		if alone || !bound[t.ident] && !t.single(ctx, tx, d) {
			_, err = tx.Exec(ctx, "lock table "+t.ident+" in share row exclusive mode")
		} else {
			_, err = tx.Exec(ctx, "select count(*) from (select from "+t.ident+" where "+d.own(t, t.ident)+" for update) held")
		}
		if err != nil {
			return fmt.Errorf("table %s: %w", t.name, err)
		}
	}
	return nil
}

// boundToParents returns the tables of which no row of the tenant can be made without one that it refers to, in another one of
// the tables.
func (d *database) boundToParents(ctx context.Context, tx pgx.Tx) (map[string]bool, error) {
	rows, _ := tx.Query(ctx, named+`
		select distinct child.name from pg_constraint c join named child on child.oid = c.conrelid join named parent on parent.oid = c.confrelid
		where c.contype = 'f' and c.conrelid <> c.confrelid and not c.condeferrable
		  and not exists (select from pg_attribute a where a.attrelid = c.conrelid and a.attnum = any(c.conkey) and not a.attnotnull)`, d.idents())
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	bound := map[string]bool{}
	for _, name := range names {
		bound[name] = true
	}
	return bound, err
}

// single reports whether the table has at most one row for each tenant, and has the tenant's: a second one cannot be made.
func (t *table) single(ctx context.Context, tx pgx.Tx, d *database) bool {
	if len(t.primary) > 0 {
		return false
	}
	var has bool
	err := tx.QueryRow(ctx, "select exists (select 1 from "+t.ident+" where "+d.own(t, t.ident)+")").Scan(&has)
	return err == nil && has
}
