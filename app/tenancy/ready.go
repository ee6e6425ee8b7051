package tenancy

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"tenanted/app/config"
	"tenanted/migrations"
	"tenanted/models"
	"tenanted/scopes"
	"tenanted/scopes/audit"
)

// readyWorkers bounds the databases that are looked at simultaneously.
const readyWorkers = 4

// Ready reports whether cfg's databases can be served: set up for this configuration, at the newest version,
// with a runtime role and tables that row-level security binds. It looks as the runtime role and changes
// nothing. Errors are *NotReadyError, *NewerError, *ConfigurationError, *audit.DefectError, and those of a
// connection.
func Ready(ctx context.Context, cfg config.Config) error {
	inDefault, elsewhere := []string{}, []string{}
	for _, placement := range cfg.Placements() {
		if placement.Database == cfg.Database {
			inDefault = append(inDefault, placement.Schema)
		} else {
			elsewhere = append(elsewhere, placement.Database)
		}
	}
	if err := defaultReady(ctx, cfg, inDefault); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(readyWorkers)
	for _, database := range elsewhere {
		group.Go(func() error { return tenantReady(ctx, cfg, database) })
	}
	return group.Wait()
}

// DirectoryReady is [Ready] for the directory alone, whatever has become of the tenants' placements.
func DirectoryReady(ctx context.Context, cfg config.Config) error {
	conn, _, err := openDefault(ctx, cfg)
	if err != nil {
		return err
	}
	return conn.Close(context.WithoutCancel(ctx))
}

// defaultReady looks at the default database: its directory and the placements in it.
func defaultReady(ctx context.Context, cfg config.Config, schemas []string) error {
	conn, versions, err := openDefault(ctx, cfg)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if cfg.Strategy == config.MultipleSchemas {
		schemas = tenantSchemas(versions)
	}
	return placementsReady(ctx, cfg, conn, schemas, versions)
}

// openDefault connects to the default database as the runtime role, and returns the versions there, if its directory is
// current and of this configuration.
func openDefault(ctx context.Context, cfg config.Config) (*pgx.Conn, map[migrations.Target]int64, error) {
	conn, err := Connect(ctx, cfg.Runtime(), cfg.Database)
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
func defaultVersions(ctx context.Context, cfg config.Config, conn *pgx.Conn) (map[migrations.Target]int64, error) {
	versions, err := migrations.Versions(ctx, conn)
	if err != nil {
		return nil, err
	}
	if err := current(conn, controlTarget(cfg), versions); err != nil {
		return nil, err
	}
	return versions, sameConfiguration(ctx, cfg, conn)
}

// controlTarget is the directory, in the default database.
func controlTarget(cfg config.Config) migrations.Target {
	return migrations.Target{Set: migrations.Control, Placement: scopes.Placement{Database: cfg.Database, Schema: config.ControlSchema}}
}

// tenantSchemas are those that the runtime role may use: it cannot list the directory.
func tenantSchemas(versions map[migrations.Target]int64) (schemas []string) {
	for target := range versions {
		if target.Set == migrations.Tenant {
			schemas = append(schemas, target.Schema)
		}
	}
	slices.Sort(schemas)
	return schemas
}

func tenantReady(ctx context.Context, cfg config.Config, database string) error {
	conn, err := Connect(ctx, cfg.Runtime(), database)
	if err != nil {
		return notReady(cfg, err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	versions, err := migrations.Versions(ctx, conn)
	if err != nil {
		return err
	}
	return placementsReady(ctx, cfg, conn, []string{config.PublicSchema}, versions)
}

// Fleet returns the placements that are in use: with an owner those of the configuration and of the directory's tenants,
// save those that are just being created; without one those of the configuration or, in MultipleSchemas, those
// that the runtime role has rights in. It refuses a default database that is not set up, with the errors of [Ready].
func Fleet(ctx context.Context, cfg config.Config) ([]scopes.Placement, error) {
	conn, versions, err := openDefault(ctx, cfg)
	if err != nil {
		return nil, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if setup, err := NewSetup(cfg, nil, func(string) {}); err == nil {
		return setup.placements(ctx, func(p scopes.Placement) bool {
			_, granted := versions[migrations.Target{Set: migrations.Tenant, Placement: p}]
			return p.Database == cfg.Database && granted
		})
	}
	fleet := cfg.Placements()
	if cfg.Strategy == config.MultipleSchemas {
		for _, schema := range tenantSchemas(versions) {
			fleet = append(fleet, scopes.Placement{Database: cfg.Database, Schema: schema})
		}
	}
	return fleet, nil
}

func placementsReady(ctx context.Context, cfg config.Config, conn *pgx.Conn, schemas []string, versions map[migrations.Target]int64) error {
	for _, schema := range schemas {
		for _, set := range placementSets(cfg) {
			placement := scopes.Placement{Database: conn.Config().Database, Schema: schema}
			if err := current(conn, migrations.Target{Set: set, Placement: placement}, versions); err != nil {
				return err
			}
		}
	}
	// Without a placement the role is judged all the same.
	report, err := audit.Startup(ctx, conn, AuditConfig(cfg, conn.Config().Database), schemas...)
	if err != nil {
		return err
	}
	return report.Err()
}

// AuditConfig says what scopes/audit measures one of our databases against.
func AuditConfig(cfg config.Config, database string) audit.Config {
	c := audit.Config{
		Models: models.All(), Runtime: cfg.User, Owner: cfg.Owner,
		Private: []string{"control.tenants", "control.deployment"},
		Require: []audit.Requirement{{Table: "users", Unique: []string{"account_id", "email"}}},
	}
	if database == cfg.Database {
		c.Require = append(c.Require,
			audit.Requirement{Table: config.ControlSchema + ".tenants", Unique: []string{"slug"}},
			audit.Requirement{Table: config.ControlSchema + ".tenants", Trigger: changesChannel})
	}
	return c
}

// current compares a target's version with the newest. A target that is not among the versions is missing, or the
// role has no rights there yet.
func current(conn *pgx.Conn, target migrations.Target, versions map[migrations.Target]int64) error {
	has, ok := versions[target]
	switch newest := target.Set.Newest(); {
	case !ok && target.Set == migrations.Control:
		return &NotReadyError{target.Database, "is not set up"}
	case !ok:
		return &NotReadyError{target.Database, "has no tables for role " + conn.Config().User + " in schema " + target.Schema}
	case has < newest:
		return &NotReadyError{target.Database, "is outdated in schema " + target.Schema}
	case has > newest:
		return &NewerError{target.Database, target.Schema, has, newest}
	}
	return nil
}

// sameConfiguration refuses a database that was set up for another configuration.
func sameConfiguration(ctx context.Context, cfg config.Config, conn *pgx.Conn) error {
	var was *string
	err := conn.QueryRow(ctx, "select control.configuration()").Scan(&was)
	switch {
	case err != nil:
		return err
	case was == nil:
		return &NotReadyError{cfg.Database, "is not set up"}
	case *was != string(cfg.Strategy):
		return &ConfigurationError{cfg.Database, config.Strategy(*was), cfg.Strategy}
	}
	return nil
}

// notReady says of a failed connection that the database is not ready, where that is why: the role is not let in, or
// not there, which on the private server is the same code as a refusal by pg_hba.conf elsewhere.
func notReady(cfg config.Config, err error) error {
	failed, ok := errors.AsType[*connectError](err)
	if !ok {
		return err
	}
	switch c := code(err); {
	case c == codeNoPermission, c == codeNoRole && cfg.Private():
		return &NotReadyError{failed.to.Database, "is not set up for role " + failed.to.User}
	case c == codeNoRole, c == codeWrongPassword: // servers do not tell which it is
		return fmt.Errorf("%w; if the role does not exist yet, `tenanted migrate` makes it", err)
	}
	return err
}
