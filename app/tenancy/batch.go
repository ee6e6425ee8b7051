package tenancy

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"tenanted/app/config"
	"tenanted/scopes"
)

// Batch is the tenants that one command creates, each empty and with the next free id, as [Creator.CreateByName] does.
type Batch struct {
	// Key tells one command from another. It is in the audit log, so that the same command given again takes the tenants that it has
	// created for done, and refuses those of others.
	Key     string
	Tenants []NewTenant // their ids are not looked at
}

const batchMark = ", batch "

// ofBatch is how the audit log's entry of a tenant ends that a batch has created.
func ofBatch(key string) string {
	if key == "" {
		return ""
	}
	return batchMark + key
}

// Check returns what is wrong with the tenants before anything is looked up: a slug or place that cannot be, or that of an
// earlier one. The errors are in the order of the tenants; nil is for one that can be created.
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
			errs[i] = errors.New("the slug is there twice")
		case places[placement] && !cfg.Shared(placement):
			errs[i] = fmt.Errorf("the placement %s is there twice", placement)
		}
		slugs[n.Slug], places[placement] = true, true
	}
	return errs
}

// Planned is what there is of a tenant of a batch.
type Planned struct {
	NewTenant
	Placement scopes.Placement // where it is or will be
	State     string           // empty: there is nothing; StateCreating: it was begun; any other: the same command has created it
	Err       error            // why it cannot be created
}

// Missing reports whether the tenant is to be created, or completed.
func (p Planned) Missing() bool { return p.State == "" || p.State == StateCreating }

// Plan looks what there is of the tenants of a batch that has passed [Batch.Check], and changes nothing.
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

// known is what the directory has that concerns a batch.
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
	rows, _ := c.control.Query(ctx, "select "+entryColumns+" from control.tenants where slug = any($1)", slugs)
	entries, err := pgx.CollectRows(rows, scanEntry)
	if err != nil {
		return k, err
	}
	for _, e := range entries {
		k.entries[e.Slug] = e
	}
	rows, _ = c.control.Query(ctx, "select tenant_id from control.audit_log l where "+byBatch, ofBatch(b.Key))
	ids, err := pgx.CollectRows(rows, pgx.RowTo[scopes.TenantID])
	if err != nil {
		return k, err
	}
	for _, id := range ids {
		k.mine[id] = true
	}
	rows, _ = c.control.Query(ctx, "select slug from control.former_slugs where slug = any($1) and until > now()", slugs)
	former, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return k, err
	}
	for _, slug := range former {
		k.former[slug] = true
	}
	rows, _ = c.control.Query(ctx, `
		select `+placementColumns+` from control.tenants where slug <> all($1)
		union all select coalesce(from_server, ''), coalesce(from_database, current_database()), from_schema from control.moves
		union all select coalesce(to_server, ''), coalesce(to_database, current_database()), to_schema from control.moves`, slugs)
	placements, err := pgx.CollectRows(rows, pgx.RowToStructByPos[scopes.Placement])
	for _, p := range placements {
		k.taken[p] = !c.setup.cfg.Shared(p)
	}
	return k, err
}

// byBatch is the condition for entries of the audit log, l, that end as [ofBatch] has it.
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
	case k.taken[p.Placement]: // as [Creator.enter] has it
		p.Placement, p.Err = cfg.PlacementFor(n.Slug+"_ID", n.Where)
		if k.taken[p.Placement] {
			p.Err = fmt.Errorf("placement %s is another tenant's: choose another one", p.Placement)
		}
	}
	return p
}
