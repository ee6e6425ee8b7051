package scopes

import (
	"context"
	"reflect"
	"slices"
	"strings"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/schema"
)

// GORM asks a field's type for the clauses of its model, which is how gorm.DeletedAt works.
var (
	_ schema.QueryClausesInterface  = TenantID(0)
	_ schema.CreateClausesInterface = TenantID(0)
	_ schema.UpdateClausesInterface = TenantID(0)
	_ schema.DeleteClausesInterface = TenantID(0)
)

// QueryClauses implements GORM's interface: the condition on the tenant, also where the model is joined. It is called
// once, when GORM parses the model.
func (TenantID) QueryClauses(f *schema.Field) []clause.Interface {
	completeFromContext(f)
	return []clause.Interface{confineClause{fields: []*schema.Field{f}}}
}

// CreateClauses implements GORM's interface.
func (TenantID) CreateClauses(*schema.Field) []clause.Interface {
	return []clause.Interface{pluginClause{}}
}

// UpdateClauses implements GORM's interface.
func (TenantID) UpdateClauses(*schema.Field) []clause.Interface {
	return []clause.Interface{pluginClause{}}
}

// DeleteClauses implements GORM's interface.
func (TenantID) DeleteClauses(*schema.Field) []clause.Interface {
	return []clause.Interface{pluginClause{}}
}

// completeFromContext makes GORM read the context's tenant from a row whose tenant is not set. GORM reads keys from rows
// in a dozen places (Save, associations, preloads, updates and deletes of lists), some of which come before any
// callback, and all of them ask the field. The value still counts as unset, so that it makes no condition of an example
// (Where(&Task{Name: "x"})), unless it completes a primary key that is otherwise set: Save decides by that.
func completeFromContext(f *schema.Field) {
	valueOf := f.ValueOf
	f.ValueOf = func(ctx context.Context, row reflect.Value) (value any, unset bool) {
		if value, unset = valueOf(ctx, row); !unset {
			return value, false
		}
		if id, ok := lookup(ctx); ok {
			if own, ok := id.confines().as(f); ok && !id.confines().nobody() {
				return own, !completesKey(f, row)
			}
		}
		return value, true
	}
}

// completesKey reports whether the rest of the row's primary key is set. The tenant's type does not tell its column from the
// others: both may be UUIDs.
func completesKey(f *schema.Field, row reflect.Value) bool {
	tenants := tenantFields(f.Schema)
	return f.PrimaryKey && !slices.ContainsFunc(f.Schema.PrimaryFields, func(other *schema.Field) bool {
		return other != f && !slices.Contains(tenants, other) && isUnset(other, row)
	})
}

// modifier is a clause that builds nothing and only modifies the statement it is added to.
type modifier struct{}

func (modifier) Name() string               { return "" }
func (modifier) Build(clause.Builder)       {}
func (modifier) MergeClause(*clause.Clause) {}

// confineClause adds the condition on the tenant. GORM adds it to each query on the model (where the plugin
// has been before, and it finds nothing left to do) and to the ON of each join to it, a statement of its own
// that has no context.
type confineClause struct {
	modifier
	fields []*schema.Field // one, the tenant column; in the form in which tenantFields returns it
}

func (c confineClause) ModifyStatement(stmt *gorm.Statement) {
	if !guarded(stmt) {
		return
	}
	if id := confinedTo(stmt.DB.Statement); !id.nobody() {
		// Association mode builds a join table's condition apart, and takes over its text without its variables.
		apart := stmt.Schema != nil && stmt != stmt.DB.Statement
		addCondition(stmt, condition{field: c.fields[0], id: id, literal: apart})
	}
}

// pluginClause makes writes fail on a *gorm.DB that the plugin does not guard.
type pluginClause struct{ modifier }

func (pluginClause) ModifyStatement(stmt *gorm.Statement) { guarded(stmt) }

func guarded(stmt *gorm.Statement) bool {
	_, ok := stmt.DB.Plugins[pluginName]
	if !ok {
		_ = stmt.DB.AddError(errNoPlugin)
	}
	return ok
}

// statement is what the plugin needs to know of a statement on a tenanted model.
type statement struct {
	*gorm.Statement
	fields []*schema.Field // the tenant column; two in a join table that GORM made of two tenanted models
	id     tenantID        // the tenant the statement is confined to, or nobody for cross-tenant work
}

// examine returns what is known of a statement; ok is false when its model is not tenanted, or nothing is
// known of it.
func examine(stmt *gorm.Statement) (s statement, ok bool) {
	if stmt.Schema == nil {
		return statement{}, false
	}
	fields := tenantFields(stmt.Schema)
	if len(fields) == 0 {
		return statement{}, false
	}
	id, known := lookup(stmt.Context)
	return statement{Statement: stmt, fields: fields, id: id.confines()}, known
}

// tenantFields returns the model's tenant columns. It looks among the clauses, of which there are one or two, and
// not among the fields.
func tenantFields(s *schema.Schema) (fields []*schema.Field) {
	for _, c := range s.QueryClauses {
		if c, ok := c.(confineClause); ok && fields == nil {
			fields = slices.Clip(c.fields) // each statement asks: nothing is copied but for two
		} else if ok {
			fields = append(fields, c.fields...)
		}
	}
	if fields == nil && s.ModelType.Name() == "" { // GORM's join table has the tags of the fields that it is made of
		return tagged(s)
	}
	return fields
}

func confinedTo(stmt *gorm.Statement) tenantID {
	id, _ := lookup(stmt.Context)
	return id.confines()
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
