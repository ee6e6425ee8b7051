package tenancy

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"tenanted/app/config"
	"tenanted/migrations"
	"tenanted/scopes"
)

// Adoption is what became of one tenant when a copy was adopted.
type Adoption struct {
	Tenant scopes.Tenant // with its placement from now on
	// Problem says why the tenant has no database here. It is suspended then. Empty: it was adopted.
	Problem string
}

// Adopt makes a copy, or a restored deployment, one of its own: it gets a new identity, and with it those of the tenants'
// databases that are copies too, under the name that the directory gives or, beside the original, under that of this
// default database (PGDATABASE_slug). A database that is the original of another deployment is never taken. A tenant
// without a database here is suspended.
//
// A backup restored after its original was dropped from the cluster takes the databases that the original left. Of several
// backups the first takes them.
//
// It can be repeated: after an interruption the rest is adopted, and so are tenants on a server that was away, whose errors
// it returns, joined. It reports each tenant with a database of its own. On a
// deployment that is no copy, only tenants whose databases were restored are adopted.
func (s *Setup) Adopt(ctx context.Context, report func(Adoption)) error {
	conn, err := connect(ctx, s.cfg.OwnerConn())
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if err := sameConfiguration(ctx, s.cfg, conn); err != nil {
		return err
	}
	old, err := readDeployment(ctx, conn)
	if err != nil {
		return err
	}
	tenants, err := withOwnDatabase(ctx, conn)
	if err != nil {
		return err
	}
	original := old
	if old.isCopy() {
		if original, err = s.becomeOriginal(ctx, conn); err != nil {
			return err
		}
	}
	predecessor, err := successorOf(ctx, conn)
	if err != nil {
		return err
	}
	var away []error
	for _, tenant := range tenants {
		adopted, err := s.adoptTenant(ctx, conn, original, predecessor, tenant)
		switch {
		case errors.Is(err, scopes.ErrUnavailable) && tenant.Server != "":
			away = append(away, fmt.Errorf("%v is not adopted: %w", tenant, err))
		case err != nil:
			return err
		default:
			report(adopted)
		}
	}
	return errors.Join(away...)
}

// withOwnDatabase returns the tenants that are not in the default database.
func withOwnDatabase(ctx context.Context, conn *pgx.Conn) ([]scopes.Tenant, error) {
	rows, _ := conn.Query(ctx, "select "+entryColumns+" from control.tenants where database is not null and state <> $1 order by id", StateDropping)
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (scopes.Tenant, error) {
		e, err := scanEntry(row)
		return e.Tenant, err
	})
}

// becomeOriginal gives the deployment a new identity, of this place. Where the original is gone from this cluster, the
// deployment remembers its identity, for the databases that it left.
func (s *Setup) becomeOriginal(ctx context.Context, conn *pgx.Conn) (deployment, error) {
	const gone = `split_part(made_in, '/', 1) = (select system_identifier::text from pg_control_system())
		and not exists (select from pg_database where oid::text = split_part(made_in, '/', 2))`
	_, err := conn.Exec(ctx, "update control.deployment set id = gen_random_uuid(), made_in = "+here+", successor_of = case when "+gone+" then id end")
	if err != nil {
		return deployment{}, fmt.Errorf("give database %q an identity of its own: %w", s.cfg.Database, err)
	}
	return readDeployment(ctx, conn)
}

// successorOf returns the identity of the deployment whose databases this one may take although they are originals.
func successorOf(ctx context.Context, conn *pgx.Conn) (id string, err error) {
	err = conn.QueryRow(ctx, "select coalesce(successor_of::text, '') from control.deployment").Scan(&id)
	return id, err
}

// adoptTenant binds the tenant's database to the deployment, and points the directory at it.
func (s *Setup) adoptTenant(ctx context.Context, control *pgx.Conn, d deployment, predecessor string, tenant scopes.Tenant) (Adoption, error) {
	names := []string{tenant.Database}
	if usual := s.cfg.OwnDatabase(tenant.Slug); usual != tenant.Database {
		names = append(names, usual)
	}
	var problems error
	for _, name := range names {
		copied := tenant
		copied.Database = name
		err := s.take(ctx, d, predecessor, copied)
		if err == nil {
			_, err = control.Exec(ctx, "update control.tenants set database = $2 where id = $1", tenant.ID, name)
			return Adoption{Tenant: copied}, err
		}
		if _, refused := errors.AsType[*PlacementError](err); !refused && code(err) != codeNoDatabase {
			return Adoption{}, err
		}
		problems = errors.Join(problems, errors.New(adoptionProblem(copied.InSchema(""), err)))
	}
	_, err := control.Exec(ctx, "update control.tenants set state = $3 where id = $1 and state = $2", tenant.ID, StateActive, StateSuspended)
	return Adoption{Tenant: tenant, Problem: problems.Error()}, err
}

func adoptionProblem(database scopes.Placement, err error) string {
	if refused, ok := errors.AsType[*PlacementError](err); ok {
		return fmt.Sprintf("database %q %s", database, refused.Problem)
	}
	return fmt.Sprintf("there is no database %q", database)
}

// take binds a copy of the tenant's database, where its placement says, to the deployment. One that is bound to it is left
// as it is.
func (s *Setup) take(ctx context.Context, d deployment, predecessor string, tenant scopes.Tenant) error {
	conn, err := connectTo(ctx, s.cfg, config.AsOwner, tenant.Placement)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	p, err := readPlacement(ctx, conn)
	switch {
	case err != nil:
		return err
	case p.Deployment == d.ID && p.MadeIn == p.Here:
		return nil
	case !p.Exists:
		return misplaced(s.cfg, tenant.Placement, "is bound to no deployment")
	case p.MadeIn == p.Here && p.Deployment != predecessor:
		return misplaced(s.cfg, tenant.Placement, "is the original of another deployment")
	}
	var own bool
	accounts := pgx.Identifier{tenant.Schema, "accounts"}.Sanitize()
	if err := conn.QueryRow(ctx, "select exists (select 1 from "+accounts+" where id = $1)", tenant.Key()).Scan(&own); err != nil {
		return err
	}
	if !own {
		return misplaced(s.cfg, tenant.Placement, fmt.Sprintf("has no rows of %v", tenant))
	}
	tag, err := conn.Exec(ctx, "update control.placement set deployment = $1, made_in = "+here+" where deployment = $2", d.ID, p.Deployment)
	if err == nil && tag.RowsAffected() == 0 {
		return misplaced(s.cfg, tenant.Placement, "was just taken by another deployment")
	}
	return err
}

// placementTarget is what says whose a tenant's own database is.
func placementTarget(database scopes.Placement) migrations.Target {
	return migrations.Target{Set: migrations.Placement, Placement: database.InSchema(config.ControlSchema)}
}
