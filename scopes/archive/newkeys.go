package archive

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// keyMaps say which columns change when keys are made anew, and how.
//
// A table with such columns is copied into a temporary one first. Another temporary table holds the old and the new key of
// each row, and by it and those of the parents the rows are written, and read back as they were.
type keyMaps struct {
	columns map[string]map[string]newValue // by table and column
	tables  []*table                       // in the order of the numbers in the temporary tables' names
}

// newValue is where a column's new value comes from: an expression that makes one, or a parent's key.
type newValue struct {
	fresh        string
	by           reference
	parentColumn string
}

// newKeyMaps plans the changes. It refuses models whose references it could not follow.
func newKeyMaps(d *database) (*keyMaps, error) {
	k := &keyMaps{columns: map[string]map[string]newValue{}, tables: d.tables}
	const remedy = "import with the keys kept"
	for _, t := range d.tables {
		if t.polymorphic != "" {
			return nil, &MismatchError{t.name, fmt.Sprintf("has the polymorphic relation %s, whose keys cannot be made anew", t.polymorphic), remedy}
		}
		changed := map[string]newValue{}
		k.columns[t.name] = changed
		for _, name := range t.primary {
			if fresh := freshKey(t.column(name)); fresh != "" {
				changed[name] = newValue{fresh: fresh}
			}
		}
		for _, r := range t.references {
			if problem := k.follow(d, t, r); problem != "" {
				return nil, &MismatchError{t.name, problem, remedy}
			}
		}
	}
	return k, nil
}

// freshKey returns the expression that makes a column's next value; empty: the value is kept.
func freshKey(c column) string {
	switch {
	case c.Identity:
		return fmt.Sprintf("nextval(%s::regclass)", quoteLiteral(c.Sequence))
	case strings.Contains(c.Default, "("):
		return c.Default
	case c.Type == "uuid":
		return "gen_random_uuid()"
	}
	return ""
}

// follow has the columns of a reference change with the parent's key. It returns what is wrong with that.
func (k *keyMaps) follow(d *database, t *table, r reference) string {
	parent, known := k.columns[r.parent]
	if !known {
		return fmt.Sprintf("and table %s refer to one another, so that their keys cannot be made anew", r.parent)
	}
	for i, name := range r.parentColumns {
		if _, changes := parent[name]; !changes {
			continue
		}
		if !containsAll(r.parentColumns, d.table(ident(r.parent)).primary) {
			return fmt.Sprintf("refers to a part of the key of table %s, which cannot be made anew", r.parent)
		}
		column := r.columns[i]
		if r.parent == t.name && slices.Contains(t.primary, column) {
			return fmt.Sprintf("refers to itself by column %q of its own key, which cannot be made anew", column)
		}
		if had, ok := k.columns[t.name][column]; ok && had.fresh == "" && (had.by.parent != r.parent || had.parentColumn != name) {
			return fmt.Sprintf("refers by column %q to tables %s and %s, whose keys cannot be made anew", column, had.by.parent, r.parent)
		} else if !ok || had.fresh != "" {
			k.columns[t.name][column] = newValue{by: r, parentColumn: name}
		}
	}
	return ""
}

func containsAll(list, wanted []string) bool {
	return !slices.ContainsFunc(wanted, func(w string) bool { return !slices.Contains(list, w) })
}

func (k *keyMaps) has(table, column string) bool {
	_, ok := k.columns[table][column]
	return ok
}

// hasOwn reports whether a table's own key changes.
func (k *keyMaps) hasOwn(t *table) bool {
	return slices.ContainsFunc(t.primary, func(name string) bool { return k.has(t.name, name) })
}

func (k *keyMaps) temporary(what, name string) string {
	return fmt.Sprintf("pg_temp.archive_%s_%d", what, slices.IndexFunc(k.tables, func(t *table) bool { return t.name == name }))
}

// direction is from which keys to which ones rows are brought.
type direction struct{ from, to string }

var (
	anew = direction{"old", "new"}
	back = direction{"new", "old"}
)

// rewrite returns the columns of an archive's table in terms of rows r, with the keys brought into a direction, and the
// joins that they need. Without the own keys, which are not there yet, expressions make them.
func (k *keyMaps) rewrite(t *table, as Table, way direction, own bool) (columns []string, joins string) {
	if own && k.hasOwn(t) {
		joins = fmt.Sprintf(" left join %s k on %s", k.temporary("keys", t.name), match("k", t, t.primary, t.primary, way))
	}
	var joined []reference
	alias := func(r reference) string {
		i := slices.IndexFunc(joined, r.equal)
		if i < 0 {
			i = len(joined)
			joined = append(joined, r)
			parent := k.tables[slices.IndexFunc(k.tables, func(p *table) bool { return p.name == r.parent })]
			joins += fmt.Sprintf(" left join %s p%d on %s", k.temporary("keys", r.parent), i, match(fmt.Sprintf("p%d", i), parent, r.columns, r.parentColumns, way))
		}
		return fmt.Sprintf("p%d", i)
	}
	for _, c := range as.Columns {
		v, changes := k.columns[t.name][c.Name]
		switch {
		case !changes:
			columns = append(columns, "r."+quoteIdent(c.Name))
		case v.fresh != "" && !own:
			columns = append(columns, v.fresh)
		case v.fresh != "":
			columns = append(columns, "k."+keyColumn(way.to, c.Name))
		default:
			columns = append(columns, alias(v.by)+"."+keyColumn(way.to, v.parentColumn))
		}
	}
	return columns, joins
}

// match joins rows r by columns with the keys of a table, so far as the columns are in its key.
func match(alias string, keys *table, columns, keyColumns []string, way direction) string {
	var conditions []string
	for i, name := range keyColumns {
		if slices.Contains(keys.primary, name) {
			conditions = append(conditions, fmt.Sprintf("%s.%s = r.%s", alias, keyColumn(way.from, name), quoteIdent(columns[i])))
		}
	}
	return strings.Join(conditions, " and ")
}

func keyColumn(which, name string) string { return quoteIdent(which + " " + name) }

// oldRows selects the tenant's rows with the keys that they had in the archive.
func (k *keyMaps) oldRows(d *database, t *table, as Table) string {
	columns, joins := k.rewrite(t, as, back, true)
	sql := "select " + strings.Join(columns, ", ") + " from " + t.ident + " r" + joins + " where " + d.own(t, "r")
	if len(as.PrimaryKey) == 0 {
		return sql
	}
	terms := make([]string, len(as.PrimaryKey))
	for i, name := range as.PrimaryKey {
		terms[i] = "r." + quoteIdent(name)
		if k.hasOwn(t) {
			terms[i] = "k." + keyColumn("old", name)
		}
		if t.column(name).Collated {
			terms[i] += ` collate "C"`
		}
	}
	return sql + " order by " + strings.Join(terms, ", ")
}

// loadStaged writes a table's rows with new keys.
func (i *importer) loadStaged(ctx context.Context, r *reader, t *table, as Table) (*rowReader, error) {
	stage, names := i.keys.temporary("rows", t.name), as.columnNames()
	create := fmt.Sprintf("create temporary table %s on commit drop as select %s from %s with no data", strings.TrimPrefix(stage, "pg_temp."), quoteIdents(names), t.ident)
	if err := i.exec(ctx, t, create); err != nil {
		return nil, err
	}
	rows, err := i.copyIn(ctx, r, stage, names, "", as)
	if err != nil {
		return nil, err
	}
	if err := i.exec(ctx, t, "analyze "+stage); err != nil {
		return nil, err
	}
	if err := i.makeKeys(ctx, t, as, stage); err != nil {
		return nil, err
	}
	columns, joins := i.keys.rewrite(t, as, anew, true)
	insert := fmt.Sprintf("insert into %s (%s) overriding system value select %s%s from %s r%s", t.ident,
		quoteIdents(slices.Concat(t.tenant, names)), strings.Repeat(i.db.tenant+", ", len(t.tenant)), strings.Join(columns, ", "), stage, joins)
	if err := i.exec(ctx, t, insert); err != nil {
		return nil, err
	}
	return rows, i.exec(ctx, t, "drop table "+stage)
}

// makeKeys makes the table of a table's old and new keys, in the order of the old ones.
func (i *importer) makeKeys(ctx context.Context, t *table, as Table, stage string) error {
	if !i.keys.hasOwn(t) {
		return nil
	}
	keys := i.keys.temporary("keys", t.name)
	only := Table{Columns: slices.DeleteFunc(slices.Clone(as.Columns), func(c Column) bool { return !slices.Contains(t.primary, c.Name) })}
	columns, joins := i.keys.rewrite(t, only, anew, false)
	var list []string
	for n, c := range only.Columns {
		list = append(list, fmt.Sprintf("r.%s as %s, (%s)::%s as %s", quoteIdent(c.Name), keyColumn("old", c.Name), columns[n], c.Type, keyColumn("new", c.Name)))
	}
	create := fmt.Sprintf("create temporary table %s on commit drop as select %s from (select * from %s order by %s) r%s",
		strings.TrimPrefix(keys, "pg_temp."), strings.Join(list, ", "), stage, t.order("", as.PrimaryKey), joins)
	if err := i.exec(ctx, t, create); err != nil {
		return err
	}
	return i.exec(ctx, t, "analyze "+keys)
}

func (i *importer) exec(ctx context.Context, t *table, sql string) error {
	_, err := i.tx.Exec(ctx, sql)
	return i.explain(t.name, err)
}
