package audit

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// relation is a table, view, materialised view or foreign table in a schema that is not the system's.
type relation struct {
	OID       uint32
	Schema    string
	Name      string
	Kind      string // pg_class.relkind
	Owner     uint32
	RLS       bool
	Forced    bool
	Invoker   bool // a view that is security_invoker
	Extension bool // belongs to an extension
	Remote    string
	Policies  []policy

	definition  string // of a view of own and shared rows
	columns     []column
	indexes     []index
	foreignKeys []foreignKey
}

func (r *relation) String() string { return r.Schema + "." + r.Name }

// object is the relation's name in a report: "table public.tasks".
func (r *relation) object() string { return r.kind() + " " + r.String() }

func (r *relation) kind() string {
	switch r.Kind {
	case "v":
		return "view"
	case "m":
		return "materialised view"
	case "f":
		return "foreign table"
	}
	return "table"
}

// sql is the relation's quoted name.
func (r *relation) sql() string { return ident(r.Schema, r.Name) }

func (r *relation) holdsRows() bool { return r.Kind == "r" || r.Kind == "p" }

type column struct {
	Relation uint32
	Name     string
	NotNull  bool
	Type     string
	Default  string
	Serial   string // the sequence of its default, if the column owns it
}

func (r *relation) column(name string) (column, bool) {
	i := slices.IndexFunc(r.columns, func(c column) bool { return c.Name == name })
	if i < 0 {
		return column{}, false
	}
	return r.columns[i], true
}

// table is a tenanted model's table in one placement.
type table struct {
	*relation
	model  *model
	tenant string // the tenant column
}

// readRelations reads the relations of some schemas, or of all when schemas is nil, with their policies.
func (s *state) readRelations(ctx context.Context, tx pgx.Tx, schemas []string) error {
	const query = `
		select c.oid, n.nspname, c.relname, c.relkind::text, c.relowner, c.relrowsecurity, c.relforcerowsecurity,
			coalesce((select o.option_value::bool from pg_options_to_table(c.reloptions) o where o.option_name = 'security_invoker'), false),
			exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e'),
			coalesce((select o.option_value from pg_foreign_table f, pg_options_to_table(f.ftoptions) o
				where f.ftrelid = c.oid and o.option_name = 'table_name'), ''),
			coalesce((select json_agg(json_build_object(
				'name', p.polname, 'command', p.polcmd, 'permissive', p.polpermissive, 'roles', p.polroles::bigint[],
				'using', pg_get_expr(p.polqual, p.polrelid), 'check', pg_get_expr(p.polwithcheck, p.polrelid)) order by p.polname)
				from pg_policy p where p.polrelid = c.oid), '[]')
		from pg_class c join pg_namespace n on n.oid = c.relnamespace
		where c.relkind in ('r', 'p', 'v', 'm', 'f') and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
			and ($1::text[] is null or n.nspname = any ($1))
		order by n.nspname, c.relname`
	rows, err := tx.Query(ctx, query, schemas)
	if err != nil {
		return fmt.Errorf("read relations: %w", err)
	}
	s.relations, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (*relation, error) {
		r := &relation{}
		err := row.Scan(&r.OID, &r.Schema, &r.Name, &r.Kind, &r.Owner, &r.RLS, &r.Forced, &r.Invoker, &r.Extension, &r.Remote, &r.Policies)
		return r, err
	})
	if err != nil {
		return fmt.Errorf("read relations: %w", err)
	}
	return nil
}

// findTables finds each model's table in each placement.
func (s *state) findTables() {
	byName := map[[2]string]*relation{}
	s.byOID, s.tableByOID = map[uint32]*relation{}, map[uint32]*table{}
	for _, r := range s.relations {
		byName[[2]string{r.Schema, r.Name}] = r
		s.byOID[r.OID] = r
	}
	for _, schema := range s.placementSchemas() {
		if _, ok := s.server.schemas[schema]; !ok {
			s.missing = append(s.missing, missing{schema: schema})
			continue
		}
		for _, m := range s.models.sorted() {
			r := byName[[2]string{schema, m.table}]
			switch {
			case !s.belongs(m, schema):
			case r == nil:
				s.missing = append(s.missing, missing{schema, m})
			case m.tenanted():
				t := &table{r, m, m.tenant[0]}
				s.tables = append(s.tables, t)
				s.tableByOID[t.OID] = t
			}
		}
	}
}

// belongs reports whether a schema should have a model's table.
func (s *state) belongs(m *model, schema string) bool {
	if m.schema != "" {
		return m.schema == schema
	}
	return slices.Contains(s.schemas, schema)
}

func (s *state) readColumns(ctx context.Context, tx pgx.Tx) error {
	const query = `
		select a.attrelid, a.attname, a.attnotnull, format_type(a.atttypid, null), coalesce(pg_get_expr(d.adbin, d.adrelid), ''),
			coalesce((select c.relname from pg_depend o join pg_class c on c.oid = o.objid
				where o.classid = 'pg_class'::regclass and o.refclassid = 'pg_class'::regclass and o.refobjid = a.attrelid
					and o.refobjsubid = a.attnum and o.deptype = 'a' and c.relkind = 'S' and a.atthasdef limit 1), '')
		from pg_attribute a left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
		where a.attrelid = any ($1) and a.attnum > 0 and not a.attisdropped
		order by a.attrelid, a.attnum`
	list, err := collect[column](ctx, tx, "columns", query, s.oids())
	for _, c := range list {
		r := s.relation(c.Relation)
		r.columns = append(r.columns, c)
	}
	return err
}

func (s *state) oids() []uint32 {
	list := make([]uint32, 0, len(s.relations))
	for _, r := range s.relations {
		list = append(list, r.OID)
	}
	return list
}

// relation returns the relation with that oid, or nil for one of the system's.
func (s *state) relation(oid uint32) *relation { return s.byOID[oid] }

// tenantTable returns the tenanted table with that oid, or nil.
func (s *state) tenantTable(oid uint32) *table { return s.tableByOID[oid] }

func judgeSchemas(s *state) []finding {
	var found []finding
	for _, m := range s.missing {
		if m.model == nil {
			found = append(found, finding{
				schema: m.schema, object: "schema " + m.schema, message: "does not exist",
				fix: "-- run the program's migrations for this placement",
			})
		}
	}
	return found
}

func judgeTables(s *state) []finding {
	var found []finding
	for _, m := range s.missing {
		if m.model != nil {
			found = append(found, finding{
				schema: m.schema, object: "table " + m.schema + "." + m.model.table,
				message: "does not exist, but model " + m.model.name + " needs it",
				fix:     "-- run the program's migrations for this placement",
			})
		}
	}
	return found
}

func judgeKind(s *state, t *table) []finding {
	if t.holdsRows() || t.isSharedView() {
		return nil
	}
	return one("is a "+t.kind()+", but model "+t.model.name+" is tenanted",
		"-- make it a table with row-level security, or take the tenant column off the model")
}

func judgeAmbiguous(_ *state, t *table) []finding {
	if len(t.model.tenant) == 1 {
		return nil
	}
	return one(fmt.Sprintf("model %s has %d tenant columns (%s)", t.model.name, len(t.model.tenant), strings.Join(t.model.tenant, ", ")),
		"-- keep one of them; the others are of a plain type, or, in a join table, the same column (joinForeignKey, joinReferences)")
}

// judgeColumns includes untenanted models.
func judgeColumns(s *state) []finding {
	var found []finding
	for _, r := range s.relations {
		m := s.modelOf(r)
		if m == nil {
			continue
		}
		var absent []string
		for _, name := range m.columns {
			tenants := r.holdsRows() && slices.Contains(m.tenant, name) // which judgeTenantType judges
			if _, ok := r.column(name); !ok && !tenants {
				absent = append(absent, name)
			}
		}
		if len(absent) > 0 && (r.holdsRows() || m.readOnly) {
			found = append(found, finding{
				schema: r.Schema, object: r.object(), fix: "-- run the program's migrations for this placement",
				message: "lacks " + strings.Join(absent, ", ") + " of model " + m.name,
			})
		}
	}
	return found
}

// modelOf returns the model of a relation, or nil.
func (s *state) modelOf(r *relation) *model {
	if m := s.models[r.Name]; m != nil && s.belongs(m, r.Schema) {
		return m
	}
	return s.models[r.Schema+"."+r.Name]
}

// judgeUntenanted finds models that should be tenanted.
func judgeUntenanted(s *state) []finding {
	var found []finding
	for _, r := range s.strangers() {
		if m := s.modelOf(r); m != nil {
			found = append(found, finding{
				schema: r.Schema, object: r.object(), allow: r.String(),
				message: fmt.Sprintf("model %s has no tenant column, but the table %s", m.name, s.tenantMark(r)),
				fix:     "-- embed scopes.Tenanted in the model, or scopes.HasTenant with a tag for the column",
			})
		}
	}
	return found
}

// judgeUnknown finds tables with tenants' rows that have no model.
func judgeUnknown(s *state) []finding {
	var found []finding
	for _, r := range s.strangers() {
		if s.modelOf(r) == nil {
			found = append(found, finding{
				schema: s.placement(r.Schema), object: r.object(), allow: r.String(),
				message: fmt.Sprintf("%s, but no model knows it%s", s.tenantMark(r), s.exposure(r)),
				fix:     s.adopt(r),
			})
		}
	}
	return found
}

// exposure describes whether the runtime role can read a table without row-level security.
func (s *state) exposure(r *relation) string {
	switch {
	case !s.runtimeMay(r, rowRights...):
		return "; the runtime role has no right on it now"
	case !r.RLS:
		return "; the runtime role has rights on it, and row-level security is off"
	}
	return ""
}

// adopt returns the SQL that enables row-level security on a table without a model.
func (s *state) adopt(r *relation) string {
	for _, name := range s.models.tenantColumns() {
		if c, ok := r.column(name); ok {
			return "-- give it a model and its keys, or drop it\n" + enable(r) + "\n" + s.createPolicy(r, name, kindOf(c.Type))
		}
	}
	return "-- give it the tenant column, row-level security and a model, or drop it"
}

// strangers returns the tables that have tenants' rows and belong to no tenanted model, nor to a partitioned table of one.
func (s *state) strangers() []*relation {
	var list []*relation
	for _, r := range s.relations {
		if r.holdsRows() && !r.Extension && s.tenantTable(r.OID) == nil && s.ancestor(r.OID) == nil && s.tenantMark(r) != "" {
			list = append(list, r)
		}
	}
	return list
}

// tenantMark returns what marks a table as one with tenants' rows, or "".
func (s *state) tenantMark(r *relation) string {
	for _, name := range s.models.tenantColumns() {
		if _, ok := r.column(name); ok {
			return "has the tenant column " + name
		}
	}
	for _, fk := range r.foreignKeys {
		if t := s.tenantTable(fk.Parent); t != nil {
			return "refers to the tenanted table " + t.String()
		}
	}
	return ""
}

// placement returns the schema if it is a placement, and otherwise "", which stands for the whole database.
func (s *state) placement(schema string) string {
	if slices.Contains(s.placementSchemas(), schema) {
		return schema
	}
	return ""
}
