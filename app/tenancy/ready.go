package tenancy

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"tenanted/app/config"
	"tenanted/migrations"
	"tenanted/models"
	"tenanted/scopes"
	"tenanted/scopes/audit"
	"tenanted/scopes/session"
)

// Ready reports whether cfg's default database can be served: it is set up for this configuration, with tables that this program
// can work with and a runtime role that is subject to row-level security. It checks as the runtime role and changes nothing.
// Placements of tenants' own are not checked here: see [Tenancy.Lookup]. Errors are *NotReadyError, *NewerError,
// *ConfigurationError, *audit.DefectError, and those of a connection.
func Ready(ctx context.Context, cfg config.Config) error {
	conn, versions, err := openDefault(ctx, cfg)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if shared, ok := cfg.SharedPlacement(); ok {
		return placementReady(ctx, cfg, conn, shared, versions)
	}
	return audited(ctx, cfg, conn, cfg.Default()) // the role, whatever tenants there are
}

// DirectoryReady is [Ready] for the directory only, without the shared tables.
func DirectoryReady(ctx context.Context, cfg config.Config) error {
	conn, _, err := openDefault(ctx, cfg)
	if err != nil {
		return err
	}
	return conn.Close(context.WithoutCancel(ctx))
}

// openDefault connects to the default database as the runtime role, and returns the versions there, if its directory is
// current and of this configuration.
func openDefault(ctx context.Context, cfg config.Config) (*pgx.Conn, map[migrations.Target]migrations.Version, error) {
	conn, err := Connect(ctx, cfg, config.AsRuntime, cfg.Default())
	if err != nil {
		return nil, nil, notReady(cfg, err)
	}
	versions, err := defaultVersions(ctx, cfg, conn)
	if err != nil {
		_ = conn.Close(context.WithoutCancel(ctx))
		return nil, nil, err
	}
	return conn, versions, nil
}

// defaultVersions returns the versions in the default database, if its directory is current and of this
// configuration.
func defaultVersions(ctx context.Context, cfg config.Config, conn *pgx.Conn) (map[migrations.Target]migrations.Version, error) {
	versions, err := migrations.Versions(ctx, conn, cfg.Default())
	if err != nil {
		return nil, err
	}
	if err := current(cfg, conn, controlTarget(cfg), versions); err != nil {
		return nil, err
	}
	return versions, sameConfiguration(ctx, cfg, conn)
}

// controlTarget is the directory, in the default database.
func controlTarget(cfg config.Config) migrations.Target {
	return migrations.Target{Set: migrations.Control, Placement: cfg.Default().InSchema(config.ControlSchema)}
}

// Fleet returns the placements of the directory's tenants, and the shared one. Without an owner the directory cannot be listed,
// and Fleet returns only the shared placement. For a default database that is not set up, the errors are those of [Ready].
func Fleet(ctx context.Context, cfg config.Config) ([]scopes.Placement, error) {
	if err := DirectoryReady(ctx, cfg); err != nil {
		return nil, err
	}
	if setup, err := NewSetup(cfg, nil, func(string) {}); err == nil {
		return setup.Placements(ctx)
	}
	if shared, ok := cfg.SharedPlacement(); ok {
		return []scopes.Placement{shared}, nil
	}
	return nil, nil
}

// placementReady checks one placement over a connection of the runtime role.
func placementReady(ctx context.Context, cfg config.Config, conn *pgx.Conn, p scopes.Placement, versions map[migrations.Target]migrations.Version) error {
	for _, set := range setsOf(cfg, p) {
		if err := current(cfg, conn, migrations.Target{Set: set, Placement: p}, versions); err != nil {
			return err
		}
	}
	return audited(ctx, cfg, conn, p, p.Schema)
}

func audited(ctx context.Context, cfg config.Config, conn *pgx.Conn, p scopes.Placement, schemas ...string) error {
	report, err := audit.Startup(ctx, conn, AuditConfig(cfg, p), schemas...)
	if err != nil {
		return err
	}
	return report.Err()
}

// AuditConfig returns what scopes/audit compares a placement's database with.
func AuditConfig(cfg config.Config, p scopes.Placement) audit.Config {
	server, _ := cfg.ServerOf(p) // if it is not configured, its database cannot be reached anyway
	c := audit.Config{
		Models: models.All(), Runtime: server.User, Owner: server.Owner,
		Private: []string{"control.tenants", "control.deployment", "control.domains", "control.former_slugs", "control.audit_log", "control.moves", "control.migration_log",
			"control.atomic_migrations", "control.placement_versions",
			"control.operators", "control.operator_sessions", "control.operator_attempts", "control.sign_in_links"},
		Require: []audit.Requirement{{Table: "users", Unique: []string{"account_id", "email"}}},
	}
	if p.InSchema("") == cfg.Default() {
		if shared, ok := cfg.SharedPlacement(); ok {
			c.Distributed = []string{shared.Schema}
		}
		c.Require = append(c.Require,
			audit.Requirement{Table: config.ControlSchema + ".tenants", Unique: []string{"slug"}},
			audit.Requirement{Table: config.ControlSchema + ".tenants", Trigger: "tenant_changes"})
	}
	return c
}

// current returns an error if a target's version is not the newest. A target that is not among the versions is missing, or the
// role has no rights there yet. A newer version is accepted if all changes since are additive.
func current(cfg config.Config, conn *pgx.Conn, target migrations.Target, versions map[migrations.Target]migrations.Version) error {
	has, ok := versions[target]
	switch newest := target.Set.Newest(); {
	case !ok && target.Set == migrations.Control:
		return unready(cfg, target.Placement, "is not set up")
	case !ok:
		return unready(cfg, target.Placement, "has no tables for role "+conn.Config().User+" in schema "+target.Schema)
	case has.Number < newest:
		return unready(cfg, target.Placement, "is outdated in schema "+target.Schema)
	case has.Number > newest && !migrations.Compatible(has.Comment, newest):
		return &NewerError{target.Placement, has.Number, newest}
	}
	return nil
}

// sameConfiguration refuses a database that was set up for another configuration.
func sameConfiguration(ctx context.Context, cfg config.Config, conn *pgx.Conn) error {
	d, err := readDeployment(ctx, conn)
	switch {
	case err != nil:
		return err
	case d.ID == "":
		return unready(cfg, cfg.Default(), "is not set up")
	case d.Configuration != string(cfg.Strategy):
		return &ConfigurationError{cfg.Database, config.Strategy(d.Configuration), cfg.Strategy}
	}
	return nil
}

// notReady turns the error of a failed connection into a *NotReadyError if the role is missing or not allowed to connect. The
// code for a missing role on the private server is also that of a refusal by pg_hba.conf on other servers.
func notReady(cfg config.Config, err error) error {
	failed, ok := errors.AsType[*session.ConnectError](err)
	if !ok {
		return err
	}
	switch c := code(err); {
	case c == codeNoPermission, c == codeNoRole && cfg.Private():
		return unready(cfg, cfg.Default(), "is not set up for role "+failed.Role())
	case c == codeNoRole, c == codeWrongPassword: // the codes do not distinguish a missing role
		return fmt.Errorf("%w; if the role does not exist yet, %s creates it", err, cfg.Command("migrate"))
	}
	return err
}
