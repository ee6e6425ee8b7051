package audit

import (
	"fmt"
	"slices"
	"strings"
)

// pairs reports whether a foreign key ties two columns together.
func (fk foreignKey) pairs(column, parentColumn string) bool {
	for i := range fk.Columns {
		if fk.Columns[i] == column && fk.ParentColumns[i] == parentColumn {
			return true
		}
	}
	return false
}

func dropConstraint(r *relation, name string) string {
	return "alter table " + r.sql() + " drop constraint " + ident(name) + ";"
}

// foreignKeySQL is a key from t to parent as it should be: the tenant first, then the columns given.
func foreignKeySQL(t, parent *table, columns, parentColumns []string) string {
	own, theirs := []string{ident(t.tenant)}, []string{ident(parent.tenant)}
	for i := range columns {
		if columns[i] != t.tenant && parentColumns[i] != parent.tenant {
			own, theirs = append(own, ident(columns[i])), append(theirs, ident(parentColumns[i]))
		}
	}
	return fmt.Sprintf("alter table %s add foreign key (%s) references %s (%s);",
		t.sql(), strings.Join(own, ", "), parent.sql(), strings.Join(theirs, ", "))
}

// eachKey judges the foreign keys of t to tenanted tables.
func (s *state) eachKey(t *table, judge func(fk foreignKey, parent *table) []finding) []finding {
	var found []finding
	for _, fk := range t.foreignKeys {
		if parent := s.tenantTable(fk.Parent); parent != nil {
			found = append(found, judge(fk, parent)...)
		}
	}
	return found
}

func judgeForeignKeys(s *state, t *table) []finding {
	return s.eachKey(t, func(fk foreignKey, parent *table) []finding {
		if fk.pairs(t.tenant, parent.tenant) {
			return nil
		}
		return one(fmt.Sprintf("%s leads from (%s) to %s (%s)", fk.Name, strings.Join(fk.Columns, ", "), parent, strings.Join(fk.ParentColumns, ", ")),
			dropConstraint(t.relation, fk.Name)+"\n"+foreignKeySQL(t, parent, fk.Columns, fk.ParentColumns))
	})
}

var actions = map[string]string{"c": "cascade", "n": "set null", "d": "set default"}

// judgeActions lets ON DELETE SET NULL pass where it names columns and the tenant is not among them: it stays
// inside the tenant, in the one row.
func judgeActions(s *state, t *table) []finding {
	return s.eachKey(t, func(fk foreignKey, parent *table) []finding {
		var does []string
		harmless := len(fk.NullColumns) > 0 && !slices.Contains(fk.NullColumns, t.tenant)
		if a := actions[fk.OnDelete]; a != "" && !harmless {
			does = append(does, "on delete "+a)
		}
		if a := actions[fk.OnUpdate]; a != "" {
			does = append(does, "on update "+a)
		}
		if len(does) == 0 {
			return nil
		}
		return one(fk.Name+" is "+strings.Join(does, ", "),
			dropConstraint(t.relation, fk.Name)+"\n"+foreignKeySQL(t, parent, fk.Columns, fk.ParentColumns))
	})
}

func judgeEnforced(s *state, t *table) []finding {
	return s.eachKey(t, func(fk foreignKey, _ *table) []finding {
		switch {
		case fk.Disabled:
			return one(fk.Name+" is switched off", "alter table "+t.sql()+" enable trigger all; -- and on the table it refers to\n"+
				"-- then look for rows that slipped in")
		case !fk.Validated:
			return one(fk.Name+" is not valid: it was never checked against the rows that are there",
				"alter table "+t.sql()+" validate constraint "+ident(fk.Name)+";")
		}
		return nil
	})
}

// judgeRelations finds relations between tenanted models without any key; one that leaves the tenant out is
// judgeForeignKeys'.
func judgeRelations(s *state, t *table) []finding {
	var found []finding
	for _, rel := range t.model.relations {
		parent := s.parentOf(t, rel)
		if parent == nil {
			continue
		}
		if rel.withoutForeign {
			found = append(found, finding{status: Note, message: fmt.Sprintf(
				"relation %s to %s is polymorphic: no foreign key can hold it", rel.name, parent)})
			continue
		}
		if !slices.ContainsFunc(t.foreignKeys, func(fk foreignKey) bool { return fk.holds(rel, t, parent) }) {
			found = append(found, one(fmt.Sprintf("relation %s to %s has no foreign key on (%s)", rel.name, parent, strings.Join(rel.columns, ", ")),
				foreignKeySQL(t, parent, rel.columns, rel.parentColumns))...)
		}
	}
	return found
}

// holds reports whether a foreign key stands for a relation, the tenant aside.
func (fk foreignKey) holds(rel relationship, t, parent *table) bool {
	if fk.Parent != parent.OID {
		return false
	}
	for i := range rel.columns {
		beside := rel.columns[i] != t.tenant || len(rel.columns) == 1
		if beside && !fk.pairs(rel.columns[i], rel.parentColumns[i]) {
			return false
		}
	}
	return true
}

// parentOf returns the tenanted table that a relation leads to, or nil: the one in the same schema, or else the
// only one there is, since a model may name a schema of its own.
func (s *state) parentOf(t *table, rel relationship) *table {
	var others []*table
	for _, p := range s.tables {
		switch {
		case p.model != s.models[rel.parent]:
		case p.Schema == t.Schema:
			return p
		default:
			others = append(others, p)
		}
	}
	if len(others) == 1 {
		return others[0]
	}
	return nil
}
