package tenancy

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"tenanted/app/config"
	"tenanted/migrations"
	"tenanted/scopes"
	"tenanted/scopes/tenanthttp"
)

// The states of a tenant in the directory, beside "suspended". Only active ones are served.
const (
	StateCreating = "creating"
	StateActive   = "active"
	StateDropping = "dropping"
)

// cleanupTimeout bounds what is done after the caller's context may have ended.
const cleanupTimeout = 10 * time.Second

// NewTenant is a tenant to be created. The ID is above zero, and with the slug it is the tenant's for good.
type NewTenant struct {
	ID   scopes.TenantID
	Slug string
	Name string
}

// Fill makes a tenant's data, its own row in accounts at least, over the owner's connection to the placement. It
// must leave alone what is there already: after a crash it is called again.
type Fill func(ctx context.Context, conn *pgx.Conn) error

// Creator creates tenants, one at a time, over connections it keeps in between: use one for each goroutine.
type Creator struct {
	setup   *Setup
	control *pgx.Conn // to the default database
	placed  *pgx.Conn // to the last tenant's database; the same as control where that is the default one
}

// NewCreator returns a creator. The databases must be set up. Close it after use.
func (s *Setup) NewCreator(ctx context.Context) (*Creator, error) {
	conn, err := connect(ctx, s.cfg.OwnerConn())
	if err != nil {
		return nil, err
	}
	return &Creator{setup: s, control: conn, placed: conn}, nil
}

// Close ends the creator's connections.
func (c *Creator) Close(ctx context.Context) {
	if c.placed != c.control {
		_ = c.placed.Close(ctx)
	}
	_ = c.control.Close(ctx)
}

// Create makes the tenant: its row in the directory, its placement, its data, and makes it active. A tenant
// that exists is only filled again, whatever its state but "dropping", in the placement it has; a slug or id that is
// somebody else's is an error. When it fails, the tenant stays in state "creating", and the next Create carries on.
func (c *Creator) Create(ctx context.Context, n NewTenant, fill Fill) (scopes.Tenant, error) {
	tenant, state, err := c.enter(ctx, n)
	if err != nil {
		return scopes.Tenant{}, fmt.Errorf("create tenant %q: %w", n.Slug, err)
	}
	if state == StateCreating {
		err = c.ensurePlacement(ctx, tenant.Placement)
	}
	if err == nil {
		err = c.fill(ctx, tenant.Placement, fill)
	}
	if err == nil && state == StateCreating {
		_, err = c.control.Exec(ctx, "update control.tenants set state = $2 where id = $1 and state = $3", tenant.ID, StateActive, StateCreating)
	}
	if err != nil {
		return scopes.Tenant{}, fmt.Errorf("create tenant %q: %w", n.Slug, err)
	}
	return tenant, nil
}

// Try is for a fill that leaves nothing behind. It makes no tenant: a tenant that exists is filled in its
// placement, and another one where it would be or, if it would get a schema of its own, in one for the occasion.
func (c *Creator) Try(ctx context.Context, n NewTenant, fill Fill) (err error) {
	placement, exists, err := c.placementOf(ctx, n.Slug)
	if err != nil {
		return fmt.Errorf("try tenant %q: %w", n.Slug, err)
	}
	if !exists && c.setup.cfg.Strategy == config.MultipleSchemas {
		placement.Schema = "try_" + n.Slug // no tenant's: slugs have no underscore
		defer func() { err = errors.Join(err, c.dropSchema(ctx, placement.Schema)) }()
	}
	if err := c.ensurePlacement(ctx, placement); err != nil {
		return err
	}
	return c.fill(ctx, placement, fill)
}

// placementOf returns where the tenant is, or where it would be.
func (c *Creator) placementOf(ctx context.Context, slug string) (p scopes.Placement, exists bool, err error) {
	err = c.control.QueryRow(ctx, "select database, schema from control.tenants where slug = $1 and state = $2", slug, StateActive).
		Scan(&p.Database, &p.Schema)
	if errors.Is(err, pgx.ErrNoRows) {
		p, err = c.setup.cfg.PlacementFor(slug)
		return p, false, err
	}
	return p, err == nil, err
}

func (c *Creator) dropSchema(ctx context.Context, schema string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	_, err := c.control.Exec(ctx, "drop schema if exists "+pgx.Identifier{schema}.Sanitize()+" cascade")
	return err
}

// enter writes the tenant into the directory, or finds it there.
func (c *Creator) enter(ctx context.Context, n NewTenant) (t scopes.Tenant, state string, err error) {
	if !tenanthttp.ValidSlug(n.Slug) {
		return t, "", fmt.Errorf("not a slug: use letters a to z, digits and hyphens, at most 63, no hyphen at the ends")
	}
	placement, err := c.setup.cfg.PlacementFor(n.Slug)
	if err != nil {
		return t, "", err
	}
	_, err = c.control.Exec(ctx, `
		insert into control.tenants (id, slug, name, database, schema, state) values ($1, $2, $3, $4, $5, $6)
		on conflict do nothing`, n.ID, n.Slug, n.Name, placement.Database, placement.Schema, StateCreating)
	if err != nil {
		return t, "", err
	}
	err = c.control.QueryRow(ctx, "select id, slug, database, schema, state from control.tenants where id = $1 or slug = $2 order by id = $1 desc", n.ID, n.Slug).
		Scan(&t.ID, &t.Slug, &t.Database, &t.Schema, &state)
	switch {
	case err != nil:
		return t, "", err
	case t.ID != n.ID || t.Slug != n.Slug:
		return t, "", fmt.Errorf("%v is in the directory already, so id %d cannot be %q", t, n.ID, n.Slug)
	case state == StateDropping:
		return t, "", &scopes.TenantUnavailableError{Slug: n.Slug, State: state}
	}
	return t, state, nil
}

// ensurePlacement makes what Setup has not made for every tenant in advance.
func (c *Creator) ensurePlacement(ctx context.Context, placement scopes.Placement) error {
	for _, existing := range c.setup.cfg.Placements() {
		if placement == existing {
			return nil
		}
	}
	return c.setup.Migrate(ctx, []scopes.Placement{placement}, func(migrations.Result) {})
}

// fill calls fill with a connection that leads to the placement.
func (c *Creator) fill(ctx context.Context, placement scopes.Placement, fill Fill) error {
	if err := c.goTo(ctx, placement); err != nil {
		return err
	}
	return fill(ctx, c.placed)
}

func (c *Creator) goTo(ctx context.Context, placement scopes.Placement) error {
	if c.placed.Config().Database != placement.Database {
		if err := c.switchDatabase(ctx, placement.Database); err != nil {
			return err
		}
	}
	_, err := c.placed.Exec(ctx, "select set_config('search_path', $1, false)", pgx.Identifier{placement.Schema}.Sanitize())
	return err
}

func (c *Creator) switchDatabase(ctx context.Context, database string) error {
	if c.placed != c.control {
		_ = c.placed.Close(ctx)
	}
	c.placed = c.control
	if database == c.control.Config().Database {
		return nil
	}
	to := c.setup.cfg.OwnerConn()
	to.Database = database
	conn, err := connect(ctx, to)
	if err == nil {
		c.placed = conn
	}
	return err
}
