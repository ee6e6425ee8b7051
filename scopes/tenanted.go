package scopes

import (
	"database/sql"
	"fmt"
	"reflect"
	"slices"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/schema"
)

// Tenanted is the mixin for a model whose rows belong to a tenant. Embed it:
//
//	type Project struct {
//		scopes.Tenanted
//		ID   int64 `gorm:"primaryKey"`
//		Name string
//	}
//
// The column is account_id, and it leads the primary key. A model whose tenant column has another name,
// or is its own id, declares a field of type [TenantID] itself. For other types than bigint there is [HasTenant].
type Tenanted struct {
	// AccountID is the tenant's id. The plugin sets it on new rows.
	AccountID TenantID `gorm:"primaryKey;autoIncrement:false;not null"`
}

// HasTenant makes the field with the tag "tenant" the model's tenant column, of whatever type: a uuid.UUID, a string, an
// integer, or a type of your own that GORM stores in a uuid, text or bigint column. Embed it:
//
//	type Document struct {
//		scopes.HasTenant
//		OrgID uuid.UUID `gorm:"primaryKey;tenant"`
//		ID    uuid.UUID `gorm:"primaryKey"`
//	}
//
// A model with the tag and without the mark, or the other way round, is an error when it is used. It has no column and no
// size in memory.
type HasTenant struct {
	// TenantMark is by what GORM sees the mark. It is never set.
	TenantMark tenantMark `gorm:"-" json:"-" xml:"-" yaml:"-"`
}

// Untenanted says of a model that its rows belong to no tenant, although it has a column that is called like a tenant's:
// see [Config.Columns]. Embed it.
type Untenanted struct {
	// UntenantedMark is by what the plugin sees the mark. It is never set.
	UntenantedMark untenantedMark `gorm:"-" json:"-" xml:"-" yaml:"-"`
}

// tenantTag is the setting in a field's gorm tag.
const tenantTag = "TENANT"

// GORM asks a field's type for the clauses of its model.
type (
	tenantMark     struct{}
	untenantedMark struct{}
)

var (
	markType       = reflect.TypeFor[tenantMark]()
	untenantedType = reflect.TypeFor[untenantedMark]()

	_ schema.QueryClausesInterface  = tenantMark{}
	_ schema.CreateClausesInterface = tenantMark{}
	_ schema.UpdateClausesInterface = tenantMark{}
	_ schema.DeleteClausesInterface = tenantMark{}
)

// QueryClauses implements GORM's interface, for the fields with the tag.
func (tenantMark) QueryClauses(mark *schema.Field) (clauses []clause.Interface) {
	for _, f := range tagged(mark.Schema) {
		clauses = append(clauses, TenantID(0).QueryClauses(f)...)
	}
	return clauses
}

// CreateClauses implements GORM's interface.
func (tenantMark) CreateClauses(*schema.Field) []clause.Interface {
	return []clause.Interface{pluginClause{}}
}

// UpdateClauses implements GORM's interface.
func (tenantMark) UpdateClauses(*schema.Field) []clause.Interface {
	return []clause.Interface{pluginClause{}}
}

// DeleteClauses implements GORM's interface.
func (tenantMark) DeleteClauses(*schema.Field) []clause.Interface {
	return []clause.Interface{pluginClause{}}
}

func tagged(s *schema.Schema) (fields []*schema.Field) {
	for _, f := range s.Fields {
		if _, ok := f.TagSettings[tenantTag]; ok && f.DBName != "" {
			fields = append(fields, f)
		}
	}
	return fields
}

// TenantFields returns the tenant columns of a model: none if it is not tenanted, one if it is, and two for a join table that
// GORM made of two tenanted models.
func TenantFields(s *schema.Schema) []*schema.Field { return tenantFields(s) }

// judgeModel returns an error for a model of which cannot be said whether it is tenanted.
func (p *Plugin) judgeModel(s *schema.Schema) error {
	if known, ok := p.models.Load(s); ok {
		err, _ := known.(error)
		return err
	}
	err := p.doubt(s)
	p.models.Store(s, err)
	return err
}

func (p *Plugin) doubt(s *schema.Schema) error {
	has := func(is func(*schema.Field) bool) bool { return slices.ContainsFunc(s.Fields, is) }
	marked := has(func(f *schema.Field) bool { return f.IndirectFieldType == markType })
	untenanted := has(func(f *schema.Field) bool { return f.IndirectFieldType == untenantedType })
	fields := tenantFields(s)
	switch {
	case untenanted && len(fields) > 0:
		return fmt.Errorf("model %s embeds scopes.Untenanted and has the tenant column %s: it is one of both", s.Name, fields[0].DBName)
	case untenanted:
		return nil
	case marked && len(fields) == 0:
		return fmt.Errorf(`model %s embeds scopes.HasTenant, and no field has the tag gorm:"tenant"`, s.Name)
	case len(fields) > 0 && slices.ContainsFunc(fields, func(f *schema.Field) bool { return !isKeyType(f) }):
		return fmt.Errorf("model %s: the tenant column %s is no integer, text or UUID", s.Name, fields[0].DBName)
	case len(fields) > 0:
		return nil
	case s.ModelType.Name() == "": // made by GORM for a join table, or a shape for some columns
		return nil
	}
	for _, f := range s.Fields {
		_, tagged := f.TagSettings[tenantTag]
		if f.DBName != "" && (tagged || slices.Contains(p.config.Columns, f.DBName)) {
			return fmt.Errorf(`model %s has a column %s, and does not say whether that is its tenant: embed scopes.Tenanted, `+
				`or scopes.HasTenant and tag the field gorm:"tenant", or embed scopes.Untenanted`, s.Name, f.DBName)
		}
	}
	return nil
}

// judgeModels is judgeModel for a statement's model and those that it joins.
func (p *Plugin) judgeModels(stmt *gorm.Statement) error {
	if stmt.Schema == nil {
		return nil
	}
	if err := p.judgeModel(stmt.Schema); err != nil {
		return err
	}
	for i := range stmt.Joins {
		if r, ok := stmt.Schema.Relationships.Relations[stmt.Joins[i].Name]; ok {
			if err := p.judgeModel(r.FieldSchema); err != nil {
				return err
			}
		}
	}
	return nil
}

// isKeyType reports whether a field could hold a tenant's id.
func isKeyType(f *schema.Field) bool {
	v := reflect.New(f.IndirectFieldType)
	if _, ok := v.Interface().(sql.Scanner); ok {
		return true
	}
	return isInteger(v.Elem()) || v.Elem().Kind() == reflect.String
}
