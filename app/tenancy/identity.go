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

// here is an expression that identifies the connected database by its cluster and its OID. It stays the same when the database
// is renamed, and is different for a copy, a restored dump and another server.
const here = `(select system_identifier::text from pg_control_system()) || '/' || (select oid::text from pg_database where datname = current_database())`

// deployment identifies the default database, to which tenants' databases are bound.
type deployment struct {
	ID            string
	Configuration string
	MadeIn        string // the value of [here] when it was created
	Here          string // the current value of [here]
}

// isCopy reports whether the default database is a copy of the one to which the tenants' databases are bound.
func (d deployment) isCopy() bool { return d.MadeIn != d.Here }

// readDeployment reads the identity of a default database. Before it was set up, the ID is empty.
func readDeployment(ctx context.Context, conn *pgx.Conn) (d deployment, err error) {
	err = conn.QueryRow(ctx, "select id::text, configuration, made_in, "+here+" from control.identity()").Scan(&d.ID, &d.Configuration, &d.MadeIn, &d.Here)
	if c := code(err); errors.Is(err, pgx.ErrNoRows) || c == codeNoSchema || c == codeNoFunction {
		return deployment{}, nil
	}
	return d, err
}

// PlacementError says that this deployment must not use a tenant's database. It wraps scopes.ErrUnavailable, so that the tenant's
// requests are answered as if the database were unreachable.
type PlacementError struct {
	Database string // with its server, as scopes.Placement formats it
	Problem  string
	Remedy   string // the command to run, from config.Config.Command
}

func misplaced(cfg config.Config, p scopes.Placement, problem string) *PlacementError {
	return &PlacementError{p.InSchema("").String(), problem, cfg.Command("tenants adopt")}
}

func (e *PlacementError) Error() string {
	return fmt.Sprintf("database %q %s: if this deployment is a copy or was restored, run %s", e.Database, e.Problem, e.Remedy)
}

// Unwrap returns scopes.ErrUnavailable.
func (*PlacementError) Unwrap() error { return scopes.ErrUnavailable }

// placementIdentity is the identity that is stored in a tenant's own database.
type placementIdentity struct {
	Exists     bool // it was bound to a deployment
	Deployment string
	MadeIn     string
	Here       string
}

// madeInTemplate is the MadeIn of a template, and of its copies until they are bound. No database has it as its [here].
const madeInTemplate = "template"

// unbound reports whether the database is a copy of the deployment's template that is not bound yet.
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

// verify refuses the tenant's database that conn is connected to if it is not bound to the deployment, or is a copy of one that
// is. Placements in the default database always belong to it, also in a copy.
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

// elsewhere refuses a further server that is the default server under another name, judged by a database's [here]: two tenants
// could get the same database.
func (d deployment) elsewhere(server, here string) error {
	cluster, _, _ := strings.Cut(here, "/")
	if server != "" && strings.HasPrefix(d.Here, cluster+"/") {
		return fmt.Errorf("%w: server %q is the default server by another name: correct SERVER_%s_HOST", scopes.ErrUnavailable, server, strings.ToUpper(server))
	}
	return nil
}

// madeByOriginal is the error of a copied deployment that would use a database of its original.
func (d deployment) madeByOriginal(cfg config.Config, p scopes.Placement) error {
	return misplaced(cfg, p, fmt.Sprintf("belongs to the deployment that database %q is a copy of", cfg.Database))
}

// bind binds a database to the deployment if it is not bound, and verifies it.
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

// VerifyIdentity returns a *PlacementError if the placement's database, which conn is connected to, does not belong to cfg's
// deployment. It is for connections of callers; the registry, [Setup] and [Creator] verify their own.
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
