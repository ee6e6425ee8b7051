package tenancy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"tenanted/app/config"
	"tenanted/migrations"
	"tenanted/models"
	"tenanted/scopes"
	"tenanted/scopes/citus"
	"tenanted/scopes/fleet"
)

// migrateWorkers is how many placements are worked on at a time.
const migrateWorkers = 4

// Setup creates what a configuration needs, as the owner: roles, databases, schemas, tables, rights. Its methods can be
// repeated.
type Setup struct {
	cfg   config.Config
	admin *pgx.ConnConfig
	say   func(string)
}

// NewSetup returns a Setup for cfg. The roles are created over admin, a superuser's connection to any database. If it is nil, the
// owner creates the runtime role, which it can if it may create roles. say is called with a line for each thing created. Without
// an owner NewSetup returns a *config.Error.
func NewSetup(cfg config.Config, admin *pgx.ConnConfig, say func(string)) (*Setup, error) {
	if cfg.OwnerConn() == nil {
		return nil, &config.Error{Variable: "PGOWNER", Reason: "is not set: name the role that owns the tables, which migrates and loads them"}
	}
	return &Setup{cfg: cfg, admin: admin, say: say}, nil
}

// Run creates everything that is missing and migrates all placements to the newest version. It reports what it did.
func (s *Setup) Run(ctx context.Context) error {
	if err := s.Base(ctx); err != nil {
		return err
	}
	placements, err := s.Placements(ctx)
	if err != nil {
		return err
	}
	return s.Migrate(ctx, placements, Migrate{Report: func(r migrations.Result, _ fleet.Progress) { s.sayMigrated(r) }})
}

// Base creates the roles, the default database and the directory in it. It refuses a database that was set up for another
// configuration.
func (s *Setup) Base(ctx context.Context) error {
	conn, err := s.ownerConn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if s.admin == nil {
		if err := s.ensureRole(ctx, conn, s.cfg.User, s.cfg.Runtime().Password, ""); err != nil {
			return err
		}
	}
	if err := s.refuseOther(ctx, conn); err != nil {
		return err
	}
	if err := s.refuseSchemasOnCitus(ctx, conn); err != nil {
		return err
	}
	result := s.up(ctx, controlTarget(s.cfg))
	if result.Err != nil {
		return result.Err
	}
	s.sayMigrated(result)
	return s.claim(ctx, conn)
}

// refuseOther refuses a database of another configuration. It runs before anything is changed.
func (s *Setup) refuseOther(ctx context.Context, conn *pgx.Conn) error {
	err := sameConfiguration(ctx, s.cfg, conn)
	if _, notReady := errors.AsType[*NotReadyError](err); notReady {
		return nil // not set up yet
	}
	return err
}

// refuseSchemasOnCitus: Citus would keep each tenant's schema on the coordinator.
func (s *Setup) refuseSchemasOnCitus(ctx context.Context, conn *pgx.Conn) error {
	if s.cfg.Strategy != config.MultipleSchemas {
		return nil
	}
	installed, err := citus.Installed(ctx, conn)
	if err == nil && installed {
		err = &config.Error{Variable: "DJANGO_CONFIGURATION", Value: string(s.cfg.Strategy),
			Reason: "cannot be used on a Citus cluster, whose workers would have none of the tenants' schemas: choose SingleSchema, or a database without the extension citus"}
	}
	return err
}

// claim writes the configuration into the database. Of two that do so at once one is first, and the other sees it.
func (s *Setup) claim(ctx context.Context, conn *pgx.Conn) error {
	_, err := conn.Exec(ctx, "insert into control.deployment (configuration, made_in) select $1, "+here+" on conflict do nothing", string(s.cfg.Strategy))
	if err != nil {
		return fmt.Errorf("write the configuration into database %q: %w", s.cfg.Database, err)
	}
	return sameConfiguration(ctx, s.cfg, conn)
}

// stored returns a placement's database as the directory stores it: null for the default database, so that it can be copied and
// renamed.
func (s *Setup) stored(p scopes.Placement) *string {
	if p.InSchema("") == s.cfg.Default() {
		return nil
	}
	return &p.Database
}

// Placements returns the placements of all tenants in the directory except those being dropped, and the shared one, even if no
// tenant has it.
func (s *Setup) Placements(ctx context.Context) ([]scopes.Placement, error) {
	conn, err := connect(ctx, s.cfg.OwnerConn())
	if err != nil {
		return nil, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	rows, _ := conn.Query(ctx, "select "+placementColumns+" from control.tenants where state <> $1 group by "+placementColumns+" order by min(id)", StateDropping)
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[scopes.Placement])
	if err != nil {
		return nil, fmt.Errorf("read the directory of database %q: %w", s.cfg.Database, err)
	}
	if shared, ok := s.cfg.SharedPlacement(); ok && !slices.Contains(all, shared) {
		all = append([]scopes.Placement{shared}, all...)
	}
	return all, nil
}

// Analyze vacuums and analyzes the placements' tables. Autovacuum would do so too, but later; until then the planner takes loaded
// tables for empty ones.
func (s *Setup) Analyze(ctx context.Context, placements []scopes.Placement) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(migrateWorkers)
	for _, placement := range placements {
		group.Go(func() error {
			conn, err := Connect(ctx, s.cfg, config.AsOwner, placement)
			if err != nil {
				return err
			}
			defer conn.Close(context.WithoutCancel(ctx))
			_, err = conn.Exec(ctx, "vacuum (analyze) "+strings.Join(tables(placement.Schema), ", "))
			return err
		})
	}
	return group.Wait()
}

// tables returns the qualified names of a placement's tables.
func tables(schema string) []string {
	var names []string
	for _, table := range models.Tables() {
		names = append(names, pgx.Identifier{schema, table.Name}.Sanitize())
	}
	return names
}

// placementSets are the sets of migrations that make placements, in their order.
var placementSets = []migrations.Set{migrations.Tenant, migrations.Shared}

// setsOf returns the sets that make one placement.
func setsOf(cfg config.Config, p scopes.Placement) []migrations.Set {
	if cfg.Shared(p) {
		return placementSets
	}
	return placementSets[:1]
}

// up migrates a target to the newest version. If the owner lacks the rights, the error is a *SQLError.
func (s *Setup) up(ctx context.Context, target migrations.Target) migrations.Result {
	server, err := s.cfg.ServerOf(target.Placement)
	if err != nil {
		return migrations.Result{Target: target, Err: &migrations.Error{Placement: target.Placement, Err: err}}
	}
	owner, err := server.Conn(config.AsOwner, target.Database)
	if err != nil {
		return migrations.Result{Target: target, Err: err}
	}
	return s.explained(ctx, migrations.Runner{Owner: owner, Runtime: server.User}.Up(ctx, target))
}

// explained replaces the error of a migration for which the owner lacks rights by a *SQLError.
func (s *Setup) explained(ctx context.Context, r migrations.Result) migrations.Result {
	if code(r.Err) == codeNoPermission {
		r.Err = cmp.Or(s.mayMake(ctx, r.Placement), r.Err)
	}
	return r
}

func (s *Setup) sayMigrated(r migrations.Result) {
	if r.Err == nil && r.From != r.To {
		s.say(fmt.Sprintf("migrated %s to version %d", r.Target, r.To))
	}
}

// DatabasePlacements are the schemas of a database that are tenants' placements.
type DatabasePlacements struct {
	Database scopes.Placement // without a schema
	Schemas  []string
}

// ByDatabase groups placements by database, in their order. The default database comes first, even without placements.
func ByDatabase(cfg config.Config, placements []scopes.Placement) []DatabasePlacements {
	databases := []DatabasePlacements{{Database: cfg.Default()}}
	at := map[scopes.Placement]int{cfg.Default(): 0}
	for _, p := range placements {
		database := p.InSchema("")
		i, known := at[database]
		if !known {
			i = len(databases)
			at[database] = i
			databases = append(databases, DatabasePlacements{Database: database})
		}
		databases[i].Schemas = append(databases[i].Schemas, p.Schema)
	}
	return databases
}
