package scopes

import (
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/schema"
)

// ErrTenantChange says that a statement would set the tenant column of a row that exists. A row's tenant
// never changes.
var ErrTenantChange = errors.New("the tenant of a row never changes")

var errUnknownWhere = errors.New("scopes: a WHERE clause with a builder of its own cannot be confined to a tenant")

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
		eachRow(s.ReflectValue, s.ownRow)
	}
	if len(s.Selects) > 0 {
		s.Selects = append(slices.Clip(s.Selects), s.field.Name)
	}
	s.Omits = slices.DeleteFunc(slices.Clone(s.Omits), func(name string) bool { return name == s.field.Name || name == s.field.DBName })
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
	if !ok || conflict.DoNothing {
		return
	}
	if slices.ContainsFunc(conflict.DoUpdates, s.changesTenant) {
		fail(db, s.tenantChange())
		return
	}
	exprs := []clause.Expression{condition{s.field, s.id}}
	if len(conflict.Where.Exprs) > 0 {
		exprs = append(exprs, group(conflict.Where.Exprs))
	}
	conflict.Where = clause.Where{Exprs: exprs}
	s.AddClause(conflict)
}

// changesTenant reports whether an upsert's assignment sets the tenant column to anything but the proposed
// row's own tenant, which has been checked.
func (s statement) changesTenant(a clause.Assignment) bool {
	if a.Column.Name != s.field.DBName {
		return false
	}
	from, ok := a.Value.(clause.Column)
	return !ok || from.Table != "excluded" || from.Name != s.field.DBName
}

// checkUpdate refuses rows and values of another tenant and an update without a condition, and takes the
// tenant column out of what is set.
func checkUpdate(db *gorm.DB, s statement) {
	if s.id == 0 {
		return
	}
	if !s.hasCondition() {
		fail(db, gorm.ErrMissingWhereClause)
		return
	}
	eachRow(reflect.ValueOf(s.Model), s.refuseForeign)
	if values, ok := asMap(s.Dest); ok {
		s.refuseChange(values)
	} else {
		s.refuseForeignValues()
	}
	s.Omits = append(slices.Clip(s.Omits), s.field.Name)
}

// confineUpdate is confine, and refuses a SET clause of the caller's that names the tenant column.
func confineUpdate(db *gorm.DB, s statement) {
	set, _ := s.Clauses["SET"].Expression.(clause.Set)
	if slices.ContainsFunc(set, func(a clause.Assignment) bool { return a.Column.Name == s.field.DBName }) {
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
	if !s.hasCondition() {
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
		if s.field.PrimaryKey && s.owns(row) && s.keyed(row) {
			s.ownRow(row)
		} else {
			s.refuseForeign(row)
		}
	})
	return value
}

// hasCondition reports whether the caller said which rows are meant. GORM's own check cannot tell, since the
// condition on the tenant is one too.
func (s statement) hasCondition() bool {
	if s.AllowGlobalUpdate || s.SQL.Len() > 0 {
		return true
	}
	if where, ok := s.Clauses["WHERE"]; ok && !onlyTenant(where.Expression) {
		return true
	}
	keyed := false
	for _, v := range []any{s.Dest, s.Model} {
		eachRow(reflect.ValueOf(v), func(row reflect.Value) { keyed = keyed || s.owns(row) && s.keyed(row) })
	}
	return keyed
}

// onlyTenant reports whether a WHERE is nothing but what an earlier use of the statement left.
func onlyTenant(where clause.Expression) bool {
	w, ok := where.(clause.Where)
	if !ok || len(w.Exprs) != 1 {
		return ok && len(w.Exprs) == 0
	}
	_, ok = w.Exprs[0].(condition)
	return ok
}

// keyed reports whether a row's primary key is set, the tenant aside if there is more to the key.
func (s statement) keyed(row reflect.Value) bool {
	return slices.ContainsFunc(s.Schema.PrimaryFields, func(f *schema.Field) bool {
		if f == s.field && len(s.Schema.PrimaryFields) > 1 {
			return false
		}
		_, zero := f.ValueOf(s.Context, row)
		return !zero
	})
}

// owns reports whether a value is a row of the statement's model.
func (s statement) owns(row reflect.Value) bool { return row.Type() == s.Schema.ModelType }

// ownRow sets the row's tenant where it is unset, and refuses another one.
func (s statement) ownRow(row reflect.Value) {
	if !s.owns(row) {
		return
	}
	if v, zero := s.field.ValueOf(s.Context, row); !zero {
		s.refuse(v)
		return
	}
	if !row.CanAddr() {
		return // GORM refuses to create from a value that is not addressable
	}
	if err := s.field.Set(s.Context, row, int64(s.id)); err != nil {
		fail(s.DB, fmt.Errorf("set the tenant of %s: %w", s.Schema.Name, err))
	}
}

// refuseForeign refuses a row that bears another tenant.
func (s statement) refuseForeign(row reflect.Value) {
	if !s.owns(row) {
		return
	}
	if v, zero := s.field.ValueOf(s.Context, row); !zero {
		s.refuse(v)
	}
}

func (s statement) refuse(v any) {
	if named, other := differs(v, s.id); other {
		fail(s.DB, &TenantMismatchError{Model: s.Schema.Name, Value: named, Want: s.id})
	}
}

// ownedMap returns a copy of values that bears the tenant, and refuses another one.
func (s statement) ownedMap(values map[string]any) map[string]any {
	owned := maps.Clone(values)
	for _, key := range []string{s.field.Name, s.field.DBName} {
		v, ok := owned[key]
		if !ok {
			continue
		}
		if _, other := differs(v, s.id); other || !isNumber(v) {
			fail(s.DB, s.mismatch(v))
		}
		delete(owned, key)
	}
	if owned == nil {
		owned = map[string]any{}
	}
	owned[s.field.DBName] = int64(s.id)
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
	for _, key := range []string{s.field.Name, s.field.DBName} {
		v, ok := values[key]
		if !ok || v == nil {
			continue
		}
		if _, other := differs(v, s.id); other || !isNumber(v) {
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
	f := other.Schema.LookUpField(s.field.DBName)
	if f == nil {
		return
	}
	eachRow(reflect.ValueOf(s.Dest), func(row reflect.Value) {
		if row.Type() != other.Schema.ModelType {
			return
		}
		if v, zero := f.ValueOf(s.Context, row); !zero {
			s.refuse(v)
		}
	})
}

// mismatch is the error for a value of the tenant column that is not the tenant's id.
func (s statement) mismatch(v any) error {
	if named, other := differs(v, s.id); other {
		return &TenantMismatchError{Model: s.Schema.Name, Value: named, Want: s.id}
	}
	return s.tenantChange()
}

func (s statement) tenantChange() error {
	return fmt.Errorf("%s.%s: %w", s.Schema.Name, s.field.Name, ErrTenantChange)
}

func isNumber(v any) bool {
	rv := reflect.Indirect(reflect.ValueOf(v))
	return rv.CanInt() || rv.CanUint()
}

func asMap(dest any) (map[string]any, bool) {
	switch d := dest.(type) {
	case map[string]any:
		return d, true
	case *map[string]any:
		return *d, true
	default:
		return nil, false
	}
}

// eachRow calls f for each struct in v: itself, or the elements of a slice or array, through pointers.
func eachRow(v reflect.Value, f func(reflect.Value)) {
	for v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface {
		v = v.Elem()
	}
	switch v.Kind() {
	case reflect.Struct:
		f(v)
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			eachRow(v.Index(i), f)
		}
	}
}

// failedRow returns a row whose Scan returns err. Only database/sql can make a *sql.Row, so it is asked for
// one from a database that cannot be connected to.
func failedRow(err error) *sql.Row {
	db := sql.OpenDB(failingConnector{err})
	defer db.Close()
	return db.QueryRow("")
}
