package audit

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// isSharedView reports whether a tenanted model's table is a view of the tenant's own rows and of shared ones.
func (t *table) isSharedView() bool { return t.Kind == "v" && t.model.readOnly }

// readDefinitions reads the views of own and shared rows.
func (s *state) readDefinitions(ctx context.Context, tx pgx.Tx) error {
	var views []uint32
	for _, t := range s.tables {
		if t.isSharedView() {
			views = append(views, t.OID)
		}
	}
	type definition struct {
		View uint32
		SQL  string
	}
	list, err := collect[definition](ctx, tx, "definitions of views",
		"select c.oid, pg_get_viewdef(c.oid) from pg_class c where c.oid = any ($1)", views)
	for _, d := range list {
		s.relation(d.View).definition = d.SQL
	}
	return err
}

// The parts of a view's definition as PostgreSQL prints it: a SELECT from one table, an item of its list without table name and
// alias, and an alias.
var (
	oneSelect = regexp.MustCompile(`(?s)^ SELECT (.+)\n   FROM (.+)$`)
	bareItem  = regexp.MustCompile(`(?s)^(?:(?:\w+|"[^"]+")\.)?(.+?)(?: AS (?:\w+|"[^"]+"))?$`)
	alias     = regexp.MustCompile(`^ (?:\w+|"[^"]+")$`)
)

// sharing returns the tables of shared rows that a view reads. ok is false if the view does not have the expected form: SELECTs from
// single tables, combined by UNION ALL, in which tenanted tables have their own tenant column and the others the transaction's
// tenant in its place.
func (s *state) sharing(t *table) (shared []*relation, ok bool) {
	at := slices.IndexFunc(t.columns, func(c column) bool { return c.Name == t.tenant })
	own := false
	for text := range strings.SplitSeq(strings.TrimSuffix(t.definition, ";"), "\nUNION ALL\n") {
		r, items := s.parseSelect(text)
		if r == nil || at < 0 || at >= len(items) {
			return nil, false
		}
		item := bareItem.FindStringSubmatch(items[at])[1]
		switch source := s.tenantTable(r.OID); {
		case source != nil && source.holdsRows() && slices.Contains(spellings(source.tenant), item):
			own = true
		case source == nil && r.holdsRows() && !s.touching[r.OID] && s.tenantMark(r) == "" && item == s.printedSetting(t.columns[at].Type):
			shared = append(shared, r)
		default:
			return nil, false
		}
	}
	return shared, own && len(shared) > 0
}

// parseSelect returns the table and the items of a simple SELECT, and nil for any other form.
func (s *state) parseSelect(text string) (from *relation, items []string) {
	parts := oneSelect.FindStringSubmatch(text)
	if parts == nil || strings.Count(text, "SELECT") != 1 {
		return nil, nil
	}
	i := slices.IndexFunc(s.relations, func(r *relation) bool { return r.isPrinted(parts[2]) })
	if i < 0 {
		return nil, nil
	}
	return s.relations[i], strings.Split(parts[1], ",\n    ")
}

// isPrinted reports whether text is the relation's name, with or without an alias.
func (r *relation) isPrinted(text string) bool {
	for _, schema := range spellings(r.Schema) {
		for _, name := range spellings(r.Name) {
			if rest, ok := strings.CutPrefix(text, schema+"."+name); ok && (rest == "" || alias.MatchString(rest)) {
				return true
			}
		}
	}
	return false
}

// spellings are the ways in which PostgreSQL may print a name: it quotes a name only if necessary.
func spellings(name string) []string { return []string{name, ident(name)} }

func judgeSharedViews(s *state) []finding {
	var found []finding
	for _, t := range s.tables {
		if !t.isSharedView() {
			continue
		}
		if _, ok := s.sharing(t); !ok {
			current := s.current(t.model.kind)
			found = append(found, finding{
				schema: t.Schema, object: t.object(), message: "is no plain union of the tenant's own rows and of everybody's, as model " + t.model.name + " says",
				fix: fmt.Sprintf("-- make it: select %s, … from a tenanted table union all select %s as %[1]s, … from a table without tenants",
					ident(t.tenant), current),
			})
		}
	}
	return found
}

// judgeWritable judges the tables of shared rows, and those of models that embed scopes.ReadOnly.
func judgeWritable(s *state) []finding {
	protected := map[uint32]bool{}
	for _, r := range s.relations {
		m := s.modelOf(r)
		protected[r.OID] = m != nil && m.readOnly
	}
	for _, t := range s.tables {
		if t.isSharedView() {
			shared, _ := s.sharing(t)
			for _, r := range shared {
				protected[r.OID] = true
			}
		}
	}
	writes := []string{"INSERT", "UPDATE", "DELETE", "TRUNCATE"}
	var found []finding
	for _, on := range []string{"relation", "column"} {
		want := func(g grant) bool { return protected[g.OID] && slices.Contains(writes, g.Privilege) }
		found = append(found, granted(s.grants, on, want, func(g grant) finding {
			return finding{
				schema: s.placement(g.Schema), object: s.relation(g.OID).object(), message: s.has(g, ""), unsafe: !s.roles.isRuntime(g.Grantee),
				fix: fmt.Sprintf("revoke insert, update, delete, truncate on %s from %s;", ident(g.Schema, g.Name), s.grantee(g)),
			}
		})...)
	}
	return found
}
