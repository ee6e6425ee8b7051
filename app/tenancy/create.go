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

// NewTenant is a tenant to be created. The ID must be positive.
type NewTenant struct {
	ID   scopes.TenantID
	Slug string
	Name string
	// Where is the chosen part of its placement. Default: what the configuration gives each tenant.
	Where config.Choice

	batch string // the key of the batch that creates it, for the audit log; empty: none
}

// Placed runs transactions in a tenant's placement as the owner.
type Placed struct {
	conn   *pgx.Conn
	schema string
}

// Begin runs work in a transaction with the placement's schema as search_path, and commits it unless work fails. Each
// transaction sets the search_path and verifies it, since behind a pooler the session's may be another client's.
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

// Fill creates a tenant's data, at least its row in accounts, as the owner. It must not change existing data, since it is
// called again after a crash.
type Fill func(ctx context.Context, in Placed) error

// Creator creates tenants, one at a time, and reuses its connections. It must not be used by several goroutines at once.
type Creator struct {
	setup      *Setup
	deployment deployment
	control    *pgx.Conn // to the default database
	logging    sync.Mutex
	placed     *pgx.Conn        // to the last tenant's database; equal to control if that is the default database
	where      scopes.Placement // the database of placed
	versions   tenantTables     // empty: this program's
	locks      *pgx.Conn        // used by exclusively; nil until it is needed
	templates  templates        // of databases; usually none

	isMade func(scopes.Placement) bool // whether a placement's tables are known to exist; nil: never
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

// Create creates the tenant's row in the directory, its placement and its data, and then makes it active. If the tenant exists,
// Create only fills it again, in the placement that it has and in any state but "dropping". A slug or id of another tenant is an
// error. If Create fails, the tenant stays in state "creating", and the next Create continues.
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

// complete creates the placement and data of a tenant in the directory, and makes it active.
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

// DryRun calls work in a transaction that is rolled back. If the tenant exists, it works in its placement, otherwise in new
// tables of the same kind. It leaves nothing behind, even if the process is killed. It returns the tenant as it is or would be.
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

// dryRunSchema is never committed, and is not a tenant's, since slugs have no underscore.
const dryRunSchema = "dry_run"

// find returns the active tenant with that slug, or the one that would be created.
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

// enter inserts the tenant into the directory, or finds it there.
func (c *Creator) enter(ctx context.Context, n NewTenant) (t scopes.Tenant, state string, err error) {
	if !tenanthttp.ValidSlug(n.Slug) {
		return t, "", errNotASlug
	}
	// A tenant that was renamed keeps the placement named after its former slug. The second name is free, since slugs have no
	// underscore.
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

// whyNot returns why a new tenant could not be entered: its placement is another tenant's, or its slug was another tenant's
// and is still redirected.
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

// enterAt inserts the tenant into the directory, in the chosen placement or the default one for a name, unless the id, the slug
// or the placement is taken. It returns the tenant with the id or the slug, or pgx.ErrNoRows if there is none.
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

// ensurePlacement creates the tenant's own placement. [Setup.Run] creates the shared one.
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

// connectTo connects placed to a placement's database, which must belong to this deployment.
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

// usePlaced replaces placed by another connection, and closes the former one.
func (c *Creator) usePlaced(ctx context.Context, conn *pgx.Conn, database scopes.Placement) {
	if c.placed != c.control {
		_ = c.placed.Close(ctx)
	}
	c.placed, c.where = conn, database
}

// connectOwn opens a connection to a placement's database, which must belong to this deployment.
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
