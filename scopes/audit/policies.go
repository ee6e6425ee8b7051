package audit

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

type policy struct {
	Name       string
	Command    string // pg_policy.polcmd; "*" is all
	Permissive bool
	Roles      []uint32
	Using      *string
	Check      *string
}

func (p policy) String() string {
	text := fmt.Sprintf("policy %q", p.Name)
	if commands := map[string]string{"r": "select", "a": "insert", "w": "update", "d": "delete"}; commands[p.Command] != "" {
		text += " for " + commands[p.Command]
	}
	if p.Using != nil {
		text += " using " + *p.Using
	}
	if p.Check != nil {
		text += " with check " + *p.Check
	}
	return text
}

// conditions are the two ways in which PostgreSQL may print the equality of the column and the tenant: it quotes a name only if
// necessary.
func (s *state) conditions(r *relation, column string) [2]string {
	c, _ := r.column(column)
	setting := s.printedSetting(c.Type)
	plain, quoted := column, ident(column)
	if kindOf(c.Type) == kindText && c.Type != "text" { // PostgreSQL compares varchar as text, and says so
		plain, quoted = "("+plain+")::text", "("+quoted+")::text"
	}
	return [2]string{plain + " = " + setting, quoted + " = " + setting}
}

// printedSetting returns the transaction's tenant as PostgreSQL prints it, for a column type.
func (s *state) printedSetting(columnType string) string {
	setting := "NULLIF(current_setting('" + s.cfg.Setting + "'::text, true), ''::text)"
	switch kindOf(columnType) {
	case kindText:
		return setting
	case kindUUID:
		return "(" + setting + ")::uuid"
	default:
		return "(" + setting + ")::bigint"
	}
}

// isExpected reports whether an expression is nothing but the equality on the tenant column.
func (s *state) isExpected(expression *string, r *relation, column string) bool {
	want := s.conditions(r, column)
	return expression != nil && (*expression == "("+want[0]+")" || *expression == "("+want[1]+")")
}

// right reports whether a policy is the expected one: for all commands, for PUBLIC or the runtime role, and with the same
// condition for rows that are written as for rows that are read.
func (s *state) right(p policy, r *relation, column string) bool {
	return p.Permissive && p.Command == "*" && s.named(p) &&
		s.isExpected(p.Using, r, column) && (p.Check == nil || s.isExpected(p.Check, r, column))
}

// named reports whether a policy is for PUBLIC or the runtime role itself. A policy for a role that it is a member of may be meant
// for other members, and is not dropped without review.
func (s *state) named(p policy) bool {
	return slices.ContainsFunc(p.Roles, func(r uint32) bool { return r == public || s.roles.isRuntime(r) })
}

// applies reports whether a policy applies to the runtime role, directly or after SET ROLE.
func (s *state) applies(p policy) bool {
	return p.Permissive && slices.ContainsFunc(p.Roles, s.roles.concerns)
}

// permissive returns the permissive policies that apply to the runtime role, and how many of them are right.
func (s *state) permissive(r *relation, column string) (applying []policy, right int) {
	for _, p := range r.Policies {
		if s.applies(p) {
			applying = append(applying, p)
		}
		if s.right(p, r, column) {
			right++
		}
	}
	return applying, right
}

func enable(r *relation) string { return "alter table " + r.sql() + " enable row level security;" }

const policyName = "tenant"

// createPolicy returns the SQL of the expected policy, with a free name.
func (s *state) createPolicy(r *relation, column string, is kind) string {
	return fmt.Sprintf("create policy %s on %s using (%s = %s);", ident(freePolicy(r.Policies)), r.sql(), ident(column), s.current(is))
}

func freePolicy(taken []policy) string {
	name := policyName
	for slices.ContainsFunc(taken, func(p policy) bool { return p.Name == name }) {
		name += "_isolation"
	}
	return name
}

// replacePolicies returns the SQL that replaces policies by the expected one. It is created before the others are dropped: without
// any policy, no row would be visible.
func (s *state) replacePolicies(r *relation, column string, is kind, others []policy) string {
	kept := slices.DeleteFunc(slices.Clone(r.Policies), func(p policy) bool {
		return slices.ContainsFunc(others, func(o policy) bool { return o.Name == p.Name })
	})
	rename := ""
	if now, later := freePolicy(r.Policies), freePolicy(kept); now != later {
		rename = fmt.Sprintf("alter policy %s on %s rename to %s;", ident(now), r.sql(), ident(later))
	}
	return lines(s.createPolicy(r, column, is), dropPolicies(r, others), rename)
}

// current returns the SQL expression for the session's tenant, null if there is none.
func (s *state) current(is kind) string {
	cast := map[kind]string{kindBigint: "::bigint", kindUUID: "::uuid"}[is]
	return fmt.Sprintf("nullif(current_setting('%s', true), '')%s", s.cfg.Setting, cast)
}

func dropPolicies(r *relation, list []policy) string {
	var sql []string
	for _, p := range list {
		sql = append(sql, "drop policy if exists "+ident(p.Name)+" on "+r.sql()+";")
	}
	return strings.Join(sql, "\n")
}

// judgeRLS requires review for enabling row-level security for the first time: for a program that does not set the tenant yet, the
// table would be empty.
func judgeRLS(s *state, t *table) []finding {
	if t.RLS {
		return nil
	}
	if slices.ContainsFunc(s.tables, func(o *table) bool { return o.Schema == t.Schema && o.RLS }) {
		return one("row-level security is off", enable(t.relation))
	}
	return []finding{{
		message: "row-level security is off, as on all tables here: turn it on once the program carries its tenant with every statement, it sees no row otherwise",
		fix:     enable(t.relation), unsafe: true,
	}}
}

func judgePolicyMissing(s *state, t *table) []finding {
	if applying, _ := s.permissive(t.relation, t.tenant); len(applying) > 0 {
		return nil
	}
	return []finding{{
		message: "no permissive policy applies to the runtime role", fix: s.createPolicy(t.relation, t.tenant, t.tenantKind()), unsafe: !t.comparable(),
	}}
}

func judgePolicyDrift(s *state, t *table) []finding {
	applying, right := s.permissive(t.relation, t.tenant)
	if right > 0 || len(applying) == 0 {
		return nil
	}
	var texts []string
	unsafe := !t.comparable()
	for _, p := range applying {
		texts = append(texts, p.String())
		unsafe = unsafe || !s.named(p)
	}
	return []finding{{
		message: "instead of the tenant's there is " + strings.Join(texts, ", and "), unsafe: unsafe,
		fix: s.replacePolicies(t.relation, t.tenant, t.tenantKind(), applying),
	}}
}

// judgePolicyExtra accepts one right policy. If there is none, that is for judgePolicyDrift.
func judgePolicyExtra(s *state, t *table) []finding {
	applying, right := s.permissive(t.relation, t.tenant)
	if right == 0 {
		return nil
	}
	var found []finding
	spared := false
	for _, p := range applying {
		if !spared && s.right(p, t.relation, t.tenant) {
			spared = true
			continue
		}
		found = append(found, finding{
			message: "beside the tenant's there is " + p.String(), fix: dropPolicies(t.relation, []policy{p}), unsafe: !s.named(p),
		})
	}
	return found
}

// judgePolicyOther notes policies that do not show the runtime role more rows.
func judgePolicyOther(s *state, t *table) []finding {
	var found []finding
	for _, p := range t.Policies {
		switch {
		case !p.Permissive:
			found = append(found, finding{status: Note, message: "restrictive " + p.String()})
		case !s.applies(p):
			found = append(found, finding{status: Note, message: p.String() + " applies to other roles only"})
		}
	}
	return found
}

func judgeForced(_ *state, t *table) []finding {
	if !t.Forced {
		return nil
	}
	return []finding{{
		status: Note, message: "row-level security is forced upon the owner too",
		fix: "alter table " + t.sql() + " no force row level security;",
	}}
}

func (s *state) readInheritance(ctx context.Context, tx pgx.Tx) error {
	type edge struct{ Child, Parent uint32 }
	edges, err := collect[edge](ctx, tx, "inheritance",
		"select inhrelid, inhparent from pg_inherits where inhrelid = any ($1) order by inhrelid, inhseqno", s.oids())
	s.parents = map[uint32][]uint32{}
	for _, e := range edges {
		s.parents[e.Child] = append(s.parents[e.Child], e.Parent)
	}
	s.parts = map[*table][]*relation{}
	for _, r := range s.relations {
		if t := s.ancestor(r.OID); t != nil && s.tenantTable(r.OID) == nil {
			s.parts[t] = append(s.parts[t], r)
		}
	}
	return err
}

// ancestor returns the tenanted table of which a relation is a partition or child, at any depth, or nil.
func (s *state) ancestor(oid uint32) *table {
	for _, parent := range s.parents[oid] {
		if t := s.tenantTable(parent); t != nil {
			return t
		}
		if t := s.ancestor(parent); t != nil {
			return t
		}
	}
	return nil
}

// judgePartitions accepts a partition on which the runtime role has no rights: access through the parent only needs the parent's
// rights and policies.
func judgePartitions(s *state, t *table) []finding {
	var found []finding
	for _, r := range s.parts[t] {
		applying, right := s.permissive(r, t.tenant)
		if r.RLS && len(applying) == right && right <= 1 || !s.runtimeMay(r, append(rowRights, "TRUNCATE")...) {
			continue
		}
		fix := lines(s.replacePolicies(r, t.tenant, t.tenantKind(), applying), enable(r))
		if r.Kind == "f" {
			fix = "revoke all on " + r.sql() + " from " + ident(s.cfg.Runtime) + ";"
		}
		found = append(found, finding{
			object: r.object(), message: "is a part of " + t.String() + " with no such policy of its own, and the runtime role has rights on it",
			fix: fix,
		})
	}
	return found
}

// judgeParents finds tables that show a tenanted table's rows as their own.
func judgeParents(s *state, t *table) []finding {
	var found []finding
	for _, oid := range s.parents[t.OID] {
		parent := s.relation(oid)
		if parent == nil || s.tenantTable(oid) != nil {
			continue
		}
		found = append(found, finding{
			allow: t.String(), message: "is a child of " + parent.object() + ", whose policies decide when a statement names that one",
			fix: "alter table " + t.sql() + " no inherit " + parent.sql() + ";",
		})
	}
	return found
}
