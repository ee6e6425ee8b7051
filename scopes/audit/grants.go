package audit

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// grant is a right of the runtime role: its own, or through a role that it is a member of, or through PUBLIC.
type grant struct {
	On        string // "relation", "column", "sequence", "schema", "database", "parameter" or "default"
	OID       uint32 // of the object; for a sequence, of its table
	Schema    string
	Name      string
	Grantee   uint32
	Privilege string
	Grantable bool
}

// rowRights are the rights on a table that are subject to row-level security.
var rowRights = []string{"SELECT", "INSERT", "UPDATE", "DELETE"}

// excessRights are the rights on a table that are not.
var excessRights = []string{"TRUNCATE", "REFERENCES", "TRIGGER"}

// readGrants leaves out an owner's rights on its own objects, and roles that bypass row-level security: membership in one of those
// is a defect in itself.
func (s *state) readGrants(ctx context.Context, tx pgx.Tx) error {
	const query = `
		select 'relation', c.oid, n.nspname, c.relname, a.grantee, a.privilege_type, a.is_grantable
			from pg_class c join pg_namespace n on n.oid = c.relnamespace, aclexplode(c.relacl) a
			where c.oid = any ($2) and a.grantee = any ($1) and a.grantee <> c.relowner
		union all select 'column', c.oid, n.nspname, c.relname, a.grantee, a.privilege_type, a.is_grantable
			from pg_attribute t join pg_class c on c.oid = t.attrelid join pg_namespace n on n.oid = c.relnamespace, aclexplode(t.attacl) a
			where c.oid = any ($2) and a.grantee = any ($1) and a.grantee <> c.relowner
		union all select 'sequence', d.refobjid, n.nspname, c.relname, a.grantee, a.privilege_type, a.is_grantable
			from pg_class c join pg_namespace n on n.oid = c.relnamespace
			join pg_depend d on d.classid = 'pg_class'::regclass and d.objid = c.oid and d.refobjid = any ($2) and d.deptype in ('a', 'i'),
			aclexplode(c.relacl) a
			where c.relkind = 'S' and a.grantee = any ($1) and a.grantee <> c.relowner
		union all select 'schema', n.oid, n.nspname, n.nspname, a.grantee, a.privilege_type, a.is_grantable
			from pg_namespace n, aclexplode(n.nspacl) a
			where n.nspname !~ '^pg_' and n.nspname <> 'information_schema' and a.grantee = any ($1) and a.grantee <> n.nspowner
		union all select 'database', d.oid, '', d.datname, a.grantee, a.privilege_type, a.is_grantable
			from pg_database d, aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a
			where d.datname = current_database() and a.grantee = any ($1) and a.grantee <> d.datdba
		union all select 'default', d.oid, coalesce(n.nspname, ''), pg_get_userbyid(d.defaclrole), a.grantee, a.privilege_type, a.is_grantable
			from pg_default_acl d left join pg_namespace n on n.oid = d.defaclnamespace, aclexplode(d.defaclacl) a
			where d.defaclobjtype = 'r' and a.grantee = any ($1) and a.grantee <> d.defaclrole`
	const parameters = `
		union all select 'parameter', p.oid, '', p.parname, a.grantee, a.privilege_type, a.is_grantable
			from pg_parameter_acl p, aclexplode(p.paracl) a where a.grantee = any ($1)`
	sql := query
	if s.server.version >= 150000 {
		sql += parameters
	}
	var err error
	s.grants, err = collect[grant](ctx, tx, "grants", sql+" order by 1, 3, 4, 5, 6", s.grantees(), s.oids())
	s.grantsOn = map[uint32][]grant{}
	for _, g := range s.grants {
		s.grantsOn[g.OID] = append(s.grantsOn[g.OID], g)
	}
	return err
}

// grantees are PUBLIC, the runtime role, and the roles whose rights it has.
func (s *state) grantees() []uint32 {
	list := []uint32{public}
	if s.roles.runtime != nil {
		list = append(list, s.roles.runtime.OID)
	}
	for oid := range s.roles.via {
		if s.danger(s.roles.byOID[oid]) == "" {
			list = append(list, oid)
		}
	}
	return list
}

// runtimeMay reports whether the runtime role has one of some rights on a relation, or on a column of it.
func (s *state) runtimeMay(r *relation, privileges ...string) bool {
	return s.roles.isRuntime(r.Owner) || slices.ContainsFunc(s.grantsOn[r.OID], func(g grant) bool {
		return (g.On == "relation" || g.On == "column") && slices.Contains(privileges, g.Privilege)
	})
}

// mayRead reports whether the runtime role can read a table.
func (s *state) mayRead(t *table) bool {
	return s.mayUse(t.Schema) && s.runtimeMay(t.relation, "SELECT")
}

func (s *state) mayUse(schema string) bool {
	return s.roles.isRuntime(s.server.schemas[schema]) || slices.ContainsFunc(s.grants, func(g grant) bool {
		return g.On == "schema" && g.Name == schema && g.Privilege == "USAGE"
	})
}

// granted returns describe's findings for those grants on some kind of object that want accepts. Grants on one object to one
// grantee are merged.
func granted(list []grant, on string, want func(grant) bool, describe func(grant) finding) []finding {
	var merged []grant
	for _, g := range list {
		last := len(merged) - 1
		switch {
		case g.On != on || !want(g):
		case last < 0 || merged[last].OID != g.OID || merged[last].Name != g.Name || merged[last].Grantee != g.Grantee:
			merged = append(merged, g)
		case !strings.HasSuffix(merged[last].Privilege, g.Privilege): // by another grantor, or on another column
			merged[last].Privilege += ", " + g.Privilege
		}
	}
	var found []finding
	for _, g := range merged {
		found = append(found, describe(g))
	}
	return found
}

// grantee returns the grantee's name for SQL.
func (s *state) grantee(g grant) string {
	if g.Grantee == public {
		return "public"
	}
	return ident(s.roles.name(g.Grantee))
}

func (s *state) has(g grant, on string) string {
	return fmt.Sprintf("%s has %s%s", s.roles.name(g.Grantee), g.Privilege, on)
}

// onTable returns describe's findings for the grants on a table, its columns, partitions and children.
func (s *state) onTable(t *table, want func(grant) bool, revoke string) []finding {
	var found []finding
	for _, r := range append(slices.Clone(s.parts[t]), t.relation) {
		for _, on := range []string{"relation", "column"} {
			found = append(found, granted(s.grantsOn[r.OID], on, want, func(g grant) finding {
				message := s.has(g, map[string]string{"column": " on a column"}[on])
				return finding{
					object: r.object(), message: message, unsafe: !s.roles.isRuntime(g.Grantee),
					fix: fmt.Sprintf(revoke, strings.ToLower(g.Privilege), r.sql(), s.grantee(g)),
				}
			})...)
		}
	}
	return found
}

func judgePrivate(s *state) []finding {
	if len(s.cfg.Private) == 0 {
		return []finding{{status: Note, message: "no private table is configured"}}
	}
	private := func(g grant) bool { return matches(s.cfg.Private, g.Schema+"."+g.Name) }
	var found []finding
	for _, on := range []string{"relation", "column"} {
		found = append(found, granted(s.grants, on, private, func(g grant) finding {
			return finding{
				object: "table " + g.Schema + "." + g.Name, message: s.has(g, ""), unsafe: !s.roles.isRuntime(g.Grantee),
				fix: fmt.Sprintf("revoke all on %s from %s;", ident(g.Schema, g.Name), s.grantee(g)),
			}
		})...)
	}
	return found
}

func judgeGrantMissing(s *state, t *table) []finding {
	var fix []string
	if !s.mayUse(t.Schema) {
		fix = append(fix, fmt.Sprintf("grant usage on schema %s to %s;", ident(t.Schema), ident(s.cfg.Runtime)))
	}
	if !s.runtimeMay(t.relation, "SELECT") {
		fix = append(fix, fmt.Sprintf("grant select, insert, update, delete on %s to %s;", t.sql(), ident(s.cfg.Runtime)))
	}
	message := "the runtime role may not read it"
	for _, sequence := range s.unusable(t) {
		if len(fix) == 0 {
			message = "the runtime role may not insert into it: it has no right on " + sequence
		}
		fix = append(fix, fmt.Sprintf("grant usage on sequence %s to %s;", ident(t.Schema, sequence), ident(s.cfg.Runtime)))
	}
	if len(fix) == 0 || s.roles.runtime == nil || s.roles.runtime.Superuser {
		return nil
	}
	return []finding{{status: Note, message: message, fix: strings.Join(fix, "\n")}}
}

// unusable returns the sequences of serial columns that the runtime role may not use although it may insert. Identity columns need
// no right on their sequence.
func (s *state) unusable(t *table) (sequences []string) {
	if s.runtimeMay(t.relation, "SELECT") && !s.runtimeMay(t.relation, "INSERT") {
		return nil
	}
	for _, c := range t.columns {
		usable := slices.ContainsFunc(s.grantsOn[t.OID], func(g grant) bool {
			return g.On == "sequence" && g.Name == c.Serial && (g.Privilege == "USAGE" || g.Privilege == "UPDATE")
		})
		if c.Serial != "" && !usable && !s.roles.isRuntime(t.Owner) {
			sequences = append(sequences, c.Serial)
		}
	}
	return sequences
}

func judgeExcess(s *state, t *table) []finding {
	return s.onTable(t, func(g grant) bool {
		return g.Grantee != public && slices.Contains(excessRights, g.Privilege)
	}, "revoke %s on %s from %s;")
}

func judgeGrantOption(s *state, t *table) []finding {
	return s.onTable(t, func(g grant) bool { return g.Grantee != public && g.Grantable },
		"revoke grant option for %s on %s from %s cascade;")
}

func judgePublic(s *state, t *table) []finding {
	found := s.onTable(t, func(g grant) bool { return g.Grantee == public }, "revoke %s on %s from %s;")
	for i := range found {
		found[i].fix += fmt.Sprintf("\ngrant select, insert, update, delete on %s to %s;", t.sql(), ident(s.cfg.Runtime))
	}
	return found
}

func judgeSequences(s *state, t *table) []finding {
	setval := func(g grant) bool { return g.Privilege == "UPDATE" }
	return granted(s.grantsOn[t.OID], "sequence", setval, func(g grant) finding {
		name := ident(g.Schema, g.Name)
		return finding{
			object: "sequence " + g.Schema + "." + g.Name, message: s.has(g, ""),
			fix: fmt.Sprintf("revoke update on sequence %s from %s;", name, s.grantee(g)),
		}
	})
}

// judgeCreate returns the judge of CREATE on schemas, for PUBLIC or for the runtime role.
func judgeCreate(forPublic bool) func(*state) []finding {
	return func(s *state) []finding {
		create := func(g grant) bool { return g.Privilege == "CREATE" && (g.Grantee == public) == forPublic }
		return granted(s.grants, "schema", create, func(g grant) finding {
			return finding{
				schema: s.placement(g.Schema), object: "schema " + g.Schema, message: s.has(g, ""), unsafe: !s.roles.isRuntime(g.Grantee),
				fix: fmt.Sprintf("revoke create on schema %s from %s;", ident(g.Schema), s.grantee(g)),
			}
		})
	}
}

func judgeCreateSchema(s *state) []finding { return s.onDatabase("CREATE", Defect) }

// judgeTemporary notes PostgreSQL's own default.
func judgeTemporary(s *state) []finding { return s.onDatabase("TEMPORARY", Note) }

func (s *state) onDatabase(privilege string, status Status) []finding {
	return granted(s.grants, "database", func(g grant) bool { return g.Privilege == privilege }, func(g grant) finding {
		return finding{
			status: status, object: "database " + g.Name, message: s.has(g, ""),
			fix: fmt.Sprintf("revoke %s on database %s from %s;", strings.ToLower(privilege), ident(g.Name), s.grantee(g)),
		}
	})
}

func judgeParameters(s *state) []finding {
	all := func(grant) bool { return true }
	return granted(s.grants, "parameter", all, func(g grant) finding {
		return finding{
			object: "parameter " + g.Name, message: s.has(g, ""),
			fix: fmt.Sprintf("revoke %s on parameter %s from %s;", strings.ToLower(g.Privilege), g.Name, s.grantee(g)),
		}
	})
}

// judgeDefaults accepts default privileges on rows: a future table still needs its policy, and is an unknown table until it has a
// model.
func judgeDefaults(s *state) []finding {
	wide := func(g grant) bool { return g.Grantee == public || slices.Contains(excessRights, g.Privilege) }
	return granted(s.grants, "default", wide, func(g grant) finding {
		in := ""
		if g.Schema != "" {
			in = " in schema " + ident(g.Schema)
		}
		return finding{
			object: "default privileges of " + g.Name, message: s.has(g, " on future tables"+in),
			fix: fmt.Sprintf("alter default privileges for role %s%s revoke %s on tables from %s;", ident(g.Name), in, strings.ToLower(g.Privilege), s.grantee(g)),
		}
	})
}
