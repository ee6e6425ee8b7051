package scopestest

import (
	"context"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"sync"

	"gorm.io/gorm"
	"gorm.io/gorm/schema"

	"tenanted/scopes"
)

// Subject describes the models to attack: a parent and its children, both tenanted.
type Subject struct {
	// Parent and Child return a pointer to a new row with text in its text field, which can be inserted once the suite has set
	// its tenant, its id and the child's parent. Ids are integers, UUIDs or texts.
	Parent, Child func(text string) any

	// ParentText and ChildText name the text fields. Default: "Name".
	ParentText, ChildText string

	// BelongsTo names the child's field for its parent, and HasMany the parent's field for its children.
	BelongsTo, HasMany string

	// Nested names a path from the child through its parent to what the parent belongs to, such as "Task.Project". Empty: none.
	Nested string

	// Other foreign keys of the parent and the child must be satisfied by rows that are in the target's database.
}

// model is one of the subject's models as parsed by GORM.
type model struct {
	*schema.Schema
	tenant *schema.Field
	id     *schema.Field
	text   *schema.Field
	make   func(text string) any
}

// subject is a Subject with its models parsed.
type subject struct {
	Subject
	parent, child model
	foreignKey    *schema.Field // of the child, without the tenant
}

func (s Subject) parse() (subject, error) {
	if s.ParentText == "" {
		s.ParentText = "Name"
	}
	if s.ChildText == "" {
		s.ChildText = "Name"
	}
	parsed := subject{Subject: s}
	var err error
	if parsed.parent, err = parseModel(s.Parent, s.ParentText); err != nil {
		return parsed, err
	}
	if parsed.child, err = parseModel(s.Child, s.ChildText); err != nil {
		return parsed, err
	}
	relation := parsed.child.Relationships.Relations[s.BelongsTo]
	if relation == nil || parsed.parent.Relationships.Relations[s.HasMany] == nil {
		return parsed, fmt.Errorf("%s.%s and %s.%s must be relations", parsed.child.Name, s.BelongsTo, parsed.parent.Name, s.HasMany)
	}
	for _, ref := range relation.References {
		if ref.PrimaryKey.DBName != parsed.parent.tenant.DBName {
			parsed.foreignKey = ref.ForeignKey
		}
	}
	if parsed.foreignKey == nil {
		return parsed, fmt.Errorf("%s.%s has no foreign key beside the tenant", parsed.child.Name, s.BelongsTo)
	}
	return parsed, nil
}

// parseModel parses a tenanted model.
func parseModel(make func(string) any, text string) (model, error) {
	m, err := parseRow(make, text)
	if err == nil && m.tenant == nil {
		err = fmt.Errorf("%s has no tenant column", m.Name)
	}
	return m, err
}

// parseRow parses any model.
func parseRow(make func(string) any, text string) (model, error) {
	s, err := schema.Parse(make(""), &sync.Map{}, schema.NamingStrategy{})
	if err != nil {
		return model{}, err
	}
	m := model{Schema: s, id: s.PrioritizedPrimaryField, text: s.LookUpField(text), make: make}
	if tenant := scopes.TenantFields(s); len(tenant) == 1 {
		m.tenant = tenant[0]
	}
	for _, f := range s.Fields {
		if f != m.tenant && f.PrimaryKey && m.id == nil {
			m.id = f
		}
	}
	switch {
	case m.id == nil || m.id == m.tenant:
		return m, fmt.Errorf("%s has no id beside the tenant", s.Name)
	case m.text == nil:
		return m, fmt.Errorf("%s has no field %q", s.Name, text)
	}
	return m, nil
}

// one returns a pointer to an empty row, and many a pointer to an empty slice of rows.
func (m model) one() any  { return reflect.New(m.ModelType).Interface() }
func (m model) many() any { return reflect.New(reflect.SliceOf(m.ModelType)).Interface() }

// list returns a pointer to a slice of copies of rows.
func (m model) list(rows ...any) any {
	list := reflect.New(reflect.SliceOf(m.ModelType))
	for _, row := range rows {
		list.Elem().Set(reflect.Append(list.Elem(), reflect.ValueOf(row).Elem()))
	}
	return list.Interface()
}

// set returns row with the field set.
func (m model) set(row any, f *schema.Field, value any) any {
	if err := f.Set(context.Background(), reflect.ValueOf(row).Elem(), value); err != nil {
		panic(err) // cannot happen: the value has the field's type
	}
	return row
}

func (m model) get(row any, f *schema.Field) any {
	v, _ := f.ValueOf(context.Background(), reflect.ValueOf(row).Elem())
	return v
}

// idOf returns the row's id, as an argument of a statement.
func (m model) idOf(row any) any { return stored(scopes.Tenant{ID: m.get(row, m.id)}) }

// numbered returns the nth id: the number or a UUID.
func (m model) numbered(n int64) any {
	if zero := reflect.Zero(m.id.IndirectFieldType); zero.CanInt() || zero.CanUint() {
		return n
	}
	return fmt.Sprintf("00000000-0000-4000-8000-%012x", n)
}

// forTenant returns row with its tenant set.
func (m model) forTenant(row any, t scopes.Tenant) any { return m.set(row, m.tenant, stored(t)) }

// stored returns a tenant's id as an argument of a statement.
func stored(t scopes.Tenant) any {
	if n, err := strconv.ParseInt(t.Key(), 10, 64); err == nil && reflect.Indirect(reflect.ValueOf(t.ID)).Kind() != reflect.String {
		return n
	}
	return t.Key()
}

// literal returns a tenant's id for a statement's text.
func literal(t scopes.Tenant) string { return quoted(stored(t)) }

func quoted(id any) string {
	if text, ok := id.(string); ok {
		return "'" + strings.ReplaceAll(text, "'", "''") + "'"
	}
	return fmt.Sprint(id)
}

// withID returns an empty row with row's id, and optionally its tenant.
func (m model) withID(row any, tenant bool) any {
	key := m.set(m.one(), m.id, m.get(row, m.id))
	if tenant {
		m.set(key, m.tenant, m.get(row, m.tenant))
	}
	return key
}

// relate sets the relation of row to value, a row or a slice of rows.
func (m model) relate(row any, relation string, value any) any {
	field := m.Relationships.Relations[relation].Field.ReflectValueOf(context.Background(), reflect.ValueOf(row).Elem())
	v := reflect.ValueOf(value)
	switch {
	case field.Kind() == reflect.Pointer:
		field.Set(v)
	case field.Kind() == reflect.Slice && field.Type().Elem().Kind() == reflect.Pointer:
		for i := range v.Elem().Len() {
			field.Set(reflect.Append(field, v.Elem().Index(i).Addr()))
		}
	default:
		field.Set(v.Elem())
	}
	return row
}

// models are those of a subject.
func (s subject) models() []model { return []model{s.parent, s.child} }

// disarmAll turns the scope off for models and their related models, by removing its clauses from the schemas that db has cached. It
// must be called before db is used.
func disarmAll(db *gorm.DB, models ...model) error {
	if err := db.Use(noScope{}); err != nil {
		return err
	}
	seen := map[*schema.Schema]bool{}
	for _, m := range models {
		stmt := &gorm.Statement{DB: db}
		if err := stmt.Parse(m.one()); err != nil {
			return err
		}
		disarm(stmt.Schema, seen)
	}
	return nil
}

func disarm(s *schema.Schema, seen map[*schema.Schema]bool) {
	if s == nil || seen[s] {
		return
	}
	seen[s] = true
	s.QueryClauses = withoutScopes(s.QueryClauses)
	s.CreateClauses = withoutScopes(s.CreateClauses)
	s.UpdateClauses = withoutScopes(s.UpdateClauses)
	s.DeleteClauses = withoutScopes(s.DeleteClauses)
	for _, relation := range s.Relationships.Relations {
		disarm(relation.FieldSchema, seen)
		disarm(relation.JoinTable, seen)
	}
}
