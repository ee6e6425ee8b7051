package audit

import (
	"fmt"
	"slices"
	"strings"
)

type role struct {
	OID         uint32
	Name        string
	Superuser   bool
	BypassRLS   bool
	CreateRole  bool
	CreateDB    bool
	Replication bool
	MemberOf    []uint32
}

// roles are the server's roles, seen from the runtime role.
type roles struct {
	byOID   map[uint32]*role
	runtime *role             // nil if it does not exist
	via     map[uint32]uint32 // roles that the runtime role is a member of, at any depth → the direct membership that leads there
}

// public is the oid that stands for PUBLIC in grants and policies.
const public uint32 = 0

func newRoles(list []*role, runtime string) roles {
	rs := roles{byOID: map[uint32]*role{}}
	for _, r := range list {
		rs.byOID[r.OID] = r
		if r.Name == runtime {
			rs.runtime = r
		}
	}
	if rs.runtime != nil {
		rs.via = rs.reach(rs.runtime)
	}
	return rs
}

// reach returns every role that r is a member of, at any depth, with the direct membership that leads there. It includes
// memberships without INHERIT, which can be used by SET ROLE.
func (rs roles) reach(r *role) map[uint32]uint32 {
	via := map[uint32]uint32{}
	for _, first := range r.MemberOf {
		via[first] = first
	}
	for queue := slices.Clone(r.MemberOf); len(queue) > 0; queue = queue[1:] {
		for _, next := range rs.byOID[queue[0]].MemberOf {
			if _, seen := via[next]; !seen && next != r.OID {
				via[next] = via[queue[0]]
				queue = append(queue, next)
			}
		}
	}
	return via
}

func (rs roles) name(oid uint32) string {
	if oid == public {
		return "PUBLIC"
	}
	if r := rs.byOID[oid]; r != nil {
		return r.Name
	}
	return fmt.Sprint(oid)
}

// isRuntime reports whether oid is the runtime role.
func (rs roles) isRuntime(oid uint32) bool { return rs.runtime != nil && rs.runtime.OID == oid }

// concerns reports whether the runtime role has what is granted to a role.
func (rs roles) concerns(oid uint32) bool {
	_, member := rs.via[oid]
	return oid == public || member || rs.isRuntime(oid)
}

// filesAndPrograms are the predefined roles with access to the server's files, and so to all data.
var filesAndPrograms = []string{"pg_execute_server_program", "pg_read_server_files", "pg_write_server_files"}

// everyTable are the predefined roles with rights on every table. Policies apply to them.
var everyTable = []string{"pg_read_all_data", "pg_write_all_data"}

// danger returns why row-level security does not apply to a role, or "".
func (s *state) danger(r *role) string {
	switch owned := s.owns(r.OID); {
	case r.Superuser:
		return "is a superuser"
	case r.BypassRLS:
		return "has BYPASSRLS"
	case owned != "":
		return "owns " + owned
	case r.CreateRole:
		return "may create roles"
	case r.Replication:
		return "may replicate the cluster"
	case slices.Contains(filesAndPrograms, r.Name):
		return "reaches the server's files"
	}
	return ""
}

// owns returns one tenanted table, its schema or the database if a role owns it, or "".
func (s *state) owns(oid uint32) string {
	for _, t := range s.tables {
		if t.Owner == oid {
			return "table " + t.String()
		}
	}
	for _, name := range s.schemas {
		if owner, ok := s.server.schemas[name]; ok && owner == oid {
			return "schema " + name
		}
	}
	if s.roles.name(oid) == s.server.owner {
		return "database " + s.server.database
	}
	return ""
}

// bypasses reports whether a function with a role's rights bypasses the policies, by the role's own attributes or by inherited
// ownership.
func (s *state) bypasses(oid uint32) bool {
	r := s.roles.byOID[oid]
	if r == nil || r.Superuser || r.BypassRLS {
		return true
	}
	reach := s.roles.reach(r)
	return slices.ContainsFunc(s.tables, func(t *table) bool {
		_, member := reach[t.Owner]
		return member || t.Owner == oid
	})
}

// runtimeBypasses reports whether policies do not apply to the runtime role on a table.
func (s *state) runtimeBypasses(t *table) bool {
	r := s.roles.runtime
	_, member := s.roles.via[t.Owner]
	return r == nil || r.Superuser || r.BypassRLS || t.Owner == r.OID || member
}

func judgeRuntimeMissing(s *state) []finding {
	if s.roles.runtime != nil {
		return nil
	}
	return s.ofRole("there is no role "+s.cfg.Runtime, "create role %s login")
}

// attribute returns the judge for an attribute that the runtime role must not have.
func attribute(name string, has func(*role) bool) func(*state) []finding {
	return func(s *state) []finding {
		if s.roles.runtime == nil || !has(s.roles.runtime) {
			return nil
		}
		return s.ofRole("has "+strings.ToUpper(name), "alter role %s no"+name)
	}
}

func judgeMember(s *state) []finding {
	return s.memberships(s.danger)
}

func judgeReadsAll(s *state) []finding {
	return s.memberships(func(r *role) string {
		if slices.Contains(everyTable, r.Name) {
			return "has rights on every table"
		}
		return ""
	})
}

// memberships returns a finding for each role that the runtime role is a member of and for which why returns a reason.
func (s *state) memberships(why func(*role) string) []finding {
	var found []finding
	for _, r := range s.roles.byOID {
		first, member := s.roles.via[r.OID]
		if !member {
			continue
		}
		reason := why(r)
		if reason == "" {
			continue
		}
		message := fmt.Sprintf("is a member of %s, which %s", r.Name, reason)
		if first != r.OID {
			message = fmt.Sprintf("is, through %s, a member of %s, which %s", s.roles.name(first), r.Name, reason)
		}
		found = append(found, s.ofRole(message, "revoke "+ident(s.roles.name(first))+" from %s")...)
	}
	slices.SortFunc(found, func(a, b finding) int { return strings.Compare(a.message, b.message) })
	return found
}

// judgeOwner finds a tenanted table, schema or database; judgeOwned finds what else the role owns.
func judgeOwner(s *state) []finding {
	if s.roles.runtime == nil {
		return nil
	}
	owned := s.owns(s.roles.runtime.OID)
	if owned == "" {
		return nil
	}
	return s.ofRole("owns "+owned, s.reassign())
}

func judgeOwned(s *state) []finding {
	var found []finding
	for _, object := range s.owned {
		found = append(found, s.ofRole("owns "+object, s.reassign())...)
	}
	return found
}

// ofRole returns a finding about the runtime role. The fix has %s for the role's name. For a superuser, on whose attributes others
// may depend, and for a predefined role, the fix is to use another role.
func (s *state) ofRole(message, fix string) []finding {
	fix = fmt.Sprintf(fix, ident(s.cfg.Runtime)) + ";"
	if r := s.roles.runtime; r != nil && (r.Superuser || r.predefined()) {
		fix = "-- leave this role as it is, and let the program connect as one of its own: create role ... login password '...'"
	}
	return []finding{{object: "role " + s.cfg.Runtime, message: message, fix: fix}}
}

// predefined reports whether the role was made by initdb.
func (r *role) predefined() bool { return r.OID < firstNormalObject }

// firstNormalObject is PostgreSQL's FirstNormalObjectId.
const firstNormalObject = 16384

// ownerName returns the role that should own what the runtime role must not own, or "" if it is not known.
func (s *state) ownerName() string {
	if s.cfg.Owner != "" {
		return s.cfg.Owner
	}
	for _, t := range s.tables {
		if !s.roles.isRuntime(t.Owner) {
			return s.roles.name(t.Owner)
		}
	}
	if s.server.owner != s.cfg.Runtime {
		return s.server.owner
	}
	return ""
}

// reassign is the fix for what the runtime role owns and should not.
func (s *state) reassign() string {
	owner := s.ownerName()
	if owner == "" {
		return "-- create a role that owns the tables, and reassign owned by %s to it"
	}
	return "reassign owned by %s to " + ident(owner)
}
