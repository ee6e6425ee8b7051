package scopes

import (
	"reflect"
	"slices"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// checkUpdate refuses rows and values of another tenant and an update without a condition, and takes the
// tenant column out of what is set.
func checkUpdate(db *gorm.DB, s statement) {
	if s.id.nobody() {
		s.requireTenant("update", s.Model)
		return
	}
	if !s.hasCondition() && !s.allKeyed(s.Model) {
		fail(db, gorm.ErrMissingWhereClause)
		return
	}
	eachRow(reflect.ValueOf(s.Model), func(row reflect.Value) {
		s.refuseForeign(row)
		s.refuseForeignRelations(row)
		if s.owns(row) && s.keyed(row) { // GORM sets what it changes, too
			s.own(row)
		}
	})
	if values, ok := asMap(s.Dest); ok {
		s.refuseChange(values)
	} else {
		s.refuseForeignValues()
	}
	s.Omits = s.withNames(s.Omits)
}

// allKeyed reports whether each of the rows in v does. In an update, GORM may take one that does not for all.
func (s statement) allKeyed(v any) bool {
	rows, all := 0, true
	eachRow(reflect.ValueOf(v), func(row reflect.Value) {
		rows++
		all = all && s.owns(row) && s.keyed(row)
	})
	return rows > 0 && all
}

// refuseChange refuses an assignment of anything but the tenant's own id to the tenant column. A nil is let
// pass, and left out: GORM assigns it where an association with a composite key is cleared.
func (s statement) refuseChange(values map[string]any) {
	for key, v := range values {
		f := s.named(key)
		if f == nil {
			continue
		}
		known := s.Schema.LookUpField(key) != nil // else GORM would not leave it out
		if !known || v != nil && s.id.judge(f, v) != ownTenant {
			fail(s.DB, s.mismatch(f, v))
		}
	}
}

// refuseForeignValues refuses values, in a struct of whatever type, that bear another tenant.
func (s statement) refuseForeignValues() {
	other := &gorm.Statement{DB: s.DB}
	if err := other.Parse(s.Dest); err != nil {
		return // GORM reports it
	}
	values := statement{Statement: &gorm.Statement{DB: s.DB, Context: s.Context, Schema: other.Schema}, id: s.id}
	for _, f := range s.fields {
		if f := other.Schema.LookUpField(f.DBName); f != nil {
			values.fields = append(values.fields, f)
		}
	}
	eachRow(reflect.ValueOf(s.Dest), values.refuseForeign)
}

// confineUpdate is confine, and refuses a SET clause of the caller's that names the tenant column.
func confineUpdate(db *gorm.DB, s statement) {
	set, _ := s.Clauses["SET"].Expression.(clause.Set)
	if slices.ContainsFunc(set, func(a clause.Assignment) bool { return s.named(a.Column.Name) != nil }) {
		fail(db, s.tenantChange())
		return
	}
	confine(db, s)
}

// withNames returns a copy of names with those of the tenant's fields.
func (s statement) withNames(names []string) []string {
	all := append(make([]string, 0, len(names)+len(s.fields)), names...)
	for _, f := range s.fields {
		all = append(all, f.Name)
	}
	return all
}

// asMap returns the map that dest is or, as GORM looks for it, points at.
func asMap(dest any) (map[string]any, bool) {
	v := reflect.ValueOf(dest)
	for v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	if !v.IsValid() {
		return nil, false
	}
	m, ok := v.Interface().(map[string]any)
	return m, ok
}
