package audit

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// rewrite is a rewrite rule, or a view's own rule, with a relation that it refers to.
type rewrite struct {
	Relation uint32 // the view, or the table with the rule
	Name     string
	Touches  uint32
}

// returnRule is PostgreSQL's name for the rule that defines a view.
const returnRule = "_RETURN"

func (s *state) readRewrites(ctx context.Context, tx pgx.Tx) error {
	const query = `
		select distinct r.ev_class, r.rulename, d.refobjid
		from pg_rewrite r join pg_depend d on d.classid = 'pg_rewrite'::regclass and d.objid = r.oid and d.refclassid = 'pg_class'::regclass
		where r.ev_class = any ($1) and (r.rulename <> '_RETURN' or d.refobjid <> r.ev_class)
		order by 1, 2, 3`
	list, err := collect[rewrite](ctx, tx, "views and rules", query, s.oids())
	s.rewrites = list
	s.findTouching()
	return err
}

// findTouching marks the relations through which tenanted rows can be read: the tenanted tables with their parts, the views over
// them, the views over those, and so on.
func (s *state) findTouching() {
	s.touching = map[uint32]bool{}
	for _, t := range s.tables {
		s.touching[t.OID] = true
		for _, part := range s.parts[t] {
			s.touching[part.OID] = true
		}
	}
	for grown := true; grown; {
		grown = false
		for _, w := range s.rewrites {
			if s.touching[w.Touches] && w.Name == returnRule && !s.touching[w.Relation] {
				s.touching[w.Relation], grown = true, true
			}
		}
	}
}

// views returns the views, or materialised views, through which tenanted rows can be read.
func (s *state) views(kind string) []*relation {
	var list []*relation
	for _, r := range s.relations {
		if r.Kind == kind && s.touching[r.OID] && !r.Extension {
			list = append(list, r)
		}
	}
	return list
}

func judgeViews(s *state) []finding {
	var found []finding
	for _, r := range s.views("v") {
		if r.Invoker {
			continue
		}
		fix := "alter view " + r.sql() + " set (security_invoker = true);"
		if s.server.version < 150000 {
			fix = "drop view " + r.sql() + "; -- security_invoker needs PostgreSQL 15"
		}
		found = append(found, s.around(r, "is a view over tenanted tables without security_invoker", fix))
	}
	return found
}

func judgeMaterialised(s *state) []finding {
	var found []finding
	for _, r := range s.views("m") {
		found = append(found, s.around(r, "is a materialised view over tenanted tables", "drop materialized view "+r.sql()+";"))
	}
	return found
}

// around returns a finding about a relation that bypasses the policies.
func (s *state) around(r *relation, message, fix string) finding {
	if s.runtimeMay(r, rowRights...) {
		message += ", and the runtime role has rights on it"
	}
	return finding{schema: s.placement(r.Schema), object: r.object(), allow: r.String(), message: message, fix: fix}
}

func judgeRules(s *state) []finding {
	var found []finding
	seen := map[string]bool{}
	for _, w := range s.rewrites {
		r := s.relation(w.Relation)
		id := fmt.Sprint(w.Relation, " ", w.Name)
		if w.Name == returnRule || r.Extension || seen[id] || !s.touching[w.Touches] && !s.touching[w.Relation] {
			continue
		}
		seen[id] = true
		found = append(found, finding{
			schema: s.placement(r.Schema), object: "rule " + w.Name + " on " + r.String(), allow: r.String(),
			message: "touches tenanted tables", fix: "drop rule " + ident(w.Name) + " on " + r.sql() + ";",
		})
	}
	return found
}

// judgeForeign finds foreign tables that seem to show tenanted rows: by a tenant column, or by the name of the remote table.
func judgeForeign(s *state) []finding {
	var found []finding
	for _, r := range s.relations {
		if r.Kind != "f" || r.Extension || s.tenantTable(r.OID) != nil {
			continue
		}
		why := s.tenantMark(r)
		for _, t := range s.tables {
			if why == "" && r.Remote == t.Name {
				why = "stands for a table called " + r.Remote
			}
		}
		if why != "" {
			found = append(found, s.around(r, "is a foreign table that "+why, "drop foreign table "+r.sql()+";"))
		}
	}
	return found
}

type publication struct {
	Name   string
	Schema string
	Table  string
}

func (s *state) readPublications(ctx context.Context, tx pgx.Tx) error {
	var err error
	s.publications, err = collect[publication](ctx, tx, "publications",
		"select pubname, schemaname, tablename from pg_publication_tables order by 1, 2, 3")
	return err
}

func judgePublications(s *state) []finding {
	tables := map[string][]string{}
	var names []string
	for _, p := range s.publications {
		for _, r := range s.relations {
			if r.Schema == p.Schema && r.Name == p.Table && s.touching[r.OID] {
				if tables[p.Name] == nil {
					names = append(names, p.Name)
				}
				tables[p.Name] = append(tables[p.Name], r.String())
			}
		}
	}
	var found []finding
	for _, name := range names {
		found = append(found, finding{
			status: Note, object: "publication " + name, message: "sends " + strings.Join(tables[name], ", "),
			fix: "drop publication " + ident(name) + ";",
		})
	}
	return found
}
