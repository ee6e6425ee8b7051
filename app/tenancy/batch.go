package tenancy

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"tenanted/app/config"
	"tenanted/scopes"
)

// Batch is the tenants that one command creates, as [Creator.CreateByName] does: without data, and with the next free ids.
type Batch struct {
	// Key identifies the command. It is written to the audit log, so that the same command, when it is repeated, can tell the
	// tenants that it has created from other tenants with the same slugs.
	Key     string
	Tenants []NewTenant // their ids are ignored
}

const batchMark = ", batch "

// ofBatch returns the end of the detail in the audit log's entry for a tenant that a batch creates.
func ofBatch(key string) string {
	if key == "" {
		return ""
	}
	return batchMark + key
}

// Check returns what is wrong with the tenants regardless of the directory: an invalid or reserved slug, an invalid placement, a slug
// or placement that occurs twice. It returns an error or nil for each tenant, in their order.
func (b Batch) Check(cfg config.Config) []error {
	errs := make([]error, len(b.Tenants))
	slugs, places := map[string]bool{}, map[scopes.Placement]bool{}
	for i, n := range b.Tenants {
		placement, err := cfg.PlacementFor(n.Slug, n.Where)
		switch unusable := mayBeCalled(n.Slug); {
		case unusable != nil:
			errs[i] = unusable
		case err != nil:
			errs[i] = err
		case slugs[n.Slug]:
			errs[i] = errors.New("the slug occurs twice")
		case places[placement] && !cfg.Shared(placement):
			errs[i] = fmt.Errorf("the placement %s occurs twice", placement)
		}
		slugs[n.Slug], places[placement] = true, true
	}
	return errs
}

// Planned is a tenant of a batch with its current state.
type Planned struct {
	NewTenant
	Placement scopes.Placement // where it is or will be
	State     string           // empty: it does not exist; StateCreating: it is incomplete; otherwise: the same command created it
	Err       error            // why it cannot be created
}

// Missing reports whether the tenant must be created or completed.
func (p Planned) Missing() bool { return p.State == "" || p.State == StateCreating }

// Plan returns what is to be done for a batch that has passed [Batch.Check], and changes nothing.
func (c *Creator) Plan(ctx context.Context, b Batch) ([]Planned, error) {
	known, err := c.knownOf(ctx, b)
	if err != nil {
		return nil, fmt.Errorf("read the directory of database %q: %w", c.setup.cfg.Database, err)
	}
	plan := make([]Planned, len(b.Tenants))
	for i, n := range b.Tenants {
		plan[i] = known.plan(c.setup.cfg, n)
	}
	return plan, nil
}

// known is what the directory has about a batch.
type known struct {
	entries map[string]Entry          // by slug
	mine    map[any]bool              // ids of the tenants that the same command has created
	former  map[string]bool           // slugs that still lead to the tenants that had them
	taken   map[scopes.Placement]bool // by tenants of other slugs
}

func (c *Creator) knownOf(ctx context.Context, b Batch) (k known, err error) {
	k = known{map[string]Entry{}, map[any]bool{}, map[string]bool{}, map[scopes.Placement]bool{}}
	slugs := make([]string, len(b.Tenants))
	for i, n := range b.Tenants {
		slugs[i] = n.Slug
	}
	for _, read := range []func() error{
		func() error {
			return each(ctx, c.control, scanEntry, func(e Entry) { k.entries[e.Slug] = e },
				"select "+entryColumns+" from control.tenants where slug = any($1)", slugs)
		},
		func() error {
			return each(ctx, c.control, pgx.RowTo[scopes.TenantID], func(id scopes.TenantID) { k.mine[id] = true },
				"select tenant_id from control.audit_log l where "+byBatch, ofBatch(b.Key))
		},
		func() error {
			return each(ctx, c.control, pgx.RowTo[string], func(slug string) { k.former[slug] = true },
				"select slug from control.former_slugs where slug = any($1) and until > now()", slugs)
		},
		func() error {
			return each(ctx, c.control, pgx.RowToStructByPos[scopes.Placement], func(p scopes.Placement) { k.taken[p] = !c.setup.cfg.Shared(p) }, `
				select `+placementColumns+` from control.tenants where slug <> all($1)
				union all select coalesce(from_server, ''), coalesce(from_database, current_database()), from_schema from control.moves
				union all select coalesce(to_server, ''), coalesce(to_database, current_database()), to_schema from control.moves`, slugs)
		},
	} {
		if err := read(); err != nil {
			return k, err
		}
	}
	return k, nil
}

// each calls use with each row of a query.
func each[T any](ctx context.Context, conn *pgx.Conn, scan pgx.RowToFunc[T], use func(T), query string, args ...any) error {
	rows, _ := conn.Query(ctx, query, args...)
	all, err := pgx.CollectRows(rows, scan)
	for _, value := range all {
		use(value)
	}
	return err
}

// byBatch is the condition for entries of the audit log, aliased l, whose detail ends with $1, from [ofBatch].
const byBatch = "l.action = 'create' and l.tenant_id is not null and right(l.detail, length($1)) = $1"

// createdBy reports whether a batch has created the tenant of that slug.
func (c *Creator) createdBy(ctx context.Context, key, slug string) (created bool, err error) {
	err = c.control.QueryRow(ctx, `
		select exists (select from control.tenants t join control.audit_log l on l.tenant_id = t.id where t.slug = $2 and t.state <> $3 and `+byBatch+`)`,
		ofBatch(key), slug, StateDropping).Scan(&created)
	return created, err
}

func (k known) plan(cfg config.Config, n NewTenant) Planned {
	p := Planned{NewTenant: n}
	if p.Placement, p.Err = cfg.PlacementFor(n.Slug, n.Where); p.Err != nil {
		return p
	}
	e, exists := k.entries[n.Slug]
	switch {
	case exists && e.State != StateCreating && (e.State == StateDropping || !k.mine[e.ID]):
		p.Err = &ExistsError{n.Slug, e.State}
	case exists && n.Where != (config.Choice{}) && e.State == StateCreating && e.Placement != p.Placement:
		p.Err = fmt.Errorf("it is being created in %s, and not in %s", e.Placement, p.Placement)
	case exists:
		p.Placement, p.State = e.Placement, e.State
	case k.former[n.Slug]:
		p.Err = &ExistsError{Slug: n.Slug}
	case k.taken[p.Placement]: // then [Creator.enter] adds the id to the name
		p.Placement, p.Err = cfg.PlacementFor(n.Slug+"_ID", n.Where)
		if k.taken[p.Placement] {
			p.Err = fmt.Errorf("placement %s is another tenant's: choose another one", p.Placement)
		}
	}
	return p
}
