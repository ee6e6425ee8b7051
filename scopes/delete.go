package scopes

import (
	"reflect"
	"slices"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// checkDelete refuses rows of another tenant and a delete without a condition.
func checkDelete(db *gorm.DB, s statement) {
	if s.id == 0 {
		return
	}
	if !s.hasCondition() && !s.anyKeyed(s.Dest) && !s.anyKeyed(s.Model) {
		fail(db, gorm.ErrMissingWhereClause)
		return
	}
	onlyDest := reflect.TypeOf(s.Model) == reflect.TypeOf(s.Dest) && s.ReflectValue.Kind() == reflect.Struct && !s.ReflectValue.CanAddr()
	s.Dest = s.withTenant(s.Dest)
	s.ReflectValue = reflect.Indirect(reflect.ValueOf(s.Dest))
	if onlyDest {
		s.Model = s.Dest // as GORM does: it looks at a model beside a Dest that is a pointer only
		return
	}
	s.Model = s.withTenant(s.Model)
}

// withTenant refuses rows of another tenant, and completes the key of a row whose tenant is not set: GORM
// looks for the whole primary key, and so would look for tenant 0.
func (s statement) withTenant(value any) any {
	rv := reflect.ValueOf(value)
	if rv.Kind() == reflect.Struct { // not addressable: work on a copy
		row := reflect.New(rv.Type())
		row.Elem().Set(rv)
		rv, value = row, row.Interface()
	}
	eachRow(rv, func(row reflect.Value) {
		s.refuseForeign(row)
		if s.owns(row) && s.keyed(row) {
			s.ownKey(row)
		}
	})
	return value
}

// anyKeyed reports whether one of the rows in v says by its key that it is meant; GORM leaves out the others in a
// delete.
func (s statement) anyKeyed(v any) (any bool) {
	eachRow(reflect.ValueOf(v), func(row reflect.Value) { any = any || s.owns(row) && s.keyed(row) })
	return any
}

// hasCondition reports whether the caller said in words which rows are meant, or that all are. GORM's own check
// cannot tell, since the condition on the tenant is one too.
func (s statement) hasCondition() bool {
	if s.AllowGlobalUpdate || s.SQL.Len() > 0 {
		return true
	}
	where, ok := s.Clauses["WHERE"]
	return ok && !onlyTenant(where.Expression)
}

// onlyTenant reports whether a WHERE is nothing but what an earlier use of the statement left.
func onlyTenant(where clause.Expression) bool {
	w, ok := where.(clause.Where)
	return ok && !slices.ContainsFunc(w.Exprs, func(e clause.Expression) bool {
		_, ours := e.(condition)
		return !ours
	})
}
