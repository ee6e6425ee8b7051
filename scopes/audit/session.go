package audit

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// setting is a default with which a session of the runtime role starts.
type setting struct {
	Role     string // empty: every role
	Database string // empty: every database
	Entry    string // such as "search_path=public"
}

func (d setting) name() string {
	name, _, _ := strings.Cut(d.Entry, "=")
	return strings.ToLower(name)
}

func (d setting) value() string {
	_, value, _ := strings.Cut(d.Entry, "=")
	return value
}

// object describes whose default it is.
func (d setting) object() string {
	switch {
	case d.Role == "":
		return "database " + d.Database
	case d.Database == "":
		return "role " + d.Role
	}
	return "role " + d.Role + " in database " + d.Database
}

// reset returns the SQL that removes the default.
func (d setting) reset() string {
	var who string
	switch {
	case d.Role == "" && d.Database == "":
		who = "role all"
	case d.Role == "":
		who = "database " + ident(d.Database)
	case d.Database == "":
		who = "role " + ident(d.Role)
	default:
		who = "role " + ident(d.Role) + " in database " + ident(d.Database)
	}
	return fmt.Sprintf("alter %s reset %s;", who, quoteSetting(d.name()))
}

// quoteSetting quotes a parameter's name part by part.
func quoteSetting(name string) string { return ident(strings.Split(name, ".")...) }

func (s *state) readSettings(ctx context.Context, tx pgx.Tx) error {
	const query = `
		select coalesce(r.rolname, ''), coalesce(d.datname, ''), entry
		from pg_db_role_setting c
		left join pg_roles r on r.oid = c.setrole left join pg_database d on d.oid = c.setdatabase, unnest(c.setconfig) entry
		where c.setrole in (0, (select oid from pg_roles where rolname = $1)) and (c.setdatabase = 0 or d.datname = current_database())
		order by 1, 2, 3`
	var err error
	s.settings, err = collect[setting](ctx, tx, "session defaults", query, s.cfg.Runtime)
	return err
}

// defaults returns a finding for each default of a name whose value is bad.
func (s *state) defaults(name string, bad func(value string) bool) []finding {
	var found []finding
	for _, d := range s.settings {
		if d.name() == strings.ToLower(name) && bad(d.value()) {
			found = append(found, finding{object: d.object(), message: "has the default " + d.Entry, fix: d.reset()})
		}
	}
	return found
}

// judgeSessionTenant also looks at the connection's own setting, since defaults in postgresql.conf and connection options are not in
// the catalogs.
func judgeSessionTenant(s *state) []finding {
	found := s.defaults(s.cfg.Setting, func(value string) bool { return value != "" })
	if len(found) == 0 && s.server.tenant != "" {
		found = append(found, finding{
			object:  "connection of " + s.server.login,
			message: fmt.Sprintf("starts with %s = %s", s.cfg.Setting, s.server.tenant),
			fix: "alter system reset " + quoteSetting(s.cfg.Setting) + "; select pg_reload_conf();\n" +
				"-- or take it out of postgresql.conf, PGOPTIONS or the connection string",
		})
	}
	return found
}

func judgeRowSecurity(s *state) []finding {
	off := func(value string) bool {
		return slices.Contains([]string{"off", "false", "no", "0", "of", "f", "n"}, strings.ToLower(value))
	}
	found := s.defaults("row_security", off)
	if len(found) == 0 && off(s.server.rowSecurity) {
		found = append(found, finding{
			object: "connection of " + s.server.login, message: "starts with row_security = off",
			fix: "alter system reset row_security; select pg_reload_conf();\n" +
				"-- or take it out of postgresql.conf, PGOPTIONS or the connection string",
		})
	}
	return found
}

func judgeSessionRole(s *state) []finding {
	return s.defaults("role", func(value string) bool { return value != "none" && value != s.cfg.Runtime })
}

func judgeReplicationRole(s *state) []finding {
	return s.defaults("session_replication_role", func(value string) bool { return value == "replica" })
}

// judgeSearchPath accepts the only placement of a database as the default, since there is no other tenant's schema.
func judgeSearchPath(s *state) []finding {
	if len(s.schemas) < 2 {
		return nil
	}
	return s.defaults("search_path", func(value string) bool {
		for name := range strings.SplitSeq(value, ",") {
			if slices.Contains(s.schemas, strings.Trim(strings.TrimSpace(name), `"`)) {
				return true
			}
		}
		return false
	})
}

// judgeFurther accepts the only placement of a database as a further schema. If there are several placements, a table found there
// is another tenant's; in a schema that is no placement, it is one that nobody writes to on purpose.
func judgeFurther(s *state) []finding {
	var found []finding
	for _, r := range s.relations {
		m := s.models[r.Name]
		placement := slices.Contains(s.schemas, r.Schema)
		if m == nil || !m.tenanted() || !slices.Contains(s.cfg.Further, r.Schema) || placement && len(s.schemas) == 1 {
			continue
		}
		f := finding{
			status: Note, object: r.object(), message: "is called like the table of model " + m.name + ", and its schema is behind each tenant's on the search_path",
			fix: "-- rename or drop it, or take schema " + r.Schema + " out of the further schemas",
		}
		if placement {
			f.status = Defect
		}
		found = append(found, f)
	}
	return found
}

// readOwned reads what the runtime role owns, except what judgeOwner finds.
func (s *state) readOwned(ctx context.Context, tx pgx.Tx) error {
	const query = `
		select pg_describe_object(d.classid, d.objid, d.objsubid)
		from pg_shdepend d, pg_database b
		where b.datname = current_database() and d.dbid in (0, b.oid) and d.deptype = 'o'
			and d.refclassid = 'pg_authid'::regclass and d.refobjid = (select oid from pg_roles where rolname = $1)
			and d.classid <> 'pg_database'::regclass
			and not (d.classid = 'pg_namespace'::regclass and (select n.nspname from pg_namespace n where n.oid = d.objid) = any ($2))
			and not (d.classid = 'pg_class'::regclass and (d.objid = any ($3) or exists (
				select from pg_class c join pg_namespace n on n.oid = c.relnamespace
				where c.oid = d.objid and (n.nspname ~ '^pg_(toast_)?temp_' or c.relkind = 'S' and exists (
					select from pg_depend o where o.classid = 'pg_class'::regclass and o.objid = c.oid and o.deptype in ('a', 'i'))))))
		order by 1`
	var tenanted []uint32
	for _, t := range s.tables {
		tenanted = append(tenanted, t.OID)
	}
	type object struct{ Description string }
	list, err := collect[object](ctx, tx, "ownership", query, s.cfg.Runtime, s.schemas, tenanted)
	for _, o := range list {
		s.owned = append(s.owned, o.Description)
	}
	return err
}
