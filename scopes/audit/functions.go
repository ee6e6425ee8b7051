package audit

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// function is a function or procedure that belongs neither to PostgreSQL nor to an extension.
type function struct {
	OID        uint32
	Schema     string
	Name       string
	Arguments  string
	Owner      uint32
	Definer    bool
	Leakproof  bool
	Language   string
	Trigger    bool     // only a trigger can call it
	Source     string   // body as text
	Parsed     bool     // the server has parsed the SQL body, so Touches is complete
	Touches    []uint32 // relations and functions of a parsed body
	Config     []string // settings in force while it runs
	Executable bool     // by the runtime role
	Triggers   []string // the triggers that run it
}

func (f *function) String() string { return f.Schema + "." + f.Name }

func (f *function) signature() string { return f.Schema + "." + f.Name + "(" + f.Arguments + ")" }

func (f *function) sql() string { return ident(f.Schema, f.Name) + "(" + f.Arguments + ")" }

// firstOwnOID is the first oid of objects that are not built in.
const firstOwnOID = 16384

func (s *state) readFunctions(ctx context.Context, tx pgx.Tx) error {
	const query = `
		select p.oid, n.nspname, p.proname, pg_get_function_identity_arguments(p.oid), p.proowner, p.prosecdef, p.proleakproof, l.lanname,
			p.prorettype in ('trigger'::regtype, 'event_trigger'::regtype),
			case when p.prosqlbody is null then p.prosrc else pg_get_function_sqlbody(p.oid) end, p.prosqlbody is not null,
			array(select d.refobjid from pg_depend d where d.classid = 'pg_proc'::regclass and d.objid = p.oid
				and d.refclassid in ('pg_class'::regclass, 'pg_proc'::regclass)),
			coalesce(p.proconfig, '{}'),
			exists (select from aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
				where a.privilege_type = 'EXECUTE' and a.grantee = any ($2)),
			array(select t.tgname || ' on ' || c.relnamespace::regnamespace || '.' || c.relname
				from pg_trigger t join pg_class c on c.oid = t.tgrelid
				where t.tgfoid = p.oid and not t.tgisinternal and t.tgenabled <> 'D' order by 1)
		from pg_proc p join pg_namespace n on n.oid = p.pronamespace join pg_language l on l.oid = p.prolang
		where p.oid >= $1 and n.nspname !~ '^pg_(toast_)?temp_' and p.prokind <> 'a' and not exists (
			select from pg_depend d where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e')
		order by 2, 3, 4`
	var err error
	s.functions, err = collect[function](ctx, tx, "functions", query, firstOwnOID, s.grantees())
	return err
}

// dynamic matches what can read tables that are not named in the body.
var dynamic = regexp.MustCompile(`(?i)\b(execute|dblink\w*|(query|cursor|table|schema|database)_to_xml\w*)\b`)

// reach returns how a function reaches tenanted rows, or "". A body that is not parsed is searched for the names of tables and of
// functions that reach them. A word that only equals such a name is a false alarm, for [Config].Allow. A body that cannot be
// read counts as reaching them.
func (s *state) reach(f *function, via map[uint32]bool, names *regexp.Regexp) string {
	for _, oid := range f.Touches {
		if s.touching[oid] || via[oid] {
			return "uses " + s.describe(oid)
		}
	}
	if f.Language != "sql" && f.Language != "plpgsql" {
		return "is written in " + f.Language + ", which cannot be judged"
	}
	if found := names.FindStringSubmatch(f.Source); found != nil && !f.Parsed {
		return "mentions " + found[1]
	}
	if found := dynamic.FindString(f.Source); found != "" {
		return "uses " + found + ", whose SQL cannot be judged"
	}
	return ""
}

func (s *state) describe(oid uint32) string {
	if r := s.relation(oid); r != nil {
		return r.String()
	}
	i := slices.IndexFunc(s.functions, func(f function) bool { return f.OID == oid })
	return s.functions[i].signature()
}

// reaching returns how each function reaches tenanted rows, directly or through functions that it calls.
func (s *state) reaching() map[uint32]string {
	if len(s.touching) == 0 {
		return nil
	}
	how, via := map[uint32]string{}, map[uint32]bool{}
	for grown := true; grown; {
		grown = false
		names := s.touchingNames(via)
		for i := range s.functions {
			f := &s.functions[i]
			if via[f.OID] {
				continue
			}
			if reason := s.reach(f, via, names); reason != "" {
				how[f.OID], via[f.OID], grown = reason, true, true
			}
		}
	}
	return how
}

// touchingNames matches the names, as whole words, of the relations and functions that reach tenanted rows.
func (s *state) touchingNames(via map[uint32]bool) *regexp.Regexp {
	var names []string
	for oid := range s.touching {
		names = append(names, regexp.QuoteMeta(s.relation(oid).Name))
	}
	for i := range s.functions {
		if via[s.functions[i].OID] {
			names = append(names, regexp.QuoteMeta(s.functions[i].Name))
		}
	}
	slices.Sort(names)
	const edge = `[^\pL\pN_$]`
	return regexp.MustCompile(`(?i)(?:^|` + edge + `)(` + strings.Join(slices.Compact(names), "|") + `)(?:` + edge + `|$)`)
}

// definers returns the SECURITY DEFINER functions that bypass the policies, and how.
func (s *state) definers() map[*function]string {
	reaching, list := s.reaching(), map[*function]string{}
	for i := range s.functions {
		f := &s.functions[i]
		if how := reaching[f.OID]; f.Definer && how != "" && s.bypasses(f.Owner) {
			list[f] = how
		}
	}
	return list
}

func judgeDefiners(s *state) []finding {
	var found []finding
	for f, how := range s.definers() {
		if !f.Executable || f.Trigger {
			continue
		}
		found = append(found, finding{
			schema: s.placement(f.Schema), object: "function " + f.signature(), allow: f.String(),
			message: fmt.Sprintf("is SECURITY DEFINER, owned by %s, executable by the runtime role, and %s", s.roles.name(f.Owner), how),
			fix: fmt.Sprintf("revoke execute on function %s from public, %s;\n-- or: alter function %[1]s security invoker;",
				f.sql(), ident(s.cfg.Runtime)),
		})
	}
	return byObject(found)
}

func judgeTriggers(s *state) []finding {
	var found []finding
	for f, how := range s.definers() {
		for _, trigger := range f.Triggers {
			found = append(found, finding{
				schema: s.placement(f.Schema), object: "trigger " + trigger, allow: f.String(),
				message: fmt.Sprintf("runs %s, which is SECURITY DEFINER, owned by %s, and %s", f.signature(), s.roles.name(f.Owner), how),
				fix:     fmt.Sprintf("alter function %s security invoker;", f.sql()),
			})
		}
	}
	return byObject(found)
}

func judgeFunctionTenant(s *state) []finding {
	var found []finding
	for i := range s.functions {
		f := &s.functions[i]
		for _, entry := range f.Config {
			if name := (setting{Entry: entry}).name(); name == strings.ToLower(s.cfg.Setting) && (f.Executable || len(f.Triggers) > 0) {
				found = append(found, finding{
					schema: s.placement(f.Schema), object: "function " + f.signature(), allow: f.String(),
					message: "runs with " + entry, fix: fmt.Sprintf("alter function %s reset %s;", f.sql(), quoteSetting(name)),
				})
			}
		}
	}
	return found
}

func judgeLeakproof(s *state) []finding {
	var found []finding
	for i := range s.functions {
		if f := &s.functions[i]; f.Leakproof {
			found = append(found, finding{
				status: Note, schema: s.placement(f.Schema), object: "function " + f.signature(), message: "is LEAKPROOF",
				fix: fmt.Sprintf("alter function %s not leakproof;", f.sql()),
			})
		}
	}
	return found
}

func byObject(found []finding) []finding {
	slices.SortFunc(found, func(a, b finding) int { return strings.Compare(a.object, b.object) })
	return found
}
