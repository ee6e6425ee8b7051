package tenancy

import (
	"context"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"tenanted/app/config"
	"tenanted/migrations"
	"tenanted/models"
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

// defaultReady looks at the default database: its directory and the placements in it.
func defaultReady(ctx context.Context, cfg config.Config, schemas []string) error {
	conn, err := connectReady(ctx, cfg, cfg.Database)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	versions, err := migrations.Versions(ctx, conn)
	if err != nil {
		return err
	}
	if err := current(conn, migrations.Control, config.ControlSchema, versions); err != nil {
		return err
	}
	if err := sameConfiguration(ctx, cfg, conn); err != nil {
		return err
	}
	if cfg.Strategy == config.MultipleSchemas { // whatever the role may use: it cannot list the directory
		delete(versions, config.ControlSchema)
		schemas = slices.Sorted(maps.Keys(versions))
	}
	return placementsReady(ctx, cfg, conn, schemas, versions)
}

func tenantReady(ctx context.Context, cfg config.Config, database string) error {
	conn, err := connectReady(ctx, cfg, database)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	versions, err := migrations.Versions(ctx, conn)
	if err != nil {
		return err
	}
	return placementsReady(ctx, cfg, conn, []string{config.PublicSchema}, versions)
}

func placementsReady(ctx context.Context, cfg config.Config, conn *pgx.Conn, schemas []string, versions map[string]int64) error {
	for _, schema := range schemas {
		if err := current(conn, migrations.Tenant, schema, versions); err != nil {
			return err
		}
	}
	if len(schemas) == 0 {
		return nil // no tenant yet
	}
	report, err := audit.Startup(ctx, conn, AuditConfig(cfg), schemas...)
	if err != nil {
		return err
	}
	return report.Err()
}

// AuditConfig says what scopes/audit measures our databases against.
func AuditConfig(cfg config.Config) audit.Config {
	return audit.Config{Models: models.All(), Runtime: cfg.User, Owner: cfg.Owner}
}

// current compares a schema's version with the newest. A schema that is not among the versions is missing, or the
// role has no rights there yet.
func current(conn *pgx.Conn, set migrations.Set, schema string, versions map[string]int64) error {
	database := conn.Config().Database
	has, ok := versions[schema]
	switch newest := set.Newest(); {
	case !ok && set == migrations.Control:
		return &NotReadyError{database, "is not set up"}
	case !ok:
		return &NotReadyError{database, "has no tables for role " + conn.Config().User + " in schema " + schema}
	case has < newest:
		return &NotReadyError{database, "is outdated in schema " + schema}
	case has > newest:
		return &NewerError{database, schema, has, newest}
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

// connectReady connects as the runtime role. A database that does not exist is not ready; nor is one without
// the role, on the private server, where nothing else can be the matter.
func connectReady(ctx context.Context, cfg config.Config, database string) (*pgx.Conn, error) {
	to := cfg.Runtime()
	to.Database = database
	conn, err := connect(ctx, to)
	switch c := code(err); {
	case c == codeNoDatabase:
		return nil, &NotReadyError{database, "does not exist"}
	case c == codeNoRole && cfg.Private(), c == codeNoPermission:
		return nil, &NotReadyError{database, "is not set up for role " + cfg.User}
	}
	return conn, err
}
