package audit

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

type index struct {
	Relation   uint32
	Name       string
	Primary    bool
	Unique     bool // or an exclusion constraint, which reveals as much
	Usable     bool // valid, and over all rows
	Method     string
	Columns    []string // key columns in order; "" for an expression
	Constraint string   // name of the constraint it belongs to, or ""
	Deferrable string   // the constraint's DEFERRABLE clause, as SQL
	Definition string   // of the index, or of an exclusion constraint, as SQL
	Exclusion  bool
}

type foreignKey struct {
	Child         uint32
	Parent        uint32
	Name          string
	Columns       []string
	ParentColumns []string
	OnUpdate      string // pg_constraint.confupdtype
	OnDelete      string
	NullColumns   []string // the columns of ON DELETE SET NULL or SET DEFAULT, if listed
	Deferrable    string   // as SQL
	Validated     bool
	Disabled      bool
}

// deferrable is an SQL expression for the DEFERRABLE clause of constraint c.
const deferrable = `case when c.condeferred then ' deferrable initially deferred' when c.condeferrable then ' deferrable' else '' end`

func (s *state) readIndexes(ctx context.Context, tx pgx.Tx) error {
	const query = `
		select i.indrelid, x.relname, i.indisprimary, i.indisunique or i.indisexclusion, i.indisvalid and i.indpred is null, m.amname,
			array(select coalesce(a.attname, '') from generate_series(0, i.indnkeyatts - 1) k
				left join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[k] and a.attnum <> 0 order by k),
			coalesce(c.conname, ''), ` + deferrable + `,
			case when i.indisexclusion then pg_get_constraintdef(c.oid) else pg_get_indexdef(i.indexrelid) end, i.indisexclusion
		from pg_index i join pg_class x on x.oid = i.indexrelid join pg_am m on m.oid = x.relam
			left join pg_constraint c on c.conindid = i.indexrelid and c.contype in ('p', 'u', 'x')
		where i.indrelid = any ($1)
		order by i.indrelid, x.relname`
	list, err := collect[index](ctx, tx, "indexes", query, s.oids())
	for _, i := range list {
		r := s.relation(i.Relation)
		r.indexes = append(r.indexes, i)
	}
	return err
}

func (s *state) readForeignKeys(ctx context.Context, tx pgx.Tx) error {
	// Columns that only newer servers have are read through jsonb.
	const query = `
		select c.conrelid, c.confrelid, c.conname,
			array(select a.attname from unnest(c.conkey) with ordinality k (num, nth)
				join pg_attribute a on a.attrelid = c.conrelid and a.attnum = k.num order by nth),
			array(select a.attname from unnest(c.confkey) with ordinality k (num, nth)
				join pg_attribute a on a.attrelid = c.confrelid and a.attnum = k.num order by nth),
			c.confupdtype::text, c.confdeltype::text,
			array(select a.attname from pg_attribute a where a.attrelid = c.conrelid and to_jsonb(c) -> 'confdelsetcols' @> to_jsonb(a.attnum)),
			` + deferrable + `, c.convalidated and coalesce((to_jsonb(c) ->> 'conenforced')::bool, true),
			exists (select from pg_trigger t where t.tgconstraint = c.oid and t.tgenabled in ('D', 'R'))
		from pg_constraint c
		where c.contype = 'f' and c.conrelid = any ($1)
		order by c.conrelid, c.conname`
	list, err := collect[foreignKey](ctx, tx, "foreign keys", query, s.oids())
	for _, fk := range list {
		r := s.relation(fk.Child)
		r.foreignKeys = append(r.foreignKeys, fk)
	}
	return err
}

func judgeTenantType(_ *state, t *table) []finding {
	c, ok := t.column(t.tenant)
	if !ok {
		return one("there is no column "+t.tenant, fmt.Sprintf("alter table %s add column %s %s;\n"+
			"-- fill it in the rows that are there, and look again: it must be NOT NULL", t.sql(), ident(t.tenant), t.model.kind))
	}
	if t.comparable() {
		return nil
	}
	alter := fmt.Sprintf("alter table %s alter column %s type %[3]s using %[2]s::%[3]s;", t.sql(), ident(c.Name), t.model.kind)
	return one(fmt.Sprintf("column %s is of type %s", c.Name, c.Type),
		strings.TrimLeft(dropPolicies(t.relation, t.Policies)+"\n"+alter, "\n"))
}

// kind is the kind of a tenant column's values.
type kind string

const (
	kindBigint kind = "bigint"
	kindUUID   kind = "uuid"
	kindText   kind = "text"
)

// kindOf returns the kind of a column type, or "" for a type that a tenant column must not have.
func kindOf(columnType string) kind {
	switch {
	case slices.Contains([]string{"smallint", "integer", "bigint"}, columnType):
		return kindBigint
	case columnType == "uuid":
		return kindUUID
	case columnType == "text" || strings.HasPrefix(columnType, "character varying"):
		return kindText
	}
	return ""
}

// somebody is an id of each kind, for reading a plan.
var somebody = map[kind]string{kindBigint: "1", kindUUID: "00000000-0000-0000-0000-000000000001", kindText: "1", "": "1"}

// comparable reports whether the expected policy can be created: the tenant column's kind can store the model's field. An integer
// field needs an integer column, a text field a text or UUID column, and a field of a custom type either.
func (t *table) comparable() bool {
	c, ok := t.column(t.tenant)
	is := kindOf(c.Type)
	return ok && is != "" && (is == t.model.kind || is != kindBigint && t.model.kind != kindBigint)
}

// tenantKind is the kind that the tenant column has, or must get before the expected policy can be created.
func (t *table) tenantKind() kind {
	if t.comparable() {
		c, _ := t.column(t.tenant)
		return kindOf(c.Type)
	}
	return t.model.kind
}

// judgeTenantNull uses a CHECK constraint in its fix: validating it does not block writes, and SET NOT NULL then needs no scan.
func judgeTenantNull(_ *state, t *table) []finding {
	if c, ok := t.column(t.tenant); !ok || c.NotNull {
		return nil
	}
	name := freeName(t.Name+"_"+t.tenant, "not_null", func(string) bool { return false })
	alter, column := "alter table "+t.sql(), ident(t.tenant)
	return one("column "+t.tenant+" may be null", lines(
		alter+" add constraint "+ident(name)+" check ("+column+" is not null) not valid;",
		alter+" validate constraint "+ident(name)+";",
		alter+" alter column "+column+" set not null;",
		dropConstraint(t.relation, name)))
}

// fixedDefault matches a constant, and a constant fallback for an unset tenant.
var fixedDefault = regexp.MustCompile(`^(COALESCE\(.*, )?\(?(?:'[^']+'|-?[0-9]+)\)?(?:::[a-z ]+)?\)?$`)

func judgeTenantDefault(s *state, t *table) []finding {
	c, ok := t.column(t.tenant)
	fixed := fixedDefault.FindStringSubmatch(c.Default)
	if !ok || fixed == nil {
		return nil
	}
	alter := fmt.Sprintf("alter table %s alter column %s ", t.sql(), ident(c.Name))
	fix := alter + "drop default;"
	if fixed[1] != "" && t.comparable() {
		fix = alter + "set default " + s.current(kindOf(c.Type)) + ";"
	}
	return one(fmt.Sprintf("column %s has the default %s", c.Name, c.Default), fix)
}

func judgePrimaryKey(s *state, t *table) []finding {
	old, there := t.primaryKey()
	message := "there is no primary key"
	if there {
		if old.Columns[0] == t.tenant {
			return nil
		}
		message = "the primary key is (" + strings.Join(old.Columns, ", ") + ")"
	}
	columns := keyColumns(t, old)
	if t.Kind == "p" {
		drop := ""
		if there {
			drop = dropConstraint(t.relation, old.Constraint)
		}
		return one(message, lines(drop, "alter table "+t.sql()+" add primary key ("+quotedList(columns)+");"))
	}
	name, create := s.uniqueKey(t.relation, columns, true)
	return one(message, lines(s.strangersKeys(t, old), create, replaceConstraint(t.relation, old.Constraint, "primary key", name, old.Deferrable)))
}

func (r *relation) primaryKey() (index, bool) {
	i := slices.IndexFunc(r.indexes, func(i index) bool { return i.Primary })
	if i < 0 {
		return index{}, false
	}
	return r.indexes[i], true
}

// strangersKeys names the foreign keys that refer to a key which must be dropped and that judgeForeignKeys does not judge.
func (s *state) strangersKeys(t *table, old index) string {
	var names []string
	for _, r := range s.relations {
		for _, fk := range r.foreignKeys {
			if fk.Parent == t.OID && s.tenantTable(r.OID) == nil && slices.Equal(fk.ParentColumns, old.Columns) {
				names = append(names, fk.Name+" of "+r.String())
			}
		}
	}
	if len(names) == 0 {
		return ""
	}
	return "-- first the foreign keys that refer to it: " + strings.Join(names, ", ")
}

// keyColumns returns the columns that a table's primary key should have: the tenant, and those of the model's key or else the
// table's.
func keyColumns(t *table, old index) []string {
	columns := []string{t.tenant}
	if t.model.tenantKey {
		return columns
	}
	rest := t.model.primary
	if len(rest) == 0 || len(rest) == 1 && rest[0] == t.tenant {
		rest = old.Columns
	}
	for _, column := range rest {
		if column != t.tenant {
			columns = append(columns, column)
		}
	}
	return columns
}

// judgeUnique includes the table's partitions and children. The table's own primary key is left to judgePrimaryKey.
func judgeUnique(s *state, t *table) []finding {
	var found []finding
	for _, r := range append(slices.Clone(s.parts[t]), t.relation) {
		for _, i := range r.indexes {
			own := r == t.relation && i.Primary
			if !i.Unique || own || slices.Contains(i.Columns, t.tenant) {
				continue
			}
			found = append(found, s.oracle(t, r, i))
		}
	}
	return found
}

// oracle returns the finding about a unique key over all tenants. In the tenants' own table a key must be over all tenants, and
// reveals nothing as long as the runtime role cannot write there.
func (s *state) oracle(t *table, r *relation, i index) finding {
	drop := dropIndex(r, i.Name)
	if i.Constraint != "" {
		drop = dropConstraint(r, i.Constraint)
	}
	f := finding{object: r.object(), message: i.Name + " is unique over all tenants: (" + strings.Join(i.Columns, ", ") + ")"}
	if slices.Contains(i.Columns, "") {
		f.message = i.Name + " is unique over all tenants, by an expression"
	}
	if t.model.tenantKey {
		if !s.runtimeMay(r, "INSERT", "UPDATE") {
			f.status = Note
		}
		f.fix = fmt.Sprintf("%s\n-- or, to keep it: revoke insert, update on %s from %s;", drop, r.sql(), ident(s.cfg.Runtime))
		return f
	}
	f.fix = s.withinTenant(t, r, i, drop)
	return f
}

// withinTenant returns the SQL that replaces a unique key by one with the tenant in front, under the same name.
func (s *state) withinTenant(t *table, r *relation, i index, drop string) string {
	// The definition is, for an index, CREATE UNIQUE INDEX … USING btree (…) …, and else EXCLUDE USING gist (… WITH …) ….
	_, using, _ := strings.Cut(i.Definition, " USING ")
	method, rest, _ := strings.Cut(using, " (")
	if i.Exclusion {
		return fmt.Sprintf("alter table %s drop constraint %s, add constraint %[2]s exclude using %[3]s (%[4]s with =, %[5]s;",
			r.sql(), ident(i.Constraint), method, ident(t.tenant), rest)
	}
	if i.Usable && !slices.Contains(i.Columns, "") && s.hasKey(r, append([]string{t.tenant}, i.Columns...)) {
		return drop
	}
	// A column is in an index once.
	rest = strings.NewReplacer(" INCLUDE ("+t.tenant+")", "", " INCLUDE ("+ident(t.tenant)+")", "").Replace(rest)
	name := freeName(i.Name, "tenant", s.isRelation(r.Schema))
	create := createUnique(r, name, method+" ("+ident(t.tenant)+", "+rest)
	if i.Constraint != "" && r.Kind != "p" {
		return lines(create, replaceConstraint(r, i.Constraint, "unique", name, i.Deferrable))
	}
	return lines(create, drop, fmt.Sprintf("alter index %s rename to %s;", ident(r.Schema, name), ident(i.Name)))
}

func (s *state) hasKey(r *relation, columns []string) bool {
	_, create := s.uniqueKey(r, columns, false)
	return create == ""
}

// judgeIndex has the index made that the primary key needs: where that begins with the tenant, there is one.
func judgeIndex(s *state, t *table) []finding {
	leads := func(i index) bool { return i.Usable && i.Method == "btree" && i.Columns[0] == t.tenant }
	if slices.ContainsFunc(t.indexes, leads) {
		return nil
	}
	fix := fmt.Sprintf("create index on %s (%s);", t.sql(), ident(t.tenant))
	if t.Kind != "p" {
		old, _ := t.primaryKey()
		_, fix = s.uniqueKey(t.relation, keyColumns(t, old), true)
	}
	return one("no index begins with "+t.tenant, fix)
}
