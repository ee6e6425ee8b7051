package cli

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/jackc/pgx/v5"
	"gorm.io/gorm"

	"tenanted/app/config"
	"tenanted/app/tenancy"
	"tenanted/models"
	"tenanted/scopes"
	"tenanted/scopes/audit"
	"tenanted/scopes/session"
)

// The layers that can only be checked by running statements; scopes/audit checks the others.
const (
	layerScope   audit.Layer = "scope (probed)"
	layerSession audit.Layer = "session (probed)"
	layerRLS     audit.Layer = "row-level security (probed)"

	layerDirectory audit.Layer = "directory"
)

// probe runs statements as the application does, and as an attacker who bypasses it would, and adds the results to the
// reports. It only reads.
func probe(ctx context.Context, cfg config.Config, reports []audit.Report) error {
	app, err := tenancy.Open(ctx, cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer app.Close()
	entries, err := app.Directory.List(ctx, tenancy.ByID, 0)
	reports[0].Checks = append(reports[0].Checks, probeScope(ctx, app), probeSession(ctx, app))
	reports[0].Checks = append(reports[0].Checks, directoryChecks(entries, err)...)
	defer excuse(reports, unfinished(entries))
	served := servedByPlacement(entries)
	for i := range reports {
		report := &reports[i]
		report.Checks = append(report.Checks, probeRLS(ctx, cfg, app, *report)...)
		for _, schema := range report.Schemas {
			if tenant, ok := served[in(*report, schema)]; ok {
				report.Checks = append(report.Checks, probeTenant(ctx, app, tenant))
			}
		}
	}
	return nil
}

// servedByPlacement returns, for each placement, one tenant that is served from it.
func servedByPlacement(entries []tenancy.Entry) map[scopes.Placement]scopes.Tenant {
	tenants := map[scopes.Placement]scopes.Tenant{}
	for _, entry := range entries {
		if entry.State == tenancy.StateActive {
			tenants[entry.Placement] = entry.Tenant
		}
	}
	return tenants
}

// unfinished returns the placements of which all tenants are still being created. A killed command leaves them so, and the
// next seed or migrate makes what is missing.
func unfinished(entries []tenancy.Entry) map[scopes.Placement]bool {
	placements := map[scopes.Placement]bool{}
	for _, entry := range entries {
		if entry.State == tenancy.StateCreating {
			placements[entry.Placement] = true
		}
	}
	for _, entry := range entries {
		if entry.State != tenancy.StateCreating {
			delete(placements, entry.Placement)
		}
	}
	return placements
}

// excuse turns the defects of unfinished placements into notes, since nobody is served from them.
func excuse(reports []audit.Report, placements map[scopes.Placement]bool) {
	for i := range reports {
		whole := i > 0 && len(reports[i].Schemas) > 0 // the whole database is unfinished; never the default one, which is first
		for _, schema := range reports[i].Schemas {
			whole = whole && placements[in(reports[i], schema)]
		}
		for j := range reports[i].Checks {
			check := &reports[i].Checks[j]
			wrong := check.Status == audit.Defect || check.Status == audit.NotChecked
			if wrong && (whole || placements[in(reports[i], check.Schema)]) {
				check.Status, check.Message = audit.Note, "the tenant is being created: "+check.Message
			}
		}
	}
}

// directoryChecks reports the tenants that are not served.
func directoryChecks(entries []tenancy.Entry, err error) (checks []audit.Check) {
	const id, object = "tenants", "the directory"
	switch {
	case err != nil:
		return []audit.Check{unchecked(id, layerDirectory, object, err)}
	case !slices.ContainsFunc(entries, func(e tenancy.Entry) bool { return e.State != tenancy.StateCreating }):
		checks = append(checks, unchecked(id, layerDirectory, object, errors.New("there is no tenant yet")))
	}
	served := 0
	for _, entry := range entries {
		if entry.State == tenancy.StateActive {
			served++
			continue
		}
		checks = append(checks, audit.Check{ID: id, Layer: layerDirectory, Object: entry.Tenant.String(), Status: audit.Note, Message: "is in state " + entry.State + ", and not served"})
	}
	if served == 0 {
		return checks
	}
	return append(checks, audit.Check{ID: id, Layer: layerDirectory, Object: object, Status: audit.OK, Message: fmt.Sprintf("%d tenants are served", served)})
}

// probeScope queries a tenanted model without a tenant, which must panic.
func probeScope(ctx context.Context, app *tenancy.Tenancy) (check audit.Check) {
	check = audit.Check{ID: "probe-scope", Layer: layerScope, Object: "the program's *gorm.DB"}
	defer func() {
		err, _ := recover().(error)
		_, refused := errors.AsType[*scopes.TenantMissingError](err)
		judge(&check, refused, "a query without a tenant panics",
			"a query without a tenant is not refused", "a handler that forgets the context reads whatever the other layers let through")
	}()
	var tasks []models.Task
	_ = app.DB.WithContext(ctx).Limit(1).Find(&tasks) // the panic is the answer
	return check
}

// probeSession runs raw SQL without a tenant, which must fail before it is sent.
func probeSession(ctx context.Context, app *tenancy.Tenancy) audit.Check {
	check := audit.Check{ID: "probe-session", Layer: layerSession, Object: "the program's *sql.DB"}
	_, err := app.SQL().ExecContext(ctx, "select 1")
	_, refused := errors.AsType[*scopes.TenantMissingError](err)
	judge(&check, refused, "raw SQL without a tenant is refused",
		"raw SQL without a tenant is sent to the server", "a statement that the scope does not see works without a tenant")
	return check
}

func judge(check *audit.Check, ok bool, good, bad, risk string) {
	check.Status, check.Message = audit.OK, good
	if !ok {
		check.Status, check.Message, check.Risk = audit.Defect, bad, risk
	}
}

// probeRLS reads every table of a database's placements as the runtime role, over a plain connection and without a tenant.
func probeRLS(ctx context.Context, cfg config.Config, app *tenancy.Tenancy, report audit.Report) (checks []audit.Check) {
	if len(report.Schemas) == 0 {
		return nil
	}
	conn, err := tenancy.Connect(ctx, cfg, config.AsRuntime, in(report, ""))
	if err != nil {
		return []audit.Check{unchecked("probe-rls", layerRLS, "database "+in(report, "").String(), err)}
	}
	defer conn.Close(context.WithoutCancel(ctx))
	for _, schema := range report.Schemas {
		check := audit.Check{ID: "probe-rls", Layer: layerRLS, Schema: schema, Object: "schema " + schema}
		if seen, err := seenWithoutTenant(ctx, conn, app, schema); err != nil {
			check.Status, check.Message = audit.NotChecked, err.Error()
		} else {
			judge(&check, seen == "", "without a tenant the runtime role sees no row",
				"without a tenant the runtime role sees rows of"+seen, "psql and injected SQL read every tenant's rows")
		}
		checks = append(checks, check)
	}
	return checks
}

// seenWithoutTenant returns the names of the tables in which conn sees rows.
func seenWithoutTenant(ctx context.Context, conn *pgx.Conn, app *tenancy.Tenancy, schema string) (seen string, err error) {
	for _, model := range models.All() {
		statement := &gorm.Statement{DB: app.DB}
		if err := statement.Parse(model); err != nil {
			return "", err
		}
		table := pgx.Identifier{schema, statement.Table}.Sanitize()
		var exists bool
		if err := conn.QueryRow(ctx, "select exists (select 1 from "+table+")").Scan(&exists); err != nil {
			return "", err
		}
		if exists {
			seen += " " + statement.Table
		}
	}
	return seen, nil
}

// probeTenant asks the server, over the program's own connection, which tenant and schema are set and whether other accounts
// are visible.
func probeTenant(ctx context.Context, app *tenancy.Tenancy, tenant scopes.Tenant) audit.Check {
	check := audit.Check{ID: "probe-tenant", Layer: layerSession, Schema: tenant.Schema, Object: fmt.Sprintf("a statement of %v", tenant)}
	var id, database, schema sql.NullString
	var others int
	err := app.SQL().QueryRowContext(scopes.WithTenant(ctx, tenant), `
		select current_setting($1, true), current_database(), current_schema(), (select count(*) from accounts where id <> $2)`,
		session.Setting, models.AccountID(tenant)).Scan(&id, &database, &schema, &others)
	if err != nil {
		check.Status, check.Message = audit.NotChecked, err.Error()
		return check
	}
	place := scopes.Placement{Server: tenant.Server, Database: database.String, Schema: schema.String}
	judge(&check, id.String == tenant.Key() && place == tenant.Placement && others == 0,
		"works for the tenant in its placement, and sees no other account",
		fmt.Sprintf("works for tenant %q in %s and sees %d other accounts", id.String, place, others),
		"a request is answered with another tenant's data")
	return check
}
