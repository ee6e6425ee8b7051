package scopes

import (
	"reflect"
	"slices"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/schema"
)

// checkCreate gives each new row its tenant, and refuses a row that has another one.
func checkCreate(db *gorm.DB, s statement) {
	if s.id.nobody() {
		s.requireTenant("create", s.Dest)
		return
	}
	switch dest := s.Dest.(type) {
	case map[string]any:
		s.Dest = s.ownedMap(dest)
	case *map[string]any:
		*dest = s.ownedMap(*dest)
	case []map[string]any:
		s.ownMaps(dest)
	case *[]map[string]any:
		s.ownMaps(*dest)
	default:
		eachRow(s.ReflectValue, func(row reflect.Value) {
			s.own(row)
			s.refuseForeignRelations(row)
		})
	}
	if len(s.Selects) > 0 {
		s.Selects = s.withNames(s.Selects)
	}
	s.Omits = slices.DeleteFunc(slices.Clone(s.Omits), func(name string) bool { return s.named(name) != nil })
}

// leaveTenant leaves the tenant column of new rows that have no tenant to the database, and reads what that made of it.
func leaveTenant(db *gorm.DB) {
	s := db.Statement
	if s.Schema == nil {
		return
	}
	for _, f := range tenantFields(s.Schema) {
		rows, unset := 0, 0
		eachRow(s.ReflectValue, func(row reflect.Value) {
			if rows++; row.Type() == s.Schema.ModelType && isUnset(f, row) {
				unset++
			}
		})
		switch {
		case unset == 0:
		case unset < rows: // in one statement a column is there for all rows, or for none
			fail(db, &TenantMissingError{Model: s.Schema.Name, Operation: "create", InValue: true})
		default:
			s.Omits = append(slices.Clip(s.Omits), f.Name)
			s.AddClauseIfNotExists(returning(append(slices.Clip(s.Schema.FieldsWithDefaultDBValue), f)))
		}
	}
}

func returning(fields []*schema.Field) (r clause.Returning) {
	for _, f := range fields {
		r.Columns = append(r.Columns, clause.Column{Name: f.DBName})
	}
	return r
}

// ownedMap returns a copy of values with the tenant, and refuses another one.
func (s statement) ownedMap(values map[string]any) map[string]any {
	owned := map[string]any{}
	for key, v := range values {
		if f := s.named(key); f == nil {
			owned[key] = v
		} else if s.id.judge(f, v) != ownTenant {
			fail(s.DB, s.mismatch(f, v))
		}
	}
	for _, f := range s.fields {
		owned[f.DBName] = s.id.value
	}
	return owned
}

func (s statement) ownMaps(rows []map[string]any) {
	for i := range rows {
		rows[i] = s.ownedMap(rows[i])
	}
}

// confineCreate looks at the rows again, since hooks may have changed them, and keeps an upsert from
// another tenant's row.
func confineCreate(db *gorm.DB, s statement) {
	if s.id.nobody() {
		return
	}
	eachRow(s.ReflectValue, s.refuseForeign)
	c, ok := s.Clauses["ON CONFLICT"]
	if !ok {
		return
	}
	conflict, ok := c.Expression.(clause.OnConflict)
	if !ok || c.Builder != nil {
		fail(db, errUnknownConflict)
		return
	}
	if conflict.DoNothing {
		return
	}
	if slices.ContainsFunc(conflict.DoUpdates, s.changesTenant) {
		fail(db, s.tenantChange())
		return
	}
	var exprs []clause.Expression
	for _, f := range s.fields {
		exprs = append(exprs, condition{field: f, id: s.id})
	}
	if len(conflict.Where.Exprs) > 0 {
		exprs = append(exprs, group(conflict.Where.Exprs))
	}
	conflict.Where = clause.Where{Exprs: exprs}
	s.AddClause(conflict)
}

// changesTenant reports whether an upsert's assignment sets the tenant column to anything but the proposed
// row's own tenant, which has been checked.
func (s statement) changesTenant(a clause.Assignment) bool {
	f := s.named(a.Column.Name)
	if f == nil {
		return false
	}
	from, ok := a.Value.(clause.Column)
	return !ok || from.Table != "excluded" || from.Name != f.DBName
}
