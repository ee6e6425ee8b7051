package audit

import (
	"fmt"
	"slices"
	"strings"
)

// pairs reports whether a foreign key has that pair of columns.
func (fk foreignKey) pairs(column, parentColumn string) bool {
	for i := range fk.Columns {
		if fk.Columns[i] == column && fk.ParentColumns[i] == parentColumn {
			return true
		}
	}
	return false
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
			lines(s.successor(t, parent, fk), dropConstraint(t.relation, fk.Name)))
	})
}

// successor returns the SQL of the key that replaces one without the tenant, with the same actions. It is empty if the key exists.
func (s *state) successor(t, parent *table, old foreignKey) string {
	for _, fk := range t.foreignKeys {
		if fk.Parent == old.Parent && fk.pairs(t.tenant, parent.tenant) && fk.covers(old) {
			return ""
		}
	}
	return s.foreignKeySQL(t, parent, old.Columns, old.ParentColumns, func(own []string) string {
		return s.action(" on delete", old.OnDelete, own[1:]) + s.action(" on update", old.OnUpdate, nil) + old.Deferrable
	})
}

// covers reports whether fk has all column pairs of other.
func (fk foreignKey) covers(other foreignKey) bool {
	for i := range other.Columns {
		if !fk.pairs(other.Columns[i], other.ParentColumns[i]) {
			return false
		}
	}
	return true
}

var actions = map[string]string{"c": "cascade", "n": "set null", "d": "set default"}

// action returns the SQL of a key's actions. SET NULL and SET DEFAULT must leave out the tenant column, which needs PostgreSQL 15.
func (s *state) action(on, code string, columns []string) string {
	switch {
	case code == "r":
		return on + " restrict"
	case actions[code] == "":
		return ""
	case code == "c":
		return on + " cascade"
	case len(columns) == 0 || s.server.version < 150000:
		return ""
	}
	return fmt.Sprintf("%s %s (%s)", on, actions[code], quotedList(columns))
}

// judgeActions accepts ON DELETE SET NULL with a list of columns without the tenant: it changes only rows of the same tenant. A key
// without the tenant is not judged; its successor is, once it exists.
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
		fix := "-- first give the key its tenant (fk-tenant), and have the program do itself what the key does"
		if fk.pairs(t.tenant, parent.tenant) {
			fix = lines(s.foreignKeySQL(t, parent, fk.Columns, fk.ParentColumns, func(own []string) string {
				if fk.OnDelete == "c" {
					return fk.Deferrable
				}
				return s.action(" on delete", fk.OnDelete, own[1:]) + fk.Deferrable
			}), dropConstraint(t.relation, fk.Name))
		}
		return one(fk.Name+" is "+strings.Join(does, ", "), fix)
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

// judgeRelations finds relations between tenanted models that have no key. judgeForeignKeys finds keys without the tenant.
func judgeRelations(s *state, t *table) []finding {
	var found []finding
	for _, rel := range t.model.relations {
		parent := s.parentOf(t, rel)
		if parent == nil {
			continue
		}
		if rel.withoutForeign || parent.isSharedView() {
			found = append(found, finding{status: Note, message: fmt.Sprintf(
				"relation %s to %s is polymorphic, or to a view: no foreign key can hold it", rel.name, parent)})
			continue
		}
		if column := rel.astray(t, parent); column != "" {
			found = append(found, one(fmt.Sprintf("relation %s to %s leads from %s to the tenant column %s", rel.name, parent, column, parent.tenant),
				"-- in the model, name the column that is meant, as references:ID: of a key of several GORM takes the first")...)
			continue
		}
		if !slices.ContainsFunc(t.foreignKeys, func(fk foreignKey) bool { return fk.holds(rel, t, parent) }) {
			found = append(found, one(fmt.Sprintf("relation %s to %s has no foreign key on (%s)", rel.name, parent, strings.Join(rel.columns, ", ")),
				s.foreignKeySQL(t, parent, rel.columns, rel.parentColumns, plainKey))...)
		}
	}
	return found
}

// astray returns the column of a relation that refers to the parent's tenant column and is not a tenant column itself, or "". In
// the tenants' own table the tenant column is the key.
func (rel relationship) astray(t, parent *table) string {
	for i, column := range rel.columns {
		if rel.parentColumns[i] == parent.tenant && column != t.tenant && !parent.model.tenantKey {
			return column
		}
	}
	return ""
}

// holds reports whether a foreign key implements a relation, disregarding the tenant.
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

// parentOf returns the tenanted table that a relation refers to, or nil: the one in the same schema, or else the only one, since a
// model may have a fixed schema.
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
