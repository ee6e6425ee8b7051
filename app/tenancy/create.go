package tenancy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/jackc/pgx/v5"

	"tenanted/app/config"
	"tenanted/migrations"
	"tenanted/scopes"
	"tenanted/scopes/tenanthttp"
)

// The states of a tenant in the directory. Only active ones are served.
const (
	StateCreating  = "creating"
	StateActive    = "active"
	StateSuspended = "suspended" // until it is resumed
	StateDropping  = "dropping"
)

// NewTenant is a tenant to be created. The ID is above zero, and with the slug it is the tenant's for good.
type NewTenant struct {
	ID   scopes.TenantID
	Slug string
	Name string
	// Where is its placement, as far as it is chosen. Default: what the configuration gives each tenant.
	Where config.Choice

	batch string // the key of the batch that creates it, for the audit log; empty: none
}

// Placed runs transactions of the owner in a tenant's placement.
type Placed struct {
	conn   *pgx.Conn
	schema string
}

// Begin runs work in a transaction in which names mean the placement's tables, and commits it unless work fails. The
// transaction says itself where it works, and looks whether it does: a session's own search_path may be somebody else's,
// behind a pooler.
func (p Placed) Begin(ctx context.Context, work func(pgx.Tx) error) error {
	return pgx.BeginFunc(ctx, p.conn, func(tx pgx.Tx) error { return inSchema(ctx, tx, p.schema, work) })
}

func inSchema(ctx context.Context, tx pgx.Tx, schema string, work func(pgx.Tx) error) error {
	var where *string
	const goTo = "select set_config('search_path', $1, true), set_config('lock_timeout', '1min', true)"
	if _, err := tx.Exec(ctx, goTo, pgx.Identifier{schema}.Sanitize()+", pg_temp"); err != nil {
		return err
	}
	if err := tx.QueryRow(ctx, "select current_schema()").Scan(&where); err != nil {
		return err
	}
	if where == nil || *where != schema {
		return fmt.Errorf("there is no schema %q in database %q", schema, tx.Conn().Config().Database)
	}
	return work(tx)
}

// Fill makes a tenant's data, its own row in accounts at least, in transactions of the owner. It must leave existing data
// alone: after a crash it is called again.
type Fill func(ctx context.Context, in Placed) error

// Creator creates tenants, one at a time, over connections it keeps in between: use one for each goroutine.
type Creator struct {
	setup      *Setup
	deployment deployment
	control    *pgx.Conn // to the default database
	logging    sync.Mutex
	placed     *pgx.Conn        // to the last tenant's database; the same as control where that is the default one
	where      scopes.Placement // that database
	versions   tenantTables     // empty: this program's
	locks      *pgx.Conn        // for exclusively, once it was needed
	templates  templates        // of databases; usually none

	isMade func(scopes.Placement) bool // whether a placement has its tables already; nil: that is to be found out
}

// NewCreator returns a creator. The databases must be set up. Close it after use.
func (s *Setup) NewCreator(ctx context.Context) (*Creator, error) {
	conn, err := connect(ctx, s.cfg.OwnerConn())
	if err != nil {
		return nil, err
	}
	d, err := readDeployment(ctx, conn)
	if err != nil {
		return nil, errors.Join(err, conn.Close(context.WithoutCancel(ctx)))
	}
	return &Creator{setup: s, deployment: d, control: conn, placed: conn, where: s.cfg.Default()}, nil
}

// Close ends the creator's connections.
func (c *Creator) Close(ctx context.Context) {
	if c.placed != c.control {
		_ = c.placed.Close(ctx)
	}
	if c.locks != nil {
		_ = c.locks.Close(ctx)
	}
	_ = c.control.Close(ctx)
}

// Create makes the tenant: its row in the directory, its placement, its data, and makes it active. A tenant
// that exists is only filled again, whatever its state but "dropping", in the placement it has; a slug or id that is
// somebody else's is an error. When it fails, the tenant stays in state "creating", and the next Create continues there.
func (c *Creator) Create(ctx context.Context, n NewTenant, fill Fill) (scopes.Tenant, error) {
	tenant, state, err := c.enter(ctx, n)
	if err != nil {
		return scopes.Tenant{}, fmt.Errorf("create tenant %q: %w", n.Slug, err)
	}
	if state == StateCreating {
		err = c.logged(ctx, "create", tenant, tenant.Placement.String()+ofBatch(n.batch), func() error { return c.complete(ctx, tenant, fill) })
	} else {
		err = c.fill(ctx, tenant.Placement, fill)
	}
	if err != nil {
		return scopes.Tenant{}, fmt.Errorf("create tenant %q: %w", n.Slug, err)
	}
	return tenant, nil
}

// complete makes a tenant active that is in the directory.
func (c *Creator) complete(ctx context.Context, t scopes.Tenant, fill Fill) error {
	if err := c.ensurePlacement(ctx, t.Placement); err != nil {
		return err
	}
	if err := c.fill(ctx, t.Placement, fill); err != nil {
		return err
	}
	_, err := c.control.Exec(ctx, "update control.tenants set state = $2 where id = $1 and state = $3", t.ID, StateActive, StateCreating)
	return err
}

// DryRun calls work in a transaction that is rolled back, in the placement of a tenant that exists, and for another one in
// tables like those that it would get. It makes no tenant, and leaves nothing behind, even if it is killed.
// It returns the tenant as it is or would be.
func (c *Creator) DryRun(ctx context.Context, n NewTenant, work func(pgx.Tx) error) (scopes.Tenant, error) {
	tenant, exists, err := c.find(ctx, n)
	if err != nil {
		return tenant, fmt.Errorf("dry run of tenant %q: %w", n.Slug, err)
	}
	return tenant, c.dryRun(ctx, tenant.Placement, exists, work)
}

func (c *Creator) dryRun(ctx context.Context, placement scopes.Placement, exists bool, work func(pgx.Tx) error) error {
	made := exists || c.setup.cfg.Shared(placement)
	if !made {
		placement = c.setup.cfg.Default().InSchema(dryRunSchema)
	}
	if err := c.connectTo(ctx, placement); err != nil {
		return err
	}
	tx, err := c.placed.Begin(ctx)
	if err != nil {
		return err
	}
	defer tx.Rollback(context.WithoutCancel(ctx))
	if !made {
		if _, err := tx.Exec(ctx, "create schema "+dryRunSchema); err != nil {
			return err
		}
	}
	return inSchema(ctx, tx, placement.Schema, func(tx pgx.Tx) error {
		if !made {
			if err := migrations.Apply(ctx, tx, migrations.Tenant); err != nil {
				return err
			}
		}
		return work(tx)
	})
}

// dryRunSchema is no tenant's, since slugs have no underscore, and is never committed.
const dryRunSchema = "dry_run"

// find returns the tenant that is active under that slug, or the one that would be made.
func (c *Creator) find(ctx context.Context, n NewTenant) (t scopes.Tenant, exists bool, err error) {
	rows, _ := c.control.Query(ctx, "select "+entryColumns+" from control.tenants where slug = $1 and state = $2", n.Slug, StateActive)
	e, err := pgx.CollectExactlyOneRow(rows, scanEntry)
	if errors.Is(err, pgx.ErrNoRows) {
		t = scopes.Tenant{ID: n.ID, Slug: n.Slug, Name: n.Name}
		t.Placement, err = c.setup.cfg.PlacementFor(n.Slug, n.Where)
		return t, false, err
	}
	return e.Tenant, err == nil, err
}

// enter writes the tenant into the directory, or finds it there.
func (c *Creator) enter(ctx context.Context, n NewTenant) (t scopes.Tenant, state string, err error) {
	if !tenanthttp.ValidSlug(n.Slug) {
		return t, "", errNotASlug
	}
	// A tenant that had the slug keeps its placement. Slugs have no underscore, so the second name is nobody else's.
	found, placement, err := c.enterAt(ctx, n, n.Slug)
	if errors.Is(err, pgx.ErrNoRows) {
		found, placement, err = c.enterAt(ctx, n, fmt.Sprintf("%s_%d", n.Slug, n.ID))
	}
	t, state = found.Tenant, found.State
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return t, "", c.whyNot(ctx, n, placement)
	case err != nil:
		return t, "", err
	case t.ID != n.ID || t.Slug != n.Slug:
		return t, "", fmt.Errorf("%v is in the directory already, so id %d cannot be %q", t, n.ID, n.Slug)
	case state == StateDropping:
		return t, "", &ExistsError{n.Slug, state}
	case state == StateCreating && n.Where != (config.Choice{}) && t.Placement != placement:
		return t, "", fmt.Errorf("it is being created in %s, and not in %s: leave its place out to continue", t.Placement, placement)
	}
	return t, state, nil
}

// whyNot says why a tenant of whom there is nothing cannot be entered: the placement is somebody's, or the slug is one that
// another tenant had.
func (c *Creator) whyNot(ctx context.Context, n NewTenant, p scopes.Placement) error {
	taken, err := c.isTaken(ctx, p, n.ID)
	switch {
	case err != nil:
		return err
	case taken:
		return fmt.Errorf("placement %s is another tenant's: choose another one", p)
	}
	return &ExistsError{Slug: n.Slug}
}

// enterAt writes the tenant into the directory, with the placement chosen or that of a name, unless its id, its slug or the
// placement is somebody's. It returns whose the id or the slug is, and pgx.ErrNoRows if neither is.
func (c *Creator) enterAt(ctx context.Context, n NewTenant, name string) (e Entry, placement scopes.Placement, err error) {
	if placement, err = c.setup.cfg.PlacementFor(name, n.Where); err != nil {
		return e, placement, err
	}
	if taken, err := c.isTaken(ctx, placement, n.ID); err != nil || taken {
		return e, placement, cmp.Or(err, pgx.ErrNoRows)
	}
	_, err = c.control.Exec(ctx, `
		insert into control.tenants (id, slug, name, server, database, schema, state) select $1, $2, $3, nullif($4, ''), $5, $6, $7
		where not exists (select from control.former_slugs where slug = $2 and tenant_id <> $1 and until > now())
		on conflict do nothing`, n.ID, n.Slug, n.Name, placement.Server, c.setup.stored(placement), placement.Schema, StateCreating)
	if err != nil {
		return e, placement, err
	}
	rows, _ := c.control.Query(ctx, "select "+entryColumns+" from control.tenants where id = $1 or slug = $2 order by id = $1 desc", n.ID, n.Slug)
	e, err = pgx.CollectOneRow(rows, scanEntry)
	return e, placement, err
}

// ensurePlacement makes the tenant's own placement. The shared one is the setup's.
func (c *Creator) ensurePlacement(ctx context.Context, placement scopes.Placement) error {
	if c.setup.cfg.Shared(placement) || c.isMade != nil && c.isMade(placement) {
		return nil
	}
	copied, err := c.copyTemplate(ctx, placement)
	if copied && err == nil {
		err = c.setup.recordVersion(ctx, c.control, placement)
	}
	if err != nil || copied {
		return err
	}
	return c.setup.Migrate(ctx, []scopes.Placement{placement}, Migrate{})
}

// fill calls fill in the placement.
func (c *Creator) fill(ctx context.Context, placement scopes.Placement, fill Fill) error {
	if err := c.connectTo(ctx, placement); err != nil {
		return err
	}
	return fill(ctx, Placed{c.placed, placement.Schema})
}

// connectTo leads placed to a placement's database, which must be this deployment's.
func (c *Creator) connectTo(ctx context.Context, p scopes.Placement) error {
	database := p.InSchema("")
	if c.where == database {
		return nil
	}
	c.usePlaced(ctx, c.control, c.setup.cfg.Default())
	if database == c.where {
		return nil
	}
	conn, err := c.connectOwn(ctx, database)
	if err != nil {
		return err
	}
	c.usePlaced(ctx, conn, database)
	return nil
}

// usePlaced replaces placed by a connection to a database, and closes the former one.
func (c *Creator) usePlaced(ctx context.Context, conn *pgx.Conn, database scopes.Placement) {
	if c.placed != c.control {
		_ = c.placed.Close(ctx)
	}
	c.placed, c.where = conn, database
}

// connectOwn opens a connection to a placement's database, which must be this deployment's.
func (c *Creator) connectOwn(ctx context.Context, p scopes.Placement) (*pgx.Conn, error) {
	database := p.InSchema("")
	conn, err := connectTo(ctx, c.setup.cfg, config.AsOwner, database)
	if err != nil {
		return nil, err
	}
	if err := c.deployment.verify(ctx, c.setup.cfg, conn, database); err != nil {
		return nil, errors.Join(err, conn.Close(context.WithoutCancel(ctx)))
	}
	return conn, nil
}
