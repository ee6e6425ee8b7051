package scopes

import (
	"database/sql"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/schema"
)

// ErrTenantChange says that a statement would set the tenant column of a row that exists. A row's tenant
// never changes.
var ErrTenantChange = errors.New("the tenant of a row never changes")

var (
	errUnknownWhere    = errors.New("scopes: a WHERE clause with a builder of its own cannot be confined to a tenant")
	errUnknownConflict = errors.New("scopes: an ON CONFLICT clause other than clause.OnConflict cannot be confined to a tenant")
)

// fail makes the statement end with err, unless it has failed before. Row has no way to return an error but
// through the *sql.Row.
func fail(db *gorm.DB, err error) {
	if db.Error == nil {
		_ = db.AddError(err)
	}
	if rows, ok := db.Get("rows"); ok && rows == false {
		db.Statement.Dest = failedRow(err)
	}
}

// checkCreate gives each new row its tenant, and refuses a row that bears another one.
func checkCreate(db *gorm.DB, s statement) {
	if s.id == 0 {
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
			s.ownRow(row)
			s.refuseForeignRelations(row)
		})
	}
	if len(s.Selects) > 0 {
		s.Selects = s.withNames(s.Selects)
	}
	s.Omits = slices.DeleteFunc(slices.Clone(s.Omits), func(name string) bool { return s.named(name) != nil })
}

// confineCreate looks at the rows again, since hooks may have changed them, and keeps an upsert from
// another tenant's row.
func confineCreate(db *gorm.DB, s statement) {
	if s.id == 0 {
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

// checkUpdate refuses rows and values of another tenant and an update without a condition, and takes the
// tenant column out of what is set.
func checkUpdate(db *gorm.DB, s statement) {
	if s.id == 0 {
		return
	}
	if !s.hasCondition() && !s.allKeyed(s.Model) {
		fail(db, gorm.ErrMissingWhereClause)
		return
	}
	eachRow(reflect.ValueOf(s.Model), func(row reflect.Value) {
		s.refuseForeign(row)
		s.refuseForeignRelations(row)
	})
	if values, ok := asMap(s.Dest); ok {
		s.refuseChange(values)
	} else {
		s.refuseForeignValues()
	}
	s.Omits = s.withNames(s.Omits)
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

// hasCondition reports whether the caller said in words which rows are meant, or that all are. GORM's own check
// cannot tell, since the condition on the tenant is one too.
func (s statement) hasCondition() bool {
	if s.AllowGlobalUpdate || s.SQL.Len() > 0 {
		return true
	}
	where, ok := s.Clauses["WHERE"]
	return ok && !onlyTenant(where.Expression)
}

// anyKeyed reports whether one of the rows in v says by its key that it is meant; GORM leaves out the others in a
// delete.
func (s statement) anyKeyed(v any) (any bool) {
	eachRow(reflect.ValueOf(v), func(row reflect.Value) { any = any || s.owns(row) && s.keyed(row) })
	return any
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

// onlyTenant reports whether a WHERE is nothing but what an earlier use of the statement left.
func onlyTenant(where clause.Expression) bool {
	w, ok := where.(clause.Where)
	return ok && !slices.ContainsFunc(w.Exprs, func(e clause.Expression) bool {
		_, ours := e.(condition)
		return !ours
	})
}

// ownedMap returns a copy of values that bears the tenant, and refuses another one.
func (s statement) ownedMap(values map[string]any) map[string]any {
	owned := map[string]any{}
	for key, v := range values {
		if s.named(key) == nil {
			owned[key] = v
		} else if _, other := differs(v, s.id); other || !isNumber(v) {
			fail(s.DB, s.mismatch(v))
		}
	}
	for _, f := range s.fields {
		owned[f.DBName] = int64(s.id)
	}
	return owned
}

func (s statement) ownMaps(rows []map[string]any) {
	for i := range rows {
		rows[i] = s.ownedMap(rows[i])
	}
}

// refuseChange refuses an assignment of anything but the tenant's own id to the tenant column. A nil is let
// pass, and left out: GORM assigns it where an association with a composite key is cleared.
func (s statement) refuseChange(values map[string]any) {
	for key, v := range values {
		if s.named(key) == nil {
			continue
		}
		_, other := differs(v, s.id)
		known := s.Schema.LookUpField(key) != nil // else GORM would not leave it out
		if other || !known || v != nil && !isNumber(v) {
			fail(s.DB, s.mismatch(v))
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

// withNames returns a copy of names with those of the tenant's fields.
func (s statement) withNames(names []string) []string {
	all := append(make([]string, 0, len(names)+len(s.fields)), names...)
	for _, f := range s.fields {
		all = append(all, f.Name)
	}
	return all
}

// named returns the tenant's field that a name in a map, SET or Omit means, or nil. GORM takes a field's name, a
// column's, and that in quotes.
func (s statement) named(name string) *schema.Field {
	for _, f := range s.fields {
		if name == f.Name {
			return f
		}
		// Quoting takes time and makes no name shorter.
		if len(name) >= len(f.DBName) && strings.EqualFold(s.Quote(name), s.Quote(f.DBName)) {
			return f
		}
	}
	return nil
}

// mismatch is the error for a value of the tenant column that is not the tenant's id.
func (s statement) mismatch(v any) error {
	if named, other := differs(v, s.id); other {
		return &TenantMismatchError{Model: s.Schema.Name, Value: named, Want: s.id}
	}
	return s.tenantChange()
}

func (s statement) tenantChange() error {
	return fmt.Errorf("%s.%s: %w", s.Schema.Name, s.fields[0].Name, ErrTenantChange)
}

func isNumber(v any) bool {
	rv := reflect.Indirect(reflect.ValueOf(v))
	return rv.CanInt() || rv.CanUint()
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

// failedRow returns a row whose Scan returns err. Only database/sql can make a *sql.Row, so it is asked for
// one from a database that cannot be connected to.
func failedRow(err error) *sql.Row {
	db := sql.OpenDB(failingConnector{err})
	defer db.Close()
	return db.QueryRow("")
}
