package cli

import (
	"context"
	"fmt"
	"strings"

	"tenanted/app/tenancy"
	"tenanted/app/web"
	"tenanted/models"
	"tenanted/scopes"
	"tenanted/scopes/audit"
	"tenanted/scopes/session"
)

// Explain implements web.Explainer: what check finds, narrowed to where the tenant's rows are, and what was sent for its last
// page.
func (e *explainer) Explain(ctx context.Context) (web.Explanation, error) {
	tenant, err := scopes.FromContext(ctx)
	if err != nil {
		return web.Explanation{}, err
	}
	report, err := auditOne(ctx, e.cfg, tenancy.DatabasePlacements{Database: tenant.Placement.InSchema(""), Schemas: []string{tenant.Schema}})
	if err != nil {
		return web.Explanation{}, err
	}
	nobody := scopes.WithTenant(ctx, scopes.Tenant{})
	report.Checks = append(report.Checks, probeScope(nobody, e.app), probeSession(nobody, e.app), probeTenant(ctx, e.app, tenant))
	report.Checks = append(report.Checks, probeRLS(ctx, e.cfg, e.app, report)...)
	x := web.Explanation{Configuration: string(e.cfg.Strategy), Database: tenant.Database, Schema: tenant.Schema, Others: e.others(ctx, tenant)}
	did, err := e.did(ctx, tenant, &x)
	if err != nil {
		return x, err
	}
	for _, name := range []string{"Scope", "Session", "Keys", "Row-level security"} {
		x.Layers = append(x.Layers, layerOf(name, report, did[name]))
	}
	return x, nil
}

// layerOf sums a report's checks of a layer up. Those of tables in other schemas are of other tenants.
func layerOf(name string, report audit.Report, did deed) web.Layer {
	layer := web.Layer{Name: name, Problems: []string{}, Did: did.text, Code: did.code}
	for _, c := range report.Checks {
		if !strings.EqualFold(strings.TrimSuffix(string(c.Layer), " (probed)"), name) {
			continue
		}
		switch c.Status {
		case audit.OK:
			layer.Checks++
		case audit.Defect, audit.NotChecked:
			layer.Problems = append(layer.Problems, c.Object+": "+c.Message)
		}
	}
	return layer
}

// deed is what a layer did for a page.
type deed struct{ text, code string }

// did says what the layers did for the tenant's last page, and puts that into the explanation.
func (e *explainer) did(ctx context.Context, tenant scopes.Tenant, x *web.Explanation) (map[string]deed, error) {
	setting, visible, err := e.asTenant(ctx)
	if err != nil {
		return nil, err
	}
	conditions, joins := 0, 0
	if page, ok := e.last.Get(tenant.Key()); ok {
		x.Page = page.page
		x.Statements, conditions, joins = page.statements()
	}
	return map[string]deed{
		"Scope":              {fmt.Sprintf("added %s in %s:", counted(conditions, "condition"), counted(len(x.Statements), "statement")), "account_id = " + tenant.Key()},
		"Session":            {"sets this for each transaction, and nothing is left after it:", session.Setting + " = " + setting},
		"Keys":               {counted(joins, "join") + " by keys that begin with the account:", "(account_id, id)"},
		"Row-level security": {e.visible(ctx, tenant, visible), ""},
	}, nil
}

func counted(n int, noun string) string {
	if n == 1 {
		return "one " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// asTenant asks the server, over the program's own connection, for whom it works and how many subtasks there are for it.
func (e *explainer) asTenant(ctx context.Context) (setting string, visible int64, err error) {
	const ask = "select current_setting($1), (select count(*) from (select from subtasks limit $2) counted)"
	return setting, visible, e.app.SQL().QueryRowContext(ctx, ask, session.Setting, models.CountLimit+1).Scan(&setting, &visible)
}

// visible compares with what there is, where somebody may see that.
func (e *explainer) visible(ctx context.Context, tenant scopes.Tenant, visible int64) string {
	text := "this tenant sees " + atMost(visible) + " subtasks"
	if !e.cfg.ListsAllTenants() || !e.cfg.Shared(tenant.Placement) {
		return text + ", as raw SQL too"
	}
	all := scopes.AllTenants(ctx, "the number of subtasks over all tenants, on the page /isolation/")
	var there int64
	const ask = "select count(*) from (select from subtasks limit $1) counted"
	if err := e.app.SQL().QueryRowContext(all, ask, models.CountLimit+1).Scan(&there); err != nil {
		return text
	}
	return text + " of " + atMost(there) + " in the table, with raw SQL too"
}

func atMost(n int64) string {
	if n > models.CountLimit {
		return fmt.Sprintf("more than %d", models.CountLimit)
	}
	return fmt.Sprint(n)
}

// others returns how many other tenants have the same placement; below zero where nobody may list them.
func (e *explainer) others(ctx context.Context, tenant scopes.Tenant) int {
	entries, err := e.app.Directory.List(ctx, tenancy.ByID, 0)
	n := -1
	for _, entry := range entries {
		if entry.Placement == tenant.Placement {
			n++
		}
	}
	if err != nil {
		return -1
	}
	return n
}
