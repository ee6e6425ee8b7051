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

// Adoption is the result of [Setup.Adopt] for one tenant.
type Adoption struct {
	Tenant scopes.Tenant // with its new placement
	// Problem says why the tenant has no database here, and was suspended. Empty: it was adopted.
	Problem string
}

// Adopt makes a copied or restored deployment independent of the original. It gives the deployment a new identity, and binds
// to it those of the tenants' databases that are copies too: databases with the name in the directory or, if the original is
// on the same server, with this deployment's name for them (PGDATABASE_slug). It never takes a database that is the original
// of another deployment. A tenant without a database here is suspended.
//
// A backup that is restored after its original was dropped from the cluster takes over the original's databases. If several
// backups are restored, the first one does.
//
// Adopt can be repeated. After an interruption it continues with the rest, and with tenants whose server was unreachable; their
// errors are returned, joined. It reports each tenant with a database of its own. On a deployment that is not a copy, it adopts
// only tenants whose databases were restored.
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

// becomeOriginal gives the deployment a new identity. If the original no longer exists in this cluster, the deployment also
// stores the original's identity, so that it can take over its databases.
func (s *Setup) becomeOriginal(ctx context.Context, conn *pgx.Conn) (deployment, error) {
	const gone = `split_part(made_in, '/', 1) = (select system_identifier::text from pg_control_system())
		and not exists (select from pg_database where oid::text = split_part(made_in, '/', 2))`
	_, err := conn.Exec(ctx, "update control.deployment set id = gen_random_uuid(), made_in = "+here+", successor_of = case when "+gone+" then id end")
	if err != nil {
		return deployment{}, fmt.Errorf("give database %q an identity of its own: %w", s.cfg.Database, err)
	}
	return readDeployment(ctx, conn)
}

// successorOf returns the identity of the deployment of which this one may take over the databases.
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

// take binds the database in the tenant's placement to the deployment if it is a copy. A database that is bound to it already
// stays as it is.
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

// placementTarget is the table that says which deployment a tenant's own database belongs to.
func placementTarget(database scopes.Placement) migrations.Target {
	return migrations.Target{Set: migrations.Placement, Placement: database.InSchema(config.ControlSchema)}
}
