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
		return (onlyTenants || !isTenant(f)) && !isUnset(f, row)
	})
}

// isUnset reports whether a field of the row is zero in itself: no context completes it.
func isUnset(f *schema.Field, row reflect.Value) bool {
	row = reflect.Indirect(row)
	for _, i := range f.StructField.Index {
		if i >= 0 {
			row = row.Field(i)
		} else if row = row.Field(-i - 1); row.IsNil() { // GORM's form for an embedded pointer
			return true
		} else {
			row = row.Elem()
		}
	}
	return row.IsZero()
}

// own sets the row's tenant where it is unset, and refuses another one.
func (s statement) own(row reflect.Value) {
	s.refuseForeign(row)
	if !s.owns(row) || !row.CanAddr() { // GORM refuses to create from a value that is not addressable
		return
	}
	for _, f := range s.fields {
		if !isUnset(f, row) {
			continue
		}
		if err := f.Set(s.Context, row, s.id.value); err != nil {
			fail(s.DB, fmt.Errorf("set the tenant of %s: %w", s.Schema.Name, err))
		}
	}
}

// requireTenant refuses, in work for all tenants, a row that does not tell its tenant though it is to be created, or is
// named by its key: several tenants may have one like it.
func (s statement) requireTenant(operation string, v any) {
	eachRow(reflect.ValueOf(v), func(row reflect.Value) {
		if !s.owns(row) || operation != "create" && !s.keyed(row) {
			return
		}
		for _, f := range s.fields {
			if (operation == "create" || f.PrimaryKey) && isUnset(f, row) {
				fail(s.DB, &TenantMissingError{Model: s.Schema.Name, Operation: operation, InValue: true})
			}
		}
	})
}

// refuseForeign refuses a row of another tenant.
func (s statement) refuseForeign(row reflect.Value) {
	if !s.owns(row) {
		return
	}
	for _, f := range s.fields {
		if !isUnset(f, row) {
			v, _ := f.ValueOf(s.Context, row)
			s.refuse(f, v)
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

func (s statement) refuse(f *schema.Field, v any) {
	if s.id.differs(f, v) {
		fail(s.DB, &TenantMismatchError{Model: s.Schema.Name, Value: keyText(v), Want: s.id.key})
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
