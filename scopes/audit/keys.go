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
	Unique     bool // or an exclusion constraint, which tells as much
	Usable     bool // valid, and over all rows
	Method     string
	Columns    []string // key columns in order; "" for an expression
	Constraint string   // name of the constraint it belongs to, or ""
}

type foreignKey struct {
	Child         uint32
	Parent        uint32
	Name          string
	Columns       []string
	ParentColumns []string
	OnUpdate      string // pg_constraint.confupdtype
	OnDelete      string
	NullColumns   []string // what ON DELETE SET NULL or DEFAULT sets, where it names columns
	Validated     bool
	Disabled      bool
}

func (s *state) readIndexes(ctx context.Context, tx pgx.Tx) error {
	const query = `
		select i.indrelid, x.relname, i.indisprimary, i.indisunique or i.indisexclusion, i.indisvalid and i.indpred is null, m.amname,
			array(select coalesce(a.attname, '') from generate_series(0, i.indnkeyatts - 1) k
				left join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[k] and a.attnum <> 0 order by k),
			coalesce((select c.conname from pg_constraint c where c.conindid = i.indexrelid and c.contype in ('p', 'u', 'x')), '')
		from pg_index i join pg_class x on x.oid = i.indexrelid join pg_am m on m.oid = x.relam
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
			c.convalidated and coalesce((to_jsonb(c) ->> 'conenforced')::bool, true),
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
		return one("there is no column "+t.tenant, fmt.Sprintf("alter table %s add column %s %s not null;", t.sql(), ident(t.tenant), t.model.kind))
	}
	if t.comparable() {
		return nil
	}
	alter := fmt.Sprintf("alter table %s alter column %s type %[3]s using %[2]s::%[3]s;", t.sql(), ident(c.Name), t.model.kind)
	return one(fmt.Sprintf("column %s is of type %s", c.Name, c.Type),
		strings.TrimLeft(dropPolicies(t.relation, t.Policies)+"\n"+alter, "\n"))
}

// kind is what a tenant column holds, by the type that it should be of.
type kind string

const (
	kindBigint kind = "bigint"
	kindUUID   kind = "uuid"
	kindText   kind = "text"
)

// kindOf returns the kind of a column's type, or "" for one that no tenant column may be of.
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

// somebody is an id of each kind, for a look at a plan.
var somebody = map[kind]string{kindBigint: "1", kindUUID: "00000000-0000-0000-0000-000000000001", kindText: "1", "": "1"}

// comparable reports whether the expected policy can be made: the tenant column is of a kind that the model's field is
// stored in. An integer is stored in no other, a text also in a UUID, and a type of its own in both.
func (t *table) comparable() bool {
	c, ok := t.column(t.tenant)
	is := kindOf(c.Type)
	return ok && is != "" && (is == t.model.kind || is != kindBigint && t.model.kind != kindBigint)
}

// tenantKind is what the tenant column holds, or has to hold before the expected policy can be made.
func (t *table) tenantKind() kind {
	if t.comparable() {
		c, _ := t.column(t.tenant)
		return kindOf(c.Type)
	}
	return t.model.kind
}

func judgeTenantNull(_ *state, t *table) []finding {
	if c, ok := t.column(t.tenant); !ok || c.NotNull {
		return nil
	}
	return one("column "+t.tenant+" may be null", fmt.Sprintf("alter table %s alter column %s set not null;", t.sql(), ident(t.tenant)))
}

var fixedDefault = regexp.MustCompile(`^\(?('?-?[0-9]+'?)\)?(::[a-z]+)?$`)

func judgeTenantDefault(_ *state, t *table) []finding {
	c, ok := t.column(t.tenant)
	if !ok || !fixedDefault.MatchString(c.Default) {
		return nil
	}
	return one(fmt.Sprintf("column %s has the default %s", c.Name, c.Default),
		fmt.Sprintf("alter table %s alter column %s drop default;", t.sql(), ident(c.Name)))
}

func judgePrimaryKey(_ *state, t *table) []finding {
	i := slices.IndexFunc(t.indexes, func(i index) bool { return i.Primary })
	if i < 0 {
		return one("there is no primary key", "alter table "+t.sql()+" add primary key ("+keyColumns(t)+");")
	}
	pk := t.indexes[i]
	if pk.Columns[0] == t.tenant {
		return nil
	}
	return one("the primary key is ("+strings.Join(pk.Columns, ", ")+")",
		fmt.Sprintf("alter table %s drop constraint %s, add primary key (%s); -- foreign keys to it first", t.sql(), ident(pk.Constraint), keyColumns(t)))
}

// keyColumns is the primary key that a table should have, as SQL.
func keyColumns(t *table) string {
	columns := []string{ident(t.tenant)}
	if _, ok := t.column("id"); ok && t.tenant != "id" && !t.model.tenantKey {
		columns = append(columns, "id")
	}
	return strings.Join(columns, ", ")
}

// judgeUnique looks at the table's partitions and children too. A primary key is judgePrimaryKey's, if it is not
// the table's own.
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

// oracle is the finding about a unique key over all tenants. In the tenants' own table it is by nature so, and
// tells nothing as long as the runtime role cannot write there.
func (s *state) oracle(t *table, r *relation, i index) finding {
	drop := "drop index " + ident(r.Schema, i.Name) + ";"
	if i.Constraint != "" {
		drop = dropConstraint(r, i.Constraint)
	}
	f := finding{object: r.object(), message: i.Name + " is unique over all tenants: (" + strings.Join(i.Columns, ", ") + ")"}
	if t.model.tenantKey {
		if !s.runtimeMay(r, "INSERT", "UPDATE") {
			f.status = Note
		}
		f.fix = fmt.Sprintf("%s\n-- or, to keep it: revoke insert, update on %s from %s;", drop, r.sql(), ident(s.cfg.Runtime))
		return f
	}
	if slices.Contains(i.Columns, "") {
		f.message = i.Name + " is unique over all tenants, by an expression"
		f.fix = drop + "\n-- and create it again with " + t.tenant + " in front"
		return f
	}
	columns := []string{ident(t.tenant)}
	for _, name := range i.Columns {
		columns = append(columns, ident(name))
	}
	f.fix = drop + fmt.Sprintf("\ncreate unique index on %s (%s);", r.sql(), strings.Join(columns, ", "))
	return f
}

func judgeIndex(_ *state, t *table) []finding {
	leads := func(i index) bool { return i.Usable && i.Method == "btree" && i.Columns[0] == t.tenant }
	if slices.ContainsFunc(t.indexes, leads) {
		return nil
	}
	return one("no index begins with "+t.tenant, fmt.Sprintf("create index concurrently on %s (%s);", t.sql(), ident(t.tenant)))
}
