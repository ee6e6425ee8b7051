package audit

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// The SQL for keys and indexes lets a program go on writing: slow steps (building an index, reading every row) take locks that do
// not block writes, and steps with strong locks are short. PostgreSQL supports this for plain tables only; for a partitioned table
// the SQL takes strong locks throughout.

// lines joins the non-empty statements.
func lines(sql ...string) string {
	return strings.Join(slices.DeleteFunc(sql, func(line string) bool { return line == "" }), "\n")
}

// concurrently returns the keyword for creating an index of r, if PostgreSQL supports it for r.
func concurrently(r *relation) string {
	if r.Kind == "p" {
		return ""
	}
	return " concurrently"
}

// maxName is the longest name that PostgreSQL does not truncate.
const maxName = 63

// freeName returns a name from a base and a suffix, as PostgreSQL does, with a number if the name is taken. It depends only on the
// database, so that all fixes of a report that need the same key use the same name.
func freeName(base, suffix string, taken func(string) bool) string {
	for n := 0; ; n++ {
		end := "_" + suffix
		if n > 0 {
			end += strconv.Itoa(n)
		}
		name := base[:min(len(base), maxName-len(end))]
		for !utf8.ValidString(name) {
			name = name[:len(name)-1]
		}
		if name += end; !taken(name) {
			return name
		}
	}
}

func nameOf(r *relation, columns []string) string {
	return strings.Join(append([]string{r.Name}, columns...), "_")
}

// isRelation reports whether a schema has a table or an index with that name, even an invalid index.
func (s *state) isRelation(schema string) func(string) bool {
	return func(name string) bool {
		return slices.ContainsFunc(s.relations, func(r *relation) bool {
			return r.Schema == schema && (r.Name == name ||
				slices.ContainsFunc(r.indexes, func(i index) bool { return i.Name == name }))
		})
	}
}

func (r *relation) hasForeignKey(name string) bool {
	return slices.ContainsFunc(r.foreignKeys, func(fk foreignKey) bool { return fk.Name == name })
}

// uniqueKey returns the name of a unique index of r on these columns in this order, and the SQL that creates it, empty if it exists.
// With free, the index can become a constraint's.
func (s *state) uniqueKey(r *relation, columns []string, free bool) (name, create string) {
	for _, i := range r.indexes {
		if i.Unique && !i.Exclusion && i.Usable && i.Method == "btree" && slices.Equal(i.Columns, columns) && (!free || i.Constraint == "") {
			return i.Name, ""
		}
	}
	name = freeName(nameOf(r, columns), "key", s.isRelation(r.Schema))
	return name, createUnique(r, name, "btree ("+quotedList(columns)+")")
}

// createUnique returns the SQL of a unique index. Several fixes of a report may contain it.
func createUnique(r *relation, name, definition string) string {
	return fmt.Sprintf("create unique index%s if not exists %s on %s using %s;", concurrently(r), ident(name), r.sql(), definition)
}

func dropIndex(r *relation, name string) string {
	return "drop index" + concurrently(r) + " " + ident(r.Schema, name) + ";"
}

func dropConstraint(r *relation, name string) string {
	return "alter table " + r.sql() + " drop constraint " + ident(name) + ";"
}

// replaceConstraint gives the constraint's name to the index that replaces it, since programs refer to keys by name.
func replaceConstraint(r *relation, old, kind, index, deferrable string) string {
	drop := ""
	if old == "" {
		old = r.Name + "_pkey"
	} else {
		drop = "drop constraint " + ident(old) + ", "
	}
	return fmt.Sprintf("alter table %s %sadd constraint %s %s using index %s%s;", r.sql(), drop, ident(old), kind, ident(index), deferrable)
}

// foreignKeySQL returns the SQL of the right key from t to parent, on the tenant and then the given columns, with the parent's key
// if that is missing.
func (s *state) foreignKeySQL(t, parent *table, columns, parentColumns []string, rest func(own []string) string) string {
	own, theirs := []string{t.tenant}, []string{parent.tenant}
	for i := range columns {
		if columns[i] != t.tenant && parentColumns[i] != parent.tenant {
			own, theirs = append(own, columns[i]), append(theirs, parentColumns[i])
		}
	}
	name := ident(freeName(nameOf(t.relation, own), "fkey", t.hasForeignKey))
	add := fmt.Sprintf("alter table %s add constraint %s foreign key (%s) references %s (%s)%s",
		t.sql(), name, quotedList(own), parent.sql(), quotedList(theirs), rest(own))
	if t.Kind == "p" {
		return lines(s.parentKey(parent, theirs), add+";")
	}
	return lines(s.parentKey(parent, theirs), add+" not valid;", "alter table "+t.sql()+" validate constraint "+name+";")
}

// parentKey returns the SQL of a key that a foreign key can refer to, empty if there is one.
func (s *state) parentKey(parent *table, columns []string) string {
	want := slices.Sorted(slices.Values(columns))
	if slices.ContainsFunc(parent.indexes, func(i index) bool {
		return i.Unique && !i.Exclusion && i.Usable && slices.Equal(slices.Sorted(slices.Values(i.Columns)), want)
	}) {
		return ""
	}
	_, create := s.uniqueKey(parent.relation, columns, false)
	return create
}

func quotedList(columns []string) string {
	quoted := make([]string, len(columns))
	for i, column := range columns {
		quoted[i] = ident(column)
	}
	return strings.Join(quoted, ", ")
}

func plainKey([]string) string { return "" }
