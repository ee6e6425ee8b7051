package tenancy

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"tenanted/scopes"
)

// Rename is what [Creator.Rename] changes of a tenant.
type Rename struct {
	Slug string // empty: unchanged
	Name string // empty: unchanged
	// RedirectFor is how long the former slug leads to the tenant, and is not given to another one. 0: not at all.
	RedirectFor time.Duration
}

// Rename changes a tenant's slug or name; its placement keeps its name. It returns the tenant as it was before. A tenant may have
// several former slugs, and can take one of them back. The errors are those of [Creator.Find], and an *ExistsError if the slug is
// taken.
func (c *Creator) Rename(ctx context.Context, tenant string, to Rename) (Entry, error) {
	e, err := c.Find(ctx, tenant)
	switch {
	case err != nil:
		return e, err
	case to.Slug == e.Slug:
		to.Slug = ""
	}
	if to.Slug == "" && (to.Name == "" || to.Name == e.Name) {
		return e, nil
	}
	return e, c.logged(ctx, "rename", e.Tenant, to.String(), func() error {
		err := c.alone(ctx, func(tx pgx.Tx) error { return rename(ctx, tx, e, to) })
		if err != nil {
			return fmt.Errorf("rename tenant %q: %w", e.Slug, err)
		}
		return nil
	})
}

// String describes the change.
func (r Rename) String() string {
	switch {
	case r.Slug == "":
		return fmt.Sprintf("name %q", r.Name)
	case r.Name == "":
		return fmt.Sprintf("to %s, redirected for %s", r.Slug, r.RedirectFor)
	default:
		return fmt.Sprintf("to %s, redirected for %s; name %q", r.Slug, r.RedirectFor, r.Name)
	}
}

func rename(ctx context.Context, tx pgx.Tx, e Entry, to Rename) error {
	if to.Slug != "" {
		if err := errors.Join(mayBeCalled(to.Slug), slugIsFree(ctx, tx, e.ID, to.Slug)); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `
			insert into control.former_slugs (slug, tenant_id, until) select $1, $2, now() + $3 where $3 > interval '0'
			on conflict (slug) do update set tenant_id = excluded.tenant_id, until = excluded.until`,
			e.Slug, e.ID, to.RedirectFor)
		if err != nil {
			return err
		}
	}
	_, err := tx.Exec(ctx, "update control.tenants set slug = coalesce(nullif($2, ''), slug), name = coalesce(nullif($3, ''), name) where id = $1",
		e.ID, to.Slug, to.Name)
	return err
}

// slugIsFree refuses another tenant's slug, and one that still leads to another tenant. It deletes a former slug of the same
// tenant, and one that has expired.
func slugIsFree(ctx context.Context, tx pgx.Tx, id any, slug string) error {
	_, err := tx.Exec(ctx, "delete from control.former_slugs where slug = $1 and (tenant_id = $2 or until <= now())", slug, id)
	if err != nil {
		return err
	}
	var state string
	err = tx.QueryRow(ctx, `
		select state from control.tenants where slug = $1 and id <> $2
		union all select '' from control.former_slugs where slug = $1`, slug, id).Scan(&state)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil
	case err != nil:
		return err
	}
	return &ExistsError{slug, state}
}

// FormerSlug is a slug that a tenant had, and that leads to it for a while.
type FormerSlug struct {
	Slug  string
	Until time.Time
}

func (c *Creator) formerSlugs(ctx context.Context, t scopes.Tenant) ([]FormerSlug, error) {
	rows, _ := c.control.Query(ctx, "select slug, until from control.former_slugs where tenant_id = $1 and until > now() order by until desc, slug", t.ID)
	return pgx.CollectRows(rows, pgx.RowToStructByPos[FormerSlug])
}
