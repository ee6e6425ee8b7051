package archive

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"

	"gorm.io/gorm/schema"

	"tenanted/scopes"
)

// Config says what a tenant's rows are.
type Config struct {
	// Models are the program's models: pointers to structs. Models they are related to, and their join tables, are added.
	// Those without a tenant are left out.
	Models []any
	// Namer is the program's GORM naming strategy. Default: GORM's own.
	Namer schema.Namer
	// Setting is the parameter by which row-level security knows the tenant. Default: "app.tenant_id".
	Setting string
	// Ignore names what is left out on purpose: "table.column" for a column that no model has, "table" for a table that
	// refers to one of the models' and has no model itself. Default: none, and either is an error.
	Ignore []string
}

// WithDefaults returns a copy with the defaults filled in.
func (c Config) WithDefaults() Config {
	if c.Setting == "" {
		c.Setting = "app.tenant_id"
	}
	if c.Namer == nil {
		c.Namer = schema.NamingStrategy{IdentifierMaxLength: 64}
	}
	return c
}

// Models are parsed models, for any number of exports and imports, several at once.
type Models struct {
	config Config
	tables []*modelTable // parents before children, as far as the models tell
}

// modelTable is what a model says of its table.
type modelTable struct {
	model       string // Go name
	name        string // as GORM writes it, perhaps with a schema
	tenant      []string
	columns     []string // without the tenant's, in the model's order
	references  []reference
	readOnly    bool   // it embeds scopes.ReadOnly
	polymorphic string // a relation that PostgreSQL has no foreign key for; empty: none
}

// reference is a foreign key, with the tenant's columns or without.
type reference struct {
	parent        string // table, as GORM writes it
	columns       []string
	parentColumns []string
}

func (r reference) equal(o reference) bool {
	return r.parent == o.parent && slices.Equal(r.columns, o.columns) && slices.Equal(r.parentColumns, o.parentColumns)
}

// plainName is a column's or table's name that fits a line of CSV.
var plainName = regexp.MustCompile(`^[^\x00-\x1f]+$`)

// Parse reads the models. It returns an error if none has a tenant, or GORM cannot parse one.
func Parse(cfg Config) (*Models, error) {
	cfg = cfg.WithDefaults()
	var cache sync.Map
	named := map[string]*schema.Schema{}
	for _, model := range cfg.Models {
		s, err := schema.Parse(model, &cache, cfg.Namer)
		if err != nil {
			return nil, fmt.Errorf("archive: model %T: %w", model, err)
		}
		if named[s.Table] == nil {
			named[s.Table] = s
		}
	}
	all := maps.Clone(named)
	for _, s := range named {
		collectRelated(all, s)
	}
	m := &Models{config: cfg}
	for _, table := range slices.Sorted(maps.Keys(all)) {
		if len(scopes.TenantFields(all[table])) > 0 {
			m.tables = append(m.tables, newModelTable(all[table]))
		}
	}
	if len(m.tables) == 0 {
		return nil, errors.New("archive: none of Config.Models has a tenant: name the models whose rows belong to one")
	}
	for _, s := range all {
		for _, rel := range s.Relationships.Relations {
			m.relate(rel)
		}
	}
	return m, nil
}

// ModelsOf returns models for the tables that an archive is of, as its manifest describes them: to import it into tables of
// its own time, and bring it up to newer ones there. Of cfg, Models is not used. What refers to what is known from the tables'
// foreign keys alone.
func ModelsOf(cfg Config, manifest Manifest) *Models {
	m := &Models{config: cfg.WithDefaults()}
	for _, t := range manifest.Tables {
		m.tables = append(m.tables, &modelTable{model: "of the archive", name: t.Name, tenant: t.Tenant, columns: t.columnNames()})
	}
	return m
}

// collectRelated adds all that can be reached from a model.
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

func newModelTable(s *schema.Schema) *modelTable {
	t := &modelTable{model: s.Name, name: s.Table, readOnly: scopes.IsReadOnly(s)}
	for _, field := range scopes.TenantFields(s) {
		t.tenant = append(t.tenant, field.DBName)
	}
	for _, name := range s.DBNames {
		if !s.FieldsByDBName[name].IgnoreMigration && !slices.Contains(t.tenant, name) {
			t.columns = append(t.columns, name)
		}
	}
	return t
}

// relate adds the foreign key that a relation implies to the table that holds the key.
func (m *Models) relate(rel *schema.Relationship) {
	if rel.JoinTable != nil || rel.Field == nil {
		return
	}
	var r reference
	var child string
	for _, ref := range rel.References {
		if ref.PrimaryKey == nil {
			continue // the type column of a polymorphic relation
		}
		child, r.parent = ref.ForeignKey.Schema.Table, ref.PrimaryKey.Schema.Table
		r.columns = append(r.columns, ref.ForeignKey.DBName)
		r.parentColumns = append(r.parentColumns, ref.PrimaryKey.DBName)
	}
	t := m.table(child)
	switch {
	case t == nil || m.table(r.parent) == nil:
	case rel.Polymorphic != nil:
		t.polymorphic = rel.Schema.Name + "." + rel.Name
	case !slices.ContainsFunc(t.references, r.equal):
		t.references = append(t.references, r)
	}
}

func (m *Models) table(name string) *modelTable {
	for _, t := range m.tables {
		if t.name == name {
			return t
		}
	}
	return nil
}

// ident quotes a table's name as GORM writes it.
func ident(table string) string {
	if schema, name, ok := strings.Cut(table, "."); ok {
		return quoteIdent(schema) + "." + quoteIdent(name)
	}
	return quoteIdent(table)
}

func quoteIdent(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

func quoteIdents(names []string) string {
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = quoteIdent(name)
	}
	return strings.Join(quoted, ", ")
}

// quoteLiteral returns text as a literal of a type that PostgreSQL finds by itself.
func quoteLiteral(text string) string {
	quoted := "'" + strings.ReplaceAll(text, "'", "''") + "'"
	if strings.Contains(text, `\`) {
		return " E" + strings.ReplaceAll(quoted, `\`, `\\`)
	}
	return quoted
}
