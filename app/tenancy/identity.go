package tenancy

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"tenanted/app/config"
	"tenanted/scopes"
)

// here names the database that a connection leads to: the cluster, and the database in it. A rename changes neither; a
// copy, a restored dump and another server have other ones.
const here = `(select system_identifier::text from pg_control_system()) || '/' || (select oid::text from pg_database where datname = current_database())`

// deployment is the default database with the tenants' databases that it made.
type deployment struct {
	ID            string
	Configuration string
	MadeIn        string // where it was made, by [here]
	Here          string // where it is
}

// isCopy reports whether the default database is a copy of the one that made the tenants' databases.
func (d deployment) isCopy() bool { return d.MadeIn != d.Here }

// readDeployment reads the identity of a default database. Before it was set up, the ID is empty.
func readDeployment(ctx context.Context, conn *pgx.Conn) (d deployment, err error) {
	err = conn.QueryRow(ctx, "select id::text, configuration, made_in, "+here+" from control.identity()").Scan(&d.ID, &d.Configuration, &d.MadeIn, &d.Here)
	if c := code(err); errors.Is(err, pgx.ErrNoRows) || c == codeNoSchema || c == codeNoFunction {
		return deployment{}, nil
	}
	return d, err
}

// PlacementError says that a tenant's database must not be used by this deployment. To whoever asks for the tenant, its
// database is unavailable.
type PlacementError struct {
	Database string // as scopes.Placement writes it, with its server
	Problem  string
	Remedy   string // the command, as config.Config.Command gives it
}

func misplaced(cfg config.Config, p scopes.Placement, problem string) *PlacementError {
	return &PlacementError{p.InSchema("").String(), problem, cfg.Command("tenants adopt")}
}

func (e *PlacementError) Error() string {
	return fmt.Sprintf("database %q %s: if this deployment is a copy or was restored, run %s", e.Database, e.Problem, e.Remedy)
}

// Unwrap returns scopes.ErrUnavailable.
func (*PlacementError) Unwrap() error { return scopes.ErrUnavailable }

// placementIdentity is what a tenant's own database says of itself.
type placementIdentity struct {
	Exists     bool // it was bound to a deployment
	Deployment string
	MadeIn     string
	Here       string
}

// madeInTemplate is where a database was made that is a copy of a template and not bound yet: it is no database's [here].
const madeInTemplate = "template"

// unbound reports whether the database is a deployment's copy of a template that nobody has used yet.
func (p placementIdentity) unbound(d deployment) bool {
	return p.Exists && p.Deployment == d.ID && p.MadeIn == madeInTemplate
}

func readPlacement(ctx context.Context, conn *pgx.Conn) (p placementIdentity, err error) {
	err = conn.QueryRow(ctx, "select deployment::text, made_in, "+here+" from control.placement").Scan(&p.Deployment, &p.MadeIn, &p.Here)
	p.Exists = err == nil
	if c := code(err); errors.Is(err, pgx.ErrNoRows) || c == codeNoTable || c == codeNoSchema {
		err = nil
	}
	return p, err
}

// verify refuses a tenant's database, to which conn leads, that is not bound to the deployment, or is a copy of one that is.
// The placements of the default database are its own, in a copy too.
func (d deployment) verify(ctx context.Context, cfg config.Config, conn *pgx.Conn, p scopes.Placement) error {
	if p.InSchema("") == cfg.Default() {
		return nil
	}
	if d.isCopy() {
		return d.madeByOriginal(cfg, p)
	}
	own, err := readPlacement(ctx, conn)
	switch {
	case err != nil:
		return fmt.Errorf("read whose database %q is: %w", p.InSchema(""), err)
	case !own.Exists:
		return misplaced(cfg, p, "is bound to no deployment")
	case own.Deployment != d.ID:
		return misplaced(cfg, p, "belongs to another deployment")
	case own.MadeIn != own.Here:
		return misplaced(cfg, p, "is a copy of a tenant's database")
	}
	return d.elsewhere(p.Server, own.Here)
}

// elsewhere refuses the default server by another name, where a database is [here]: two tenants could have one place.
func (d deployment) elsewhere(server, here string) error {
	cluster, _, _ := strings.Cut(here, "/")
	if server != "" && strings.HasPrefix(d.Here, cluster+"/") {
		return fmt.Errorf("%w: server %q is the default server by another name: correct SERVER_%s_HOST", scopes.ErrUnavailable, server, strings.ToUpper(server))
	}
	return nil
}

// madeByOriginal says that a copy must not use the databases of its original.
func (d deployment) madeByOriginal(cfg config.Config, p scopes.Placement) error {
	return misplaced(cfg, p, fmt.Sprintf("belongs to the deployment that database %q is a copy of", cfg.Database))
}

// bind binds a database that has no tables yet, or is a copy of a template, to the deployment. One that is bound is verified.
func (d deployment) bind(ctx context.Context, cfg config.Config, conn *pgx.Conn, p scopes.Placement) error {
	_, err := conn.Exec(ctx, "update control.placement set made_in = "+here+" where deployment = $1 and made_in = $2", d.ID, madeInTemplate)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, "insert into control.placement (deployment, made_in) select $1, "+here+" where not exists (select from control.placement) on conflict do nothing", d.ID)
	if err != nil {
		return err
	}
	return d.verify(ctx, cfg, conn, p)
}

// VerifyIdentity returns a *PlacementError if the placement's database, to which conn leads, does not belong to cfg's
// deployment. It is for databases that somebody looks at; the registry and the owner's work verify by themselves.
func VerifyIdentity(ctx context.Context, cfg config.Config, conn *pgx.Conn, p scopes.Placement) error {
	control, err := Connect(ctx, cfg, config.AsRuntime, cfg.Default())
	if err != nil {
		return err
	}
	defer control.Close(context.WithoutCancel(ctx))
	d, err := readDeployment(ctx, control)
	if err != nil {
		return err
	}
	return d.verify(ctx, cfg, conn, p)
}
