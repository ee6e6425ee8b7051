package audit

import (
	"context"
	"fmt"
	"path"
	"slices"

	"github.com/jackc/pgx/v5"

	"tenanted/scopes/citus"
)

// state is the database as it was read, and what it is compared with.
type state struct {
	cfg     Config
	models  models
	schemas []string // the placements

	server    server
	roles     roles
	relations []*relation
	tables    []*table // the tenanted ones, in all placements
	missing   []missing
	parents   map[uint32][]uint32    // of partitions and inheritance children
	parts     map[*table][]*relation // partitions and children, at any depth, that have no model of their own

	touching map[uint32]bool // relations through which tenanted rows can be read

	byOID      map[uint32]*relation
	tableByOID map[uint32]*table

	grants       []grant
	grantsOn     map[uint32][]grant // by the object's oid
	settings     []setting
	owned        []string
	rewrites     []rewrite
	functions    []function
	publications []publication
	triggers     []trigger
	otherGrants  []otherGrant
	plans        map[uint32]plan
	shards       shards
}

// missing is a model's table that does not exist, or a schema if model is nil.
type missing struct {
	schema string
	model  *model
}

// server describes a connection and its database.
type server struct {
	database    string
	login       string // role it logged in as
	version     int    // such as 150018
	tenant      string // value of the tenant's setting; empty unless there is a default
	rowSecurity string
	owner       string            // of the database
	schemas     map[string]uint32 // owners by schema
	citus       bool              // the database has the extension
	propagation string            // whether the coordinator passes SET LOCAL on
}

// part is a part of the catalogs that some rules need. Later parts use earlier ones.
type part = int

const (
	columns part = iota
	inheritance
	indexes
	foreignKeys
	grants
	settings
	owned
	rewrites
	functions
	publications
	triggers
	otherGrants
	definitions
	plans
	onShards
)

var readers = [...]func(*state, context.Context, pgx.Tx) error{
	columns: (*state).readColumns, inheritance: (*state).readInheritance, indexes: (*state).readIndexes,
	foreignKeys: (*state).readForeignKeys, grants: (*state).readGrants, settings: (*state).readSettings,
	owned: (*state).readOwned, rewrites: (*state).readRewrites, functions: (*state).readFunctions,
	publications: (*state).readPublications, triggers: (*state).readTriggers, otherGrants: (*state).readOtherGrants,
	definitions: (*state).readDefinitions, plans: (*state).readPlans, onShards: (*state).readShards,
}

// read reads the roles, the relations of some schemas, or of all if none are given, and then what the rules need.
func (s *state) read(ctx context.Context, tx pgx.Tx, rules []Rule, schemas []string) error {
	if err := s.readServer(ctx, tx); err != nil {
		return err
	}
	if err := s.readRelations(ctx, tx, schemas); err != nil {
		return err
	}
	s.findTables()
	rules = s.applicable(rules)
	for part, read := range readers {
		needs := func(r Rule) bool { return slices.Contains(r.reads, part) }
		if slices.ContainsFunc(rules, needs) {
			if err := read(s, ctx, tx); err != nil {
				return err
			}
		}
	}
	return nil
}

// applicable leaves out the rules about a Citus cluster where there is none.
func (s *state) applicable(rules []Rule) []Rule {
	return slices.DeleteFunc(slices.Clone(rules), func(r Rule) bool { return r.Layer == LayerCitus && !s.server.citus })
}

// readServer reads the connection, the schemas and the roles in one query.
func (s *state) readServer(ctx context.Context, tx pgx.Tx) error {
	const query = `
		select current_database(), session_user, current_setting('server_version_num')::int,
			coalesce(current_setting($1, true), ''), current_setting('row_security'), pg_get_userbyid(d.datdba),
			(select json_object_agg(n.nspname, n.nspowner::bigint) from pg_namespace n),
			(select json_agg(json_build_object(
				'oid', r.oid::bigint, 'name', r.rolname, 'superuser', r.rolsuper, 'bypassrls', r.rolbypassrls,
				'createrole', r.rolcreaterole, 'createdb', r.rolcreatedb, 'replication', r.rolreplication,
				'memberOf', array(select m.roleid::bigint from pg_auth_members m where m.member = r.oid)))
			from pg_roles r),
			exists (select from pg_extension where extname = 'citus'), coalesce(current_setting($2, true), '')
		from pg_database d where d.datname = current_database()`
	var list []*role
	v := &s.server
	err := tx.QueryRow(ctx, query, s.cfg.Setting, citus.Propagation).Scan(
		&v.database, &v.login, &v.version, &v.tenant, &v.rowSecurity, &v.owner, &v.schemas, &list, &v.citus, &v.propagation)
	if err != nil {
		return fmt.Errorf("read roles: %w", err)
	}
	if s.cfg.Runtime == "" {
		s.cfg.Runtime = v.login
	}
	s.roles = newRoles(list, s.cfg.Runtime)
	return nil
}

// placementSchemas returns the placements, and the schemas that models name.
func (s *state) placementSchemas() []string {
	list := slices.Clone(s.schemas)
	for _, m := range s.models {
		if m.schema != "" && !slices.Contains(list, m.schema) {
			list = append(list, m.schema)
		}
	}
	return list
}

// matches reports whether a name matches one of the configuration's patterns.
func matches(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		ok, err := path.Match(pattern, name)
		return ok && err == nil
	})
}

// collect reads all rows of a query into T, column by column.
func collect[T any](ctx context.Context, tx pgx.Tx, what, query string, args ...any) ([]T, error) {
	rows, err := tx.Query(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", what, err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[T])
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", what, err)
	}
	return list, nil
}

// ident quotes a name, with its schema, for SQL.
func ident(parts ...string) string { return pgx.Identifier(parts).Sanitize() }
