package audit

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"

	"gorm.io/gorm/schema"

	"tenanted/scopes"
)

// model is what a GORM model says about its table.
type model struct {
	name      string // Go name
	schema    string // if the model names one; empty: the placement's
	table     string
	columns   []string
	primary   []string // columns of the primary key
	tenant    []string // the tenant columns: one in a correct model, none in an untenanted one
	kind      kind     // of the first of them
	readOnly  bool     // it embeds scopes.ReadOnly
	tenantKey bool     // the tenant column is the whole primary key: the table of the tenants themselves
	relations []relationship
}

// relationship is a foreign key that the models imply.
type relationship struct {
	name           string // of the Go field
	parent         string // table name
	columns        []string
	parentColumns  []string
	withoutForeign bool // polymorphic: PostgreSQL has no such key
}

func (m *model) tenanted() bool { return len(m.tenant) > 0 }

// models are the program's models by table, as GORM writes it.
type models map[string]*model

// parseModels returns cfg.Models and all related models.
func parseModels(cfg Config) (models, error) {
	var cache sync.Map
	named := map[string]*schema.Schema{}
	for _, m := range cfg.Models {
		s, err := schema.Parse(m, &cache, cfg.Namer)
		if err != nil {
			return nil, fmt.Errorf("audit: model %T: %w", m, err)
		}
		named[s.Table] = s
	}
	all := maps.Clone(named) // if a join table has a model in cfg.Models, that one is used
	for _, s := range named {
		collectRelated(all, s)
	}
	result := models{}
	for table, s := range all {
		result[table] = newModel(s)
	}
	for _, s := range all {
		for _, rel := range s.Relationships.Relations {
			result.relate(rel)
		}
	}
	return result, nil
}

// collectRelated adds all models that can be reached from a model.
func collectRelated(into map[string]*schema.Schema, s *schema.Schema) {
	for _, rel := range s.Relationships.Relations {
		for _, related := range []*schema.Schema{rel.FieldSchema, rel.JoinTable} {
			if related != nil && into[related.Table] == nil {
				into[related.Table] = related
				collectRelated(into, related)
			}
		}
	}
}

func newModel(s *schema.Schema) *model {
	m := &model{name: s.Name, table: s.Table, primary: s.PrimaryFieldDBNames, readOnly: scopes.IsReadOnly(s)}
	if dot := strings.LastIndexByte(s.Table, '.'); dot >= 0 {
		m.schema, m.table = s.Table[:dot], s.Table[dot+1:]
	}
	for _, name := range s.DBNames {
		field := s.FieldsByDBName[name]
		if !field.IgnoreMigration {
			m.columns = append(m.columns, name)
		}
	}
	for _, field := range scopes.TenantFields(s) {
		m.tenant = append(m.tenant, field.DBName)
		switch zero := reflect.Zero(field.IndirectFieldType); {
		case m.kind != "":
		case zero.CanInt() || zero.CanUint():
			m.kind = kindBigint
		case zero.Kind() == reflect.String && field.TagSettings["TYPE"] != "uuid":
			m.kind = kindText
		default:
			m.kind = kindUUID
		}
	}
	m.tenantKey = len(m.tenant) == 1 && slices.Equal(s.PrimaryFieldDBNames, m.tenant)
	return m
}

// relate adds the foreign key that a relation implies to the model that has the key. A join table's relation with its other side
// is among the join table's own relations.
func (ms models) relate(rel *schema.Relationship) {
	if rel.JoinTable != nil || rel.Field == nil || rel.Field.TagSettings["CONSTRAINT"] == "-" {
		return
	}
	r := relationship{name: rel.Name, withoutForeign: rel.Polymorphic != nil}
	var child *schema.Schema
	for _, ref := range rel.References {
		if ref.PrimaryKey == nil {
			continue // the type column of a polymorphic relation
		}
		child, r.parent = ref.ForeignKey.Schema, ref.PrimaryKey.Schema.Table
		r.columns = append(r.columns, ref.ForeignKey.DBName)
		r.parentColumns = append(r.parentColumns, ref.PrimaryKey.DBName)
	}
	if child == nil || ms[child.Table] == nil || ms[r.parent] == nil {
		return
	}
	m := ms[child.Table]
	same := func(o relationship) bool {
		return o.parent == r.parent && slices.Equal(o.columns, r.columns) && slices.Equal(o.parentColumns, r.parentColumns)
	}
	if !slices.ContainsFunc(m.relations, same) {
		m.relations = append(m.relations, r)
	}
}

// tenantColumns returns the column names that mark tenants' rows. The key of the tenants' own table is not among them, since many
// tables have an "id".
func (ms models) tenantColumns() []string {
	set := map[string]bool{}
	for _, m := range ms {
		if !m.tenantKey {
			for _, column := range m.tenant {
				set[column] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(set))
}

// sorted returns the models by table name.
func (ms models) sorted() []*model {
	var list []*model
	for _, table := range slices.Sorted(maps.Keys(ms)) {
		list = append(list, ms[table])
	}
	return list
}
