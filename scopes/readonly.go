package scopes

import (
	"errors"
	"fmt"
	"reflect"
	"slices"

	"gorm.io/gorm/schema"
)

// ReadOnly says of a model that no tenant writes it. With the plugin, a create, update or delete of it fails with
// [ErrReadOnly], whatever the context. Embed it in the model of a table whose rows are everybody's, and in the model of a
// view that shows them together with the tenant's own:
//
//	type SharedTemplate struct { // everybody's
//		scopes.ReadOnly
//		ID    uuid.UUID
//		Title string
//	}
//
//	type AnyTemplate struct { // a tenant's own and everybody's
//		scopes.HasTenant
//		scopes.ReadOnly
//		OrgID uuid.UUID `gorm:"primaryKey;tenant"`
//		ID    uuid.UUID `gorm:"primaryKey"`
//		Title string
//	}
//
// The view gives everybody's rows the tenant of the transaction, so a tenanted model of it is confined like any other. Its
// form is in docs/library.md, and scopes/audit checks it. It has no column and no size in memory.
type ReadOnly struct {
	// ReadOnlyMark is by what GORM and the plugin see the mark. It is never set.
	ReadOnlyMark readOnlyMark `gorm:"-" json:"-" xml:"-" yaml:"-"`
}

type readOnlyMark struct{}

var readOnlyType = reflect.TypeFor[readOnlyMark]()

// ErrReadOnly says that a statement would write a model that embeds [ReadOnly].
var ErrReadOnly = errors.New("the model is read-only, write the tenant's own table instead")

// IsReadOnly reports whether a model embeds [ReadOnly].
func IsReadOnly(s *schema.Schema) bool {
	return slices.ContainsFunc(s.Fields, func(f *schema.Field) bool { return f.IndirectFieldType == readOnlyType })
}

// refuseWrite returns an error for a write of a read-only model.
func refuseWrite(operation string, s *schema.Schema) error {
	if s == nil || !slices.Contains([]string{"create", "update", "delete"}, operation) || !IsReadOnly(s) {
		return nil
	}
	return fmt.Errorf("%s of %s: %w", operation, s.Name, ErrReadOnly)
}
