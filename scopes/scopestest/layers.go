package scopestest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

var (
	allOn       = layers{scope: true, session: true, rls: true}
	scopeOnly   = layers{scope: true}
	sessionOnly = layers{session: true}
	keysOnly    = layers{}
	rlsOnly     = layers{rls: true}
)

// column is a column of the table: a set of layers on a target.
type column struct {
	Name     string
	Outcomes []Outcome
}

// Table says which layer stops which attack.
type Table struct{ columns []column }

// Layers makes every attack with all layers on, and then once for each layer with the others off. It fails the test for an attack
// that succeeds with all layers on. It permanently removes the tenant from the primary and foreign keys of the models' tables, so
// the target's database cannot be used afterwards. Target.Owner is required.
func Layers(t *testing.T, s Subject, target Target) Table {
	t.Helper()
	subject, err := s.parse()
	require.NoError(t, err)
	var table Table
	add := func(name string, on layers) {
		table.columns = append(table.columns, column{name, run(t, s, target, on)})
	}
	add("all", allOn)
	works(t, s, target)
	add("keys", keysOnly)
	require.NoError(t, simplifyKeys(t.Context(), target, subject))
	add("scope", scopeOnly)
	add("session", sessionOnly)
	add("RLS", rlsOnly)
	failEach(t, table.columns[0].Outcomes)
	return table
}

// sessionAlone makes every attack with only the session layer, which is the layer in which a placement of the tenant's own differs
// from shared tables.
func sessionAlone(t *testing.T, name string, s Subject, target Target) Table {
	t.Helper()
	return Table{[]column{{name, run(t, s, target, sessionOnly)}}}
}

// with returns a table with the columns of both.
func (t Table) with(others ...Table) Table {
	columns := slices.Clone(t.columns)
	for _, other := range others {
		columns = append(columns, other.columns...)
	}
	return Table{columns}
}

// Markdown returns the table, with a row for each attack. A cell says how the layer stopped the attack, or is a dash. The last
// column names the layer if only one stops the attack.
func (t Table) Markdown() string {
	var b strings.Builder
	b.WriteString("| attack |")
	for _, c := range t.columns {
		fmt.Fprintf(&b, " %s |", c.Name)
	}
	b.WriteString(" only |\n|---|" + strings.Repeat("---|", len(t.columns)+1) + "\n")
	for _, row := range t.columns[0].Outcomes {
		fmt.Fprintf(&b, "| %s |", row.Attack.Name)
		for _, c := range t.columns {
			fmt.Fprintf(&b, " %s |", c.cell(row.Attack.Name))
		}
		fmt.Fprintf(&b, " %s |\n", t.only(row.Attack.Name))
	}
	return b.String()
}

func (c column) cell(attack string) string {
	for _, o := range c.Outcomes {
		if o.Attack.Name == attack && o.Harm == "" {
			return o.End
		}
	}
	return "–"
}

// only returns the layer that is the only one to stop an attack, "none" if no single layer stops it, and otherwise "". The columns
// of single layers are the second to the fifth.
func (t Table) only(attack string) string {
	var stopping []string
	for _, c := range t.columns[1:min(5, len(t.columns))] {
		if c.cell(attack) != "–" {
			stopping = append(stopping, c.Name)
		}
	}
	switch len(stopping) {
	case 0:
		return "**none**"
	case 1:
		return "**" + stopping[0] + "**"
	default:
		return ""
	}
}

// simplifyKeys removes the tenant from the keys of the models' tables: ids are unique over all tenants, and foreign keys have the id
// only. Other tables that refer to these lose their foreign keys.
func simplifyKeys(ctx context.Context, target Target, s subject) error {
	config := target.Owner.Copy()
	place(config, target.A.Placement)
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	for _, m := range []model{s.parent, s.child} {
		if err := dropKeys(ctx, conn, m); err != nil {
			return err
		}
	}
	for _, m := range []model{s.parent, s.child} {
		sql := fmt.Sprintf("alter table %s add primary key (%s)", ident(m.Table), ident(m.id.DBName))
		if _, err := conn.Exec(ctx, sql); err != nil {
			return err
		}
	}
	_, err = conn.Exec(ctx, fmt.Sprintf("alter table %s add foreign key (%s) references %s (%s)",
		ident(s.child.Table), ident(s.foreignKey.DBName), ident(s.parent.Table), ident(s.parent.id.DBName)))
	return err
}

// dropKeys drops the primary key, with whatever foreign keys refer to it, and the foreign keys that contain the tenant
// among other columns.
func dropKeys(ctx context.Context, conn *pgx.Conn, m model) error {
	found, err := conn.Query(ctx, `select conname from pg_constraint c where conrelid = $1::regclass and
		(contype = 'p' or contype = 'f' and cardinality(conkey) > 1 and $2 in
			(select attname from pg_attribute where attrelid = c.conrelid and attnum = any (c.conkey)))
		order by contype`, ident(m.Table), m.tenant.DBName)
	if err != nil {
		return err
	}
	names, err := pgx.CollectRows(found, pgx.RowTo[string])
	if err != nil {
		return err
	}
	for _, name := range names {
		if _, err := conn.Exec(ctx, fmt.Sprintf("alter table %s drop constraint %s cascade", ident(m.Table), ident(name))); err != nil {
			return err
		}
	}
	return nil
}
