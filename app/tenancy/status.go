package tenancy

import (
	"context"
	"errors"
	"slices"

	"github.com/jackc/pgx/v5"

	"tenanted/app/config"
	"tenanted/migrations"
	"tenanted/scopes"
)

// Status is how far a placement is.
type Status struct {
	migrations.Target
	Version int64  // 0: there is nothing
	State   string // "current", "outdated", "newer" than this program, or "missing"
}

// Status returns the status of the directory and of every placement, as the owner sees them. It changes nothing.
func (s *Setup) Status(ctx context.Context) ([]Status, error) {
	control := controlTarget(s.cfg)
	versions, err := s.versions(ctx, s.cfg.Database)
	if err != nil {
		return nil, err
	}
	placements := s.cfg.Placements()
	if versions[control] > 0 {
		if placements, err = s.Placements(ctx); err != nil {
			return nil, err
		}
	}
	statuses := []Status{statusOf(control, versions)}
	database := s.cfg.Database
	for _, placement := range placements {
		if placement.Database != database {
			database = placement.Database
			if versions, err = s.versions(ctx, database); err != nil {
				return nil, err
			}
		}
		for _, set := range s.sets() {
			statuses = append(statuses, statusOf(migrations.Target{Set: set, Placement: placement}, versions))
		}
	}
	return statuses, nil
}

func statusOf(target migrations.Target, versions map[migrations.Target]int64) Status {
	version, exists := versions[target]
	state := "current"
	switch newest := target.Set.Newest(); {
	case !exists:
		state = "missing"
	case version < newest:
		state = "outdated"
	case version > newest:
		state = "newer"
	}
	return Status{target, version, state}
}

// versions returns the versions in a database; a database that does not exist has none. On the private server
// the same goes for the owner.
func (s *Setup) versions(ctx context.Context, database string) (map[migrations.Target]int64, error) {
	to := s.cfg.OwnerConn()
	to.Database = database
	conn, err := connect(ctx, to)
	if c := code(err); c == codeNoDatabase || c == codeNoRole && s.cfg.Private() {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return migrations.Versions(ctx, conn)
}

// Home returns where a tenant's rows are, by the directory, or will be, in a database that exists before its
// tenant does. It returns a *scopes.TenantUnknownError if there is no such place. The directory must be there.
func (s *Setup) Home(ctx context.Context, slug string) (scopes.Placement, error) {
	conn, err := connect(ctx, s.cfg.OwnerConn())
	if err != nil {
		return scopes.Placement{}, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var home scopes.Placement
	err = conn.QueryRow(ctx, "select database, schema from control.tenants where slug = $1", slug).Scan(&home.Database, &home.Schema)
	if !errors.Is(err, pgx.ErrNoRows) {
		return home, err
	}
	planned, err := s.cfg.PlacementFor(slug)
	if err != nil || s.cfg.Strategy != config.MultipleDb || !slices.Contains(s.cfg.Placements(), planned) {
		return scopes.Placement{}, &scopes.TenantUnknownError{Slug: slug}
	}
	return planned, nil
}
