package tenancy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"tenanted/app/config"
	"tenanted/migrations"
	"tenanted/models"
	"tenanted/scopes"
	"tenanted/scopes/citus"
	"tenanted/scopes/fleet"
)

// Status is how far a placement is.
type Status struct {
	migrations.Target
	Version int64  // 0: there is nothing
	State   string // "current", "outdated", "newer" than this program, "missing", or "unavailable"
	Err     error  // why it is unavailable
}

// Shards returns which nodes of a Citus cluster have how many shards of the shared tables, none if they are not distributed. With a
// tenant's slug it returns that tenant's shard.
func (s *Setup) Shards(ctx context.Context, slug string) (nodes []citus.Node, of *citus.Shard, err error) {
	shared, ok := s.cfg.SharedPlacement()
	if !ok {
		return nil, nil, nil
	}
	conn, err := connect(ctx, s.cfg.OwnerConn())
	if err != nil {
		return nil, nil, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	nodes, err = citus.NodesOf(ctx, conn, shared.Schema, models.Tables()[0].Name)
	if err != nil || len(nodes) == 0 || slug == "" {
		return nodes, nil, err
	}
	tenant := scopes.Tenant{Placement: shared}
	if err = conn.QueryRow(ctx, "select id from control.tenants where slug = $1 and database is null and schema = $2", slug, shared.Schema).Scan(&tenant.ID); err == nil {
		of, err = shardOf(ctx, conn, tenant)
	}
	if errors.Is(err, pgx.ErrNoRows) { // it has a placement of its own
		err = nil
	}
	return nodes, of, err
}

// Status returns the status of the directory and of every placement, as the owner sees them. It changes nothing. A tenant's
// database that cannot be looked at is "unavailable"; without the default one there is only an error.
func (s *Setup) Status(ctx context.Context) ([]Status, error) {
	control := controlTarget(s.cfg)
	versions, err := s.versions(ctx, s.cfg.Default())
	if err != nil {
		return nil, err
	}
	statuses := []Status{statusOf(control, versions)}
	var placements []scopes.Placement
	if versions[control].Number > 0 {
		if placements, err = s.Placements(ctx); err != nil {
			return nil, err
		}
	} else if shared, ok := s.cfg.SharedPlacement(); ok {
		placements = append(placements, shared)
	}
	groups := ByDatabase(s.cfg, placements)
	of := make([][]Status, len(groups))
	var looking errgroup.Group
	looking.SetLimit(migrateWorkers)
	for i, group := range groups {
		looking.Go(func() error {
			of[i] = s.statusIn(ctx, group, versions)
			return nil
		})
	}
	_ = looking.Wait() // errors are in the statuses
	return slices.Concat(statuses, slices.Concat(of...)), ctx.Err()
}

// statusIn is [Setup.Status] of one database's placements; the default database's versions are known.
func (s *Setup) statusIn(ctx context.Context, group DatabasePlacements, versions map[migrations.Target]migrations.Version) (statuses []Status) {
	var err error
	if group.Database != s.cfg.Default() {
		versions, err = s.versions(ctx, group.Database)
	}
	for _, target := range s.targets(group) {
		status := statusOf(target, versions)
		if err != nil {
			status = Status{Target: target, State: "unavailable", Err: err}
		}
		statuses = append(statuses, status)
	}
	return statuses
}

// Drifts compares those schemas that were migrated, of those that statuses are of, with what the migrations make: see [fleet.Drifts]. The
// control schemas of tenants' own databases are among the answers.
func (s *Setup) Drifts(ctx context.Context, statuses []Status) ([]fleet.Drift, error) {
	of := map[migrations.Set][]scopes.Placement{}
	for _, status := range statuses {
		if status.State == "missing" || status.Err != nil {
			continue
		}
		of[status.Set] = append(of[status.Set], status.Placement)
		own := placementTarget(status.InSchema(""))
		if own.InSchema("") != s.cfg.Default() && !slices.Contains(of[own.Set], own.Placement) {
			of[own.Set] = append(of[own.Set], own.Placement)
		}
	}
	var parts []fleet.Part
	for _, set := range []migrations.Set{migrations.Control, migrations.Tenant, migrations.Shared, migrations.Placement} {
		f, err := migrations.Measure(set, s.fleetConfig(ctx, fleet.Config{}), s.runtimeAt)
		if err != nil {
			return nil, err
		}
		parts = append(parts, fleet.Part{Fleet: f, Placements: of[set]})
	}
	return fleet.Drifts(ctx, parts...), ctx.Err()
}

// targets returns the sets of a database's placements.
func (s *Setup) targets(in DatabasePlacements) (targets []migrations.Target) {
	for _, schema := range in.Schemas {
		placement := in.Database.InSchema(schema)
		for _, set := range setsOf(s.cfg, placement) {
			targets = append(targets, migrations.Target{Set: set, Placement: placement})
		}
	}
	return targets
}

func statusOf(target migrations.Target, versions map[migrations.Target]migrations.Version) Status {
	version, exists := versions[target]
	state := versionState(target.Set, version.Number)
	if !exists {
		state = "missing"
	}
	return Status{Target: target, Version: version.Number, State: state}
}

// versions returns the versions in a database; a database that does not exist has none. On the private server
// the same goes for the owner.
func (s *Setup) versions(ctx context.Context, database scopes.Placement) (map[migrations.Target]migrations.Version, error) {
	conn, err := connectTo(ctx, s.cfg, config.AsOwner, database)
	if c := code(err); c == codeNoDatabase || c == codeNoRole && s.cfg.Private() && database == s.cfg.Default() {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return migrations.Versions(ctx, conn, database)
}

// Prepared is a transaction that an atomic migration of this deployment has left prepared, with its locks.
type Prepared struct {
	Server   string // by its name
	Operator string // who began the migration
	Decision string // "commit", "rollback", or "" if there is none yet
	fleet.Prepared
}

// String says what it is, and what ends it.
func (p Prepared) String() string {
	until := "undecided, so that it is rolled back unless the migration is under way"
	if p.Decision != "" {
		until = "decided: " + p.Decision
	}
	return fmt.Sprintf("%s: an atomic migration by %s left a transaction prepared at %s (%s): migrate ends it",
		scopes.Placement{Server: p.Server, Database: p.Database}, p.Operator, p.Since.UTC().Format(time.RFC3339), until)
}

// Prepared returns what atomic migrations have left prepared on the servers that statuses are of. A server that cannot be asked is left out.
func (s *Setup) Prepared(ctx context.Context, statuses []Status) (all []Prepared, err error) {
	control, err := connect(ctx, s.cfg.OwnerConn())
	if err != nil {
		return nil, err
	}
	defer control.Close(context.WithoutCancel(ctx))
	seen := map[string]bool{}
	for _, status := range statuses {
		if seen[status.Server] || status.Err != nil || status.State == "missing" {
			continue
		}
		seen[status.Server] = true
		of, err := s.preparedOn(ctx, control, status.Placement)
		if err != nil {
			return nil, err
		}
		all = append(all, of...)
	}
	return all, nil
}

func (s *Setup) preparedOn(ctx context.Context, control *pgx.Conn, at scopes.Placement) (ours []Prepared, err error) {
	conn, err := Connect(ctx, s.cfg, config.AsOwner, at)
	if err != nil {
		return nil, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	left, err := fleet.ListPrepared(ctx, conn)
	for _, p := range left {
		found := Prepared{Server: at.Server, Prepared: p}
		err := control.QueryRow(ctx, "select operator, coalesce(decision, '') from control.atomic_migrations where name = $1", p.Migration()).Scan(&found.Operator, &found.Decision)
		if err == nil {
			ours = append(ours, found)
		} else if !errors.Is(err, pgx.ErrNoRows) && code(err) != codeNoTable { // another deployment's
			return nil, err
		}
	}
	return ours, err
}

// PlacementOf returns where a tenant's rows are, by the directory. It returns a *scopes.TenantUnknownError if there is no
// such tenant. The directory must exist.
func (s *Setup) PlacementOf(ctx context.Context, slug string) (p scopes.Placement, err error) {
	conn, err := connect(ctx, s.cfg.OwnerConn())
	if err != nil {
		return p, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	err = conn.QueryRow(ctx, "select "+placementColumns+" from control.tenants where slug = $1", slug).Scan(&p.Server, &p.Database, &p.Schema)
	if errors.Is(err, pgx.ErrNoRows) {
		return p, &scopes.TenantUnknownError{Slug: slug}
	}
	return p, err
}
