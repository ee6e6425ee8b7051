package present

import (
	"encoding/json"
	"fmt"
	"strings"

	"tenanted/docs"
)

// Row is one criterion of the comparison, for each of [Strategies].
type Row struct {
	Criterion string
	Values    [3]string
}

// Strategies are the columns of the comparison, as DJANGO_CONFIGURATION names them.
func Strategies() [3]string { return [3]string{"SingleSchema", "MultipleSchemas", "MultipleDb"} }

// Matrix returns the comparison by the talk's criteria.
func Matrix() []Row {
	return []Row{
		{"a tenant is", [3]string{"rows", "a schema with its tables", "a database"}},
		{"simplicity", [3]string{"one set of tables; every query must be confined", "queries as for one tenant; a path to set", "queries as for one tenant; connections to route"}},
		{"isolation: if only row-level security fails", [3]string{"the scope and the keys still hold", "the same, and `search_path`", "the same, and the connection"}},
		{"isolation: raw SQL, session alone", [3]string{"sees every tenant's rows", "sees the tenant's schema", "sees the tenant's database"}},
		{"many tenants: what bends first", [3]string{"the tables' size: indexes begin with the tenant, so a tenant's page does not notice",
			"the catalog: every table and index is a relation the server must know; each connection's cache of them",
			"connections: a tenant whose turn comes needs one to its own database"}},
		{"all tenants in one query", [3]string{"yes, as the owner", "no", "no"}},
		{"administration: making a tenant", [3]string{"one row in the directory, one in `accounts`", "a schema, its tables and its migrations: tens of ms",
			"`create database`, then the same: a tenth of a second"}},
		{"deployment: migrating", [3]string{"once", "once a tenant, in parallel", "once a tenant, in parallel"}},
		{"back up or restore one tenant", [3]string{"`tenants export`, `import`", "the same, or `pg_dump -n`", "the same, or `pg_dump`"}},
		{"connections", [3]string{"one pool for all", "one pool for all", "one bound over all, but a connection serves one database"}},
		{"extensions, settings, locale by tenant", [3]string{"no", "no", "yes"}},
		{"a tenant on a server of its own, beside others", [3]string{"no", "no", "yes: `tenants move --server`"}},
	}
}

// measured is what of docs/benchmarks.json is compared.
type measured struct {
	Sizes      struct{ Conns int }
	Placements []placement
}

type placement struct {
	Configuration string
	Tenants       int
	Seconds       float64 `json:"seed_seconds"`
	One, All      struct{ Rate float64 }
	AppMB         float64 `json:"app_mb"`
	PgMB          float64 `json:"postgresql_mb"`
}

// Figures returns the comparison's measured rows. An error is one of docs/benchmarks.json.
func Figures() ([]Row, error) {
	var m measured
	if err := json.Unmarshal(docs.Benchmarks, &m); err != nil {
		return nil, fmt.Errorf("docs/benchmarks.json: %w", err)
	}
	if len(m.Placements) == 0 {
		return nil, fmt.Errorf("docs/benchmarks.json has no placements")
	}
	tenants := m.Placements[0].Tenants
	row := func(criterion string, text func(placement) string) Row {
		r := Row{criterion, [3]string{"not measured", "not measured", "not measured"}}
		for _, p := range m.Placements {
			for i, strategy := range Strategies() {
				if p.Configuration == strategy {
					r.Values[i] = text(p)
				}
			}
		}
		return r
	}
	return []Row{
		row(fmt.Sprintf("%d tenants in turn over %d connections, of the requests/s for one tenant", tenants, m.Sizes.Conns),
			func(p placement) string { return fmt.Sprintf("%.2f ×", p.All.Rate/p.One.Rate) }),
		row(fmt.Sprintf("making and seeding %d tenants", tenants), func(p placement) string { return fmt.Sprintf("%.1f s", p.Seconds) }),
		row("memory then, program and PostgreSQL", func(p placement) string {
			return fmt.Sprintf("%.0f and %s MB", p.AppMB, thousands(p.PgMB))
		}),
	}, nil
}

// thousands writes a number below a million.
func thousands(v float64) string {
	if v < 1000 {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%d,%03d", int(v+.5)/1000, int(v+.5)%1000)
}

// Markdown returns the comparison as a table for docs/strategies.md.
func Markdown() (string, error) {
	figures, err := Figures()
	if err != nil {
		return "", err
	}
	var b strings.Builder
	s := Strategies()
	fmt.Fprintf(&b, "| | %s | %s | %s |\n|---|---|---|---|\n", s[0], s[1], s[2])
	for _, r := range append(Matrix(), figures...) {
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", r.Criterion, r.Values[0], r.Values[1], r.Values[2])
	}
	return b.String(), nil
}
