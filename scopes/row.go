package scopes

import (
	"fmt"
	"reflect"
	"slices"

	"gorm.io/gorm"
	"gorm.io/gorm/schema"
)

// owns reports whether a value is a row of the statement's model.
func (s statement) owns(row reflect.Value) bool { return row.Type() == s.Schema.ModelType }

// keyed reports whether a row's primary key is set, the tenant aside if there is more to the key.
func (s statement) keyed(row reflect.Value) bool {
	isTenant := func(f *schema.Field) bool { return slices.Contains(s.fields, f) }
	onlyTenants := !slices.ContainsFunc(s.Schema.PrimaryFields, func(f *schema.Field) bool { return !isTenant(f) })
	return slices.ContainsFunc(s.Schema.PrimaryFields, func(f *schema.Field) bool {
		if isTenant(f) && !onlyTenants {
			return false
		}
		_, zero := f.ValueOf(s.Context, row)
		return !zero
	})
}

// ownRow sets the row's tenant where it is unset, and refuses another one.
func (s statement) ownRow(row reflect.Value) {
	s.refuseForeign(row)
	if s.owns(row) {
		s.own(row, s.fields)
	}
}

// ownKey sets the tenant in the row's primary key where it is unset.
func (s statement) ownKey(row reflect.Value) {
	s.own(row, slices.DeleteFunc(slices.Clone(s.fields), func(f *schema.Field) bool { return !f.PrimaryKey }))
}

func (s statement) own(row reflect.Value, fields []*schema.Field) {
	for _, f := range fields {
		// GORM refuses to create from a value that is not addressable.
		if _, zero := f.ValueOf(s.Context, row); !zero || !row.CanAddr() {
			continue
		}
		if err := f.Set(s.Context, row, int64(s.id)); err != nil {
			fail(s.DB, fmt.Errorf("set the tenant of %s: %w", s.Schema.Name, err))
		}
	}
}

// refuseForeign refuses a row that bears another tenant.
func (s statement) refuseForeign(row reflect.Value) {
	if !s.owns(row) {
		return
	}
	for _, f := range s.fields {
		if v, zero := f.ValueOf(s.Context, row); !zero {
			s.refuse(v)
		}
	}
}

// refuseForeignRelations refuses a row with another tenant's row in one of its relations. GORM would save that one
// with the tenant of the row it hangs on, and so make a copy of it.
func (s statement) refuseForeignRelations(row reflect.Value) {
	if !s.owns(row) {
		return
	}
	for _, relation := range s.Schema.Relationships.Relations {
		if relation.Field.Schema != s.Schema { // a join table's relations have the fields of the models it joins
			continue
		}
		related := statement{Statement: &gorm.Statement{DB: s.DB, Context: s.Context, Schema: relation.FieldSchema}, id: s.id}
		if related.fields = tenantFields(relation.FieldSchema); len(related.fields) == 0 {
			continue
		}
		if v, zero := relation.Field.ValueOf(s.Context, row); !zero {
			eachRow(reflect.ValueOf(v), related.refuseForeign)
		}
	}
}

func (s statement) refuse(v any) {
	if named, other := differs(v, s.id); other {
		fail(s.DB, &TenantMismatchError{Model: s.Schema.Name, Value: named, Want: s.id})
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
