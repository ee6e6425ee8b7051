package archive

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"tenanted/scopes"
)

// table is a model's table as the database has it.
type table struct {
	*modelTable
	ident      string // quoted, found by search_path
	kind       string // pg_class.relkind; empty: there is none
	bound      bool   // row-level security binds this role
	columns    []column
	primary    []string    // of the primary key, without the tenant's
	references []reference // without the tenant's columns; from models and foreign keys
}

// column is a column that is in an archive.
type column struct {
	Table    string
	Name     string
	Type     string // as format_type writes it
	Collated bool
	Identity bool
	Computed bool   // generated from others: not in an archive
	Default  string // expression; empty: none
	Sequence string // that the column owns, quoted; empty: none
}

// database is what a database has of the models.
type database struct {
	tables  []*table // parents before children
	tenant  string   // the tenant's id as a literal
	key     string   // the tenant's id
	setting string   // of the models' Config
}

// readDatabase reads the tables that the models mean there, and refuses what an archive would not hold.
func readDatabase(ctx context.Context, tx pgx.Tx, m *Models, tenant scopes.Tenant) (*database, error) {
	if tenant.Key() == "" {
		return nil, tenantError{}
	}
	d := &database{tenant: quoteLiteral(tenant.Key()), key: tenant.Key(), setting: m.config.Setting}
	for _, mt := range m.tables {
		d.tables = append(d.tables, &table{modelTable: mt, ident: ident(mt.name)})
	}
	for _, read := range []func(context.Context, pgx.Tx) error{d.readTables, d.readColumns, d.readPrimary} {
		if err := read(ctx, tx); err != nil {
			return nil, fmt.Errorf("read the catalog: %w", err)
		}
	}
	for _, t := range d.tables {
		if err := t.match(m.config.Ignore); err != nil {
			return nil, err
		}
	}
	if err := d.readForeignKeys(ctx, tx, m.config.Ignore); err != nil {
		return nil, err
	}
	d.sort()
	return d, nil
}

// named are the tables by what the models call them, for the catalog queries.
const named = `with named as (select name, c.oid, c.relkind, c.relispartition from unnest($1::text[]) name left join pg_class c on c.oid = to_regclass(name)) `

func (d *database) idents() (names []string) {
	for _, t := range d.tables {
		names = append(names, t.ident)
	}
	return names
}

func (d *database) table(ident string) *table {
	i := slices.IndexFunc(d.tables, func(t *table) bool { return t.ident == ident })
	if i < 0 {
		return nil
	}
	return d.tables[i]
}

func (d *database) readTables(ctx context.Context, tx pgx.Tx) error {
	rows, _ := tx.Query(ctx, named+`select name, coalesce(relkind::text, ''), coalesce(row_security_active(oid), false) from named`, d.idents())
	var name, kind string
	var bound bool
	_, err := pgx.ForEachRow(rows, []any{&name, &kind, &bound}, func() error {
		t := d.table(name)
		t.kind, t.bound = kind, bound
		return nil
	})
	// A view of own and everybody's rows has none itself: the tenant's are in a table of their own.
	d.tables = slices.DeleteFunc(d.tables, func(t *table) bool { return t.kind == "v" && t.readOnly })
	return err
}

func (d *database) readColumns(ctx context.Context, tx pgx.Tx) error {
	rows, _ := tx.Query(ctx, named+`
		select n.name, a.attname::text, format_type(a.atttypid, a.atttypmod), a.attcollation <> 0, a.attidentity <> '', a.attgenerated <> '',
			coalesce(pg_get_expr(e.adbin, e.adrelid), ''),
			coalesce((select s.oid::regclass::text from pg_depend p join pg_class s on s.oid = p.objid and s.relkind = 'S'
				where p.classid = 'pg_class'::regclass and p.refclassid = 'pg_class'::regclass
					and p.refobjid = a.attrelid and p.refobjsubid = a.attnum and p.deptype in ('a', 'i') limit 1), '')
		from named n join pg_attribute a on a.attrelid = n.oid and a.attnum > 0 and not a.attisdropped
			left join pg_attrdef e on e.adrelid = a.attrelid and e.adnum = a.attnum
		order by n.name, a.attnum`, d.idents())
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[column])
	for _, c := range found {
		t := d.table(c.Table)
		t.columns = append(t.columns, c)
	}
	return err
}

func (d *database) readPrimary(ctx context.Context, tx pgx.Tx) error {
	rows, _ := tx.Query(ctx, named+`
		select n.name, a.attname::text from named n join pg_index i on i.indrelid = n.oid and i.indisprimary
			cross join unnest(i.indkey) with ordinality k (num, at) join pg_attribute a on a.attrelid = n.oid and a.attnum = k.num
		order by n.name, k.at`, d.idents())
	var name, column string
	_, err := pgx.ForEachRow(rows, []any{&name, &column}, func() error {
		t := d.table(name)
		t.primary = append(t.primary, column)
		return nil
	})
	return err
}

// match compares the table with the model, and brings its columns into the model's order.
func (t *table) match(ignore []string) error {
	const migrate = "bring database and models together, with a migration or in the models"
	if t.kind != "r" && t.kind != "p" {
		return &MismatchError{t.name, "of model " + t.model + " does not exist in this schema", migrate}
	}
	if len(t.primary) == 0 {
		return &MismatchError{t.name, "has no primary key, so its rows have no order", "give it one"}
	}
	t.primary = slices.DeleteFunc(t.primary, func(name string) bool { return slices.Contains(t.tenant, name) })
	has := t.columns
	t.columns = nil
	for _, name := range slices.Concat(t.tenant, t.modelTable.columns) {
		i := slices.IndexFunc(has, func(c column) bool { return c.Name == name })
		if i < 0 {
			return &MismatchError{t.name, fmt.Sprintf("has no column %q, which model %s has", name, t.model), migrate}
		}
		if !slices.Contains(t.tenant, name) && !has[i].Computed {
			t.columns = append(t.columns, has[i])
		}
	}
	for _, c := range has {
		known := slices.Contains(t.tenant, c.Name) || slices.Contains(t.modelTable.columns, c.Name)
		if !known && !c.Computed && !slices.Contains(ignore, t.name+"."+c.Name) {
			return &MismatchError{t.name, fmt.Sprintf("has a column %q, which model %s does not have: it would be lost", c.Name, t.model),
				"add it to the model, or to Config.Ignore"}
		}
		if !plainName.MatchString(c.Name) {
			return &MismatchError{t.name, fmt.Sprintf("has a column %q, whose name is not one line", c.Name), "rename it"}
		}
	}
	return nil
}

// readForeignKeys adds the foreign keys to the references that the models tell, and takes the tenant out of both.
func (d *database) readForeignKeys(ctx context.Context, tx pgx.Tx, ignore []string) error {
	for _, t := range d.tables {
		t.references = nil
		for _, r := range t.modelTable.references {
			if parent := d.table(ident(r.parent)); parent != nil {
				t.refer(parent, r)
			}
		}
	}
	rows, _ := tx.Query(ctx, named+`
		select coalesce(child.name, ''), c.conrelid::regclass::text, parent.name,
			array(select a.attname::text from unnest(c.conkey) with ordinality k (num, at)
				join pg_attribute a on a.attrelid = c.conrelid and a.attnum = k.num order by k.at),
			array(select a.attname::text from unnest(c.confkey) with ordinality k (num, at)
				join pg_attribute a on a.attrelid = c.confrelid and a.attnum = k.num order by k.at)
		from pg_constraint c join named parent on parent.oid = c.confrelid left join named child on child.oid = c.conrelid
		where c.contype = 'f' and not (select relispartition from pg_class where oid = c.conrelid)
		order by child.name, c.conname`, d.idents())
	var child, called, parent string
	var r reference
	_, err := pgx.ForEachRow(rows, []any{&child, &called, &parent, &r.columns, &r.parentColumns}, func() error {
		p := d.table(parent)
		switch {
		case child != "":
			d.table(child).refer(p, reference{p.name, slices.Clone(r.columns), slices.Clone(r.parentColumns)})
		case !slices.Contains(ignore, called):
			return &MismatchError{called, fmt.Sprintf("refers to table %s and has no model: its rows would be lost", p.name), "name its model, or the table in Config.Ignore"}
		}
		return nil
	})
	return err
}

// refer adds a reference without the tenant's columns. One on the tenant alone gives an order, and nothing to remap.
func (t *table) refer(parent *table, r reference) {
	own := reference{parent: parent.name}
	for i, name := range r.columns {
		if !slices.Contains(t.tenant, name) {
			own.columns = append(own.columns, name)
			own.parentColumns = append(own.parentColumns, r.parentColumns[i])
		}
	}
	if !slices.ContainsFunc(t.references, own.equal) {
		t.references = append(t.references, own)
	}
}

// sort puts parents before children. Where tables refer to one another in a circle, the first by name comes first.
func (d *database) sort() {
	var sorted []*table
	placed := map[string]bool{}
	for rest := slices.Clone(d.tables); len(rest) > 0; {
		i := max(0, slices.IndexFunc(rest, func(t *table) bool {
			return !slices.ContainsFunc(t.references, func(r reference) bool { return r.parent != t.name && !placed[r.parent] })
		}))
		placed[rest[i].name] = true
		sorted = append(sorted, rest[i])
		rest = slices.Delete(rest, i, i+1)
	}
	d.tables = sorted
}

// own is the condition for the tenant's rows of a table, which the query calls alias.
func (d *database) own(t *table, alias string) string {
	conditions := make([]string, len(t.tenant))
	for i, name := range t.tenant {
		conditions[i] = alias + "." + quoteIdent(name) + " = " + d.tenant
	}
	return strings.Join(conditions, " and ")
}

// query selects the tenant's rows as an archive has them, in the archive's order of columns and rows.
func (d *database) query(t *table, as Table) string {
	sql := "select " + quoteIdents(as.columnNames()) + " from " + t.ident + " where " + d.own(t, t.ident)
	if len(as.PrimaryKey) > 0 {
		sql += " order by " + t.order("", as.PrimaryKey)
	}
	return sql
}

// order is by the primary key, of texts by their bytes: a database's collation must not decide.
func (t *table) order(prefix string, key []string) string {
	terms := make([]string, len(key))
	for i, name := range key {
		terms[i] = prefix + quoteIdent(name)
		if t.column(name).Collated {
			terms[i] += ` collate "C"`
		}
	}
	return strings.Join(terms, ", ")
}

func (t *table) column(name string) column {
	i := slices.IndexFunc(t.columns, func(c column) bool { return c.Name == name })
	if i < 0 {
		return column{Name: name}
	}
	return t.columns[i]
}
