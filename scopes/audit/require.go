package audit

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Requirement is something that the program's migrations create and that is not in its models. Either Unique or Trigger is set.
type Requirement struct {
	// Table is the table's name in each placement or, as "schema.name", one table of the database.
	Table string
	// Unique are the columns of a unique key, in any order.
	Unique []string
	// Trigger is the name of an enabled trigger.
	Trigger string
}

// String returns what is required, without the table.
func (r Requirement) String() string {
	if r.Trigger != "" {
		return "trigger " + r.Trigger
	}
	return "unique key (" + strings.Join(r.Unique, ", ") + ")"
}

// trigger is a user-defined trigger, enabled or not.
type trigger struct {
	Relation uint32
	Name     string
	Enabled  bool
}

func (s *state) readTriggers(ctx context.Context, tx pgx.Tx) (err error) {
	const query = `
		select tgrelid, tgname, tgenabled not in ('D', 'R') from pg_trigger
		where not tgisinternal and tgrelid = any ($1) order by 1, 2`
	s.triggers, err = collect[trigger](ctx, tx, "triggers", query, s.oids())
	return err
}

func judgeRequirements(s *state) []finding {
	if len(s.cfg.Require) == 0 {
		return []finding{{status: Note, message: "no requirement is configured"}}
	}
	var found []finding
	for _, want := range s.cfg.Require {
		for _, name := range s.places(want.Table) {
			if problem := s.lacks(want, name); problem != "" {
				found = append(found, finding{
					schema: s.placement(name[0]), object: "table " + name[0] + "." + name[1], message: problem,
					fix: "-- make it again as the program's migrations do",
				})
			}
		}
	}
	return found
}

// places returns the schema and name of a required table: one, or if no schema is given, one for each placement.
func (s *state) places(table string) (names [][2]string) {
	if schema, name, ok := strings.Cut(table, "."); ok {
		return [][2]string{{schema, name}}
	}
	for _, schema := range s.schemas {
		names = append(names, [2]string{schema, table})
	}
	return names
}

// lacks returns what is missing on a table, or "".
func (s *state) lacks(want Requirement, name [2]string) string {
	at := slices.IndexFunc(s.relations, func(r *relation) bool { return r.Schema == name[0] && r.Name == name[1] })
	if at < 0 {
		return "does not exist"
	}
	r := s.relations[at]
	there := false
	if want.Trigger != "" {
		there = slices.Contains(s.triggers, trigger{r.OID, want.Trigger, true})
	} else {
		there = slices.ContainsFunc(r.indexes, func(i index) bool {
			return i.Unique && i.Usable && slices.Equal(slices.Sorted(slices.Values(i.Columns)), slices.Sorted(slices.Values(want.Unique)))
		})
	}
	if there {
		return ""
	}
	return "lacks the " + want.String()
}

// judgeTableOwner compares with the configured owner or, without one, with the owner of the first table.
func judgeTableOwner(s *state, t *table) []finding {
	owner := s.ownerName()
	if owner == "" || s.roles.name(t.Owner) == owner || s.roles.isRuntime(t.Owner) { // the last is judgeOwner's
		return nil
	}
	return one(fmt.Sprintf("is owned by %s instead of %s", s.roles.name(t.Owner), owner),
		fmt.Sprintf("alter table %s owner to %s;", t.sql(), ident(owner)))
}

// otherGrant is a right on a table of a role that is neither the runtime role, nor the owner, nor one of theirs.
type otherGrant struct {
	Relation   uint32
	Role       string
	Privileges []string
}

// readOtherGrants leaves out superusers, who need no grant.
func (s *state) readOtherGrants(ctx context.Context, tx pgx.Tx) (err error) {
	const query = `
		select c.oid, r.rolname, array_agg(distinct a.privilege_type order by a.privilege_type)
		from pg_class c cross join lateral (
			select * from aclexplode(c.relacl) union all select e.* from pg_attribute t, aclexplode(t.attacl) e where t.attrelid = c.oid) a
		join pg_roles r on r.oid = a.grantee
		where c.oid = any ($1) and a.grantee <> c.relowner and not a.grantee = any ($2) and not r.rolsuper
		group by c.oid, r.rolname order by c.oid, r.rolname`
	s.otherGrants, err = collect[otherGrant](ctx, tx, "grants to other roles", query, s.oids(), s.grantees())
	return err
}

// judgeOtherGrants finds rights that an earlier runtime role still has.
func judgeOtherGrants(s *state) []finding {
	if s.roles.runtime == nil {
		return notChecked("there is no runtime role")
	}
	var found []finding
	for _, g := range s.otherGrants {
		r := s.relation(g.Relation)
		t := s.tenantTable(g.Relation)
		if t == nil && !matches(s.cfg.Private, r.String()) || s.roles.name(r.Owner) == g.Role || g.Role == s.cfg.Owner {
			continue
		}
		found = append(found, finding{
			schema: s.placement(r.Schema), object: r.object(), allow: "role." + g.Role,
			message: fmt.Sprintf("role %s has %s", g.Role, strings.Join(g.Privileges, ", ")),
			fix:     fmt.Sprintf("revoke all on %s from %s;", r.sql(), ident(g.Role)),
		})
	}
	return found
}
