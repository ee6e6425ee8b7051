package cli

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"

	"github.com/jackc/pgx/v5"
	"gorm.io/gorm"

	"tenanted/app/config"
	"tenanted/app/tenancy"
	"tenanted/models"
	"tenanted/scopes"
	"tenanted/scopes/audit"
	"tenanted/scopes/session"
)

// The layers that only running statements shows; scopes/audit looks at the others.
const (
	layerScope   audit.Layer = "scope (probed)"
	layerSession audit.Layer = "session (probed)"
	layerRLS     audit.Layer = "row-level security (probed)"
)

// probe runs statements as the application would, and as somebody who gets round it would, and adds what came of it
// to the reports. It reads only.
func probe(ctx context.Context, cfg config.Config, reports []audit.Report) error {
	app, err := tenancy.Open(ctx, cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer app.Close()
	tenants, err := tenantsByPlacement(ctx, cfg, app.Directory)
	if err != nil {
		return err
	}
	for i := range reports {
		report := &reports[i]
		report.Checks = append(report.Checks, probeScope(ctx, app), probeSession(ctx, app))
		for _, schema := range report.Schemas {
			placement := scopes.Placement{Database: report.Database, Schema: schema}
			report.Checks = append(report.Checks, probeRLS(ctx, cfg, app, placement))
			if tenant, ok := tenants[placement]; ok {
				report.Checks = append(report.Checks, probeCarried(ctx, app, tenant))
			}
		}
	}
	return nil
}

// tenantsByPlacement returns one tenant that is served in each placement, as far as we may know them.
func tenantsByPlacement(ctx context.Context, cfg config.Config, directory *tenancy.Directory) (map[scopes.Placement]scopes.Tenant, error) {
	tenants := map[scopes.Placement]scopes.Tenant{}
	if cfg.Owner == "" {
		return tenants, nil
	}
	entries, err := directory.List(ctx, 0)
	for _, entry := range entries {
		if entry.State == tenancy.StateActive {
			tenants[entry.Placement] = entry.Tenant
		}
	}
	return tenants, err
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

// unprobed is a defect too: what could not be tried is not known to be in force.
func unprobed(check audit.Check, err error) audit.Check {
	judge(&check, false, "", fmt.Sprintf("could not be tried: %v", err), "nobody knows whether the layer is in force")
	return check
}

// probeRLS reads every table as the runtime role, past the program's own layers and without a tenant.
func probeRLS(ctx context.Context, cfg config.Config, app *tenancy.Tenancy, placement scopes.Placement) audit.Check {
	check := audit.Check{ID: "probe-rls", Layer: layerRLS, Schema: placement.Schema, Object: "schema " + placement.Schema}
	conn, err := tenancy.Connect(ctx, cfg.Runtime(), placement.Database)
	if err != nil {
		return unprobed(check, err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	seen := ""
	for _, model := range models.All() {
		statement := &gorm.Statement{DB: app.DB}
		if err := statement.Parse(model); err != nil {
			return unprobed(check, err)
		}
		table := pgx.Identifier{placement.Schema, statement.Table}.Sanitize()
		var exists bool
		if err := conn.QueryRow(ctx, "select exists (select from "+table+")").Scan(&exists); err != nil {
			return unprobed(check, err)
		}
		if exists {
			seen += " " + statement.Table
		}
	}
	judge(&check, seen == "", "without a tenant the runtime role sees no row",
		"without a tenant the runtime role sees rows of"+seen, "psql and injected SQL read every tenant's rows")
	return check
}

// probeCarried asks the server, over the program's own connection, for whom and where it works, and whether it sees
// anyone else's account.
func probeCarried(ctx context.Context, app *tenancy.Tenancy, tenant scopes.Tenant) audit.Check {
	check := audit.Check{ID: "probe-carried", Layer: layerSession, Schema: tenant.Schema, Object: fmt.Sprintf("a statement of %v", tenant)}
	var id, database, schema sql.NullString
	var others int
	err := app.SQL().QueryRowContext(scopes.WithTenant(ctx, tenant), `
		select current_setting($1, true), current_database(), current_schema(), (select count(*) from accounts where id <> $2)`,
		session.Setting, int64(tenant.ID)).Scan(&id, &database, &schema, &others)
	if err != nil {
		return unprobed(check, err)
	}
	place := scopes.Placement{Database: database.String, Schema: schema.String}
	judge(&check, id.String == fmt.Sprint(tenant.ID) && place == tenant.Placement && others == 0,
		"carries the tenant to its placement, and sees no other account",
		fmt.Sprintf("works for tenant %q in %s and sees %d other accounts", id.String, place, others),
		"a request is answered with another tenant's data")
	return check
}
