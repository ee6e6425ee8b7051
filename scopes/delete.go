package scopes

import (
	"reflect"
	"slices"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// checkDelete refuses rows of another tenant and a delete without a condition.
func checkDelete(db *gorm.DB, s statement) {
	if s.id.nobody() {
		s.requireTenant("delete", s.Dest)
		s.requireTenant("delete", s.Model)
		return
	}
	if !s.hasCondition() && !s.anyKeyed(s.Dest) && !s.anyKeyed(s.Model) {
		fail(db, gorm.ErrMissingWhereClause)
		return
	}
	eachRow(reflect.ValueOf(s.Dest), s.refuseForeign)
	eachRow(reflect.ValueOf(s.Model), s.refuseForeign)
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
