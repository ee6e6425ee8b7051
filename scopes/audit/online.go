package audit

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Keys and indexes are printed in the forms that let a program go on writing: what takes time (building an index, looking
// at every row) runs under a lock that writers do not meet, and what takes a strong lock takes it for a moment.
// PostgreSQL has these forms for plain tables only; for a partitioned one the SQL is the ordinary one.

// lines joins the SQL that there is.
func lines(sql ...string) string {
	return strings.Join(slices.DeleteFunc(sql, func(line string) bool { return line == "" }), "\n")
}

// concurrently is the word for an index of r, if r can have it.
func concurrently(r *relation) string {
	if r.Kind == "p" {
		return ""
	}
	return " concurrently"
}

// maxName is the longest name that PostgreSQL does not cut.
const maxName = 63

// freeName makes a name of a base and a suffix, as PostgreSQL does, with a number where it is taken. It depends on what is
// there alone, so that all fixes of a report that need the same key call it the same.
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

// isRelation reports whether a schema has a table or an index of a name, be it one that was not finished.
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

// uniqueKey returns the name of a unique index of r on these columns in this order, and the SQL that makes it, empty if it is there.
// With free it is one that can become a constraint's.
func (s *state) uniqueKey(r *relation, columns []string, free bool) (name, create string) {
	for _, i := range r.indexes {
		if i.Unique && !i.Exclusion && i.Usable && i.Method == "btree" && slices.Equal(i.Columns, columns) && (!free || i.Constraint == "") {
			return i.Name, ""
		}
	}
	name = freeName(nameOf(r, columns), "key", s.isRelation(r.Schema))
	return name, createUnique(r, name, "btree ("+quotedList(columns)+")")
}

// createUnique is the SQL of a unique index. Several fixes of a report may have it.
func createUnique(r *relation, name, definition string) string {
	return fmt.Sprintf("create unique index%s if not exists %s on %s using %s;", concurrently(r), ident(name), r.sql(), definition)
}

func dropIndex(r *relation, name string) string {
	return "drop index" + concurrently(r) + " " + ident(r.Schema, name) + ";"
}

func dropConstraint(r *relation, name string) string {
	return "alter table " + r.sql() + " drop constraint " + ident(name) + ";"
}

// replaceConstraint gives a constraint's name to the index that takes its place, since programs know keys by their names.
func replaceConstraint(r *relation, old, kind, index, deferrable string) string {
	drop := ""
	if old == "" {
		old = r.Name + "_pkey"
	} else {
		drop = "drop constraint " + ident(old) + ", "
	}
	return fmt.Sprintf("alter table %s %sadd constraint %s %s using index %s%s;", r.sql(), drop, ident(old), kind, ident(index), deferrable)
}

// foreignKeySQL is a key from t to parent as it should be: the tenant first, then the columns given, then what follows them.
// It comes with the key of the parent's that it needs.
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

// parentKey is the SQL that makes a key which a foreign key can refer to, empty if there is one.
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
