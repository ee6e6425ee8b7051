package tenancy

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"tenanted/scopes"
)

// seedIDs is up to which id tenants are the seed's, which numbers them from 1. Those that are created by name come behind.
const seedIDs = 1_000_000

// reserved are slugs that no tenant may have: host names that people expect something else behind.
var reserved = []string{"admin", "api", "app", "assets", "auth", "cdn", "control", "ftp", "imap", "localhost", "mail", "mx", "ns", "pop", "public",
	"smtp", "static", "status", "support", "webmail", "www"}

// ExistsError says that a tenant cannot be created since it is there.
type ExistsError struct {
	Slug, State string
}

func (e *ExistsError) Error() string {
	return fmt.Sprintf("tenant %q exists, in state %q: choose another slug", e.Slug, e.State)
}

// CreateByName makes a tenant with the next free id and no data but its row in accounts, as [Creator.Create] does. It continues with one that is in state
// "creating"; for one in another state it returns an *ExistsError.
func (c *Creator) CreateByName(ctx context.Context, slug, name string) (scopes.Tenant, error) {
	if slices.Contains(reserved, slug) {
		return scopes.Tenant{}, fmt.Errorf("create tenant %q: the slug is reserved: choose another one", slug)
	}
	n := NewTenant{Slug: slug, Name: name}
	err := pgx.BeginFunc(ctx, c.control, func(tx pgx.Tx) error {
		// Two who create tenants at once must not take the same id.
		if _, err := tx.Exec(ctx, "lock table control.tenants in share row exclusive mode"); err != nil {
			return err
		}
		const query = "select coalesce((select id from control.tenants where slug = $1), (select greatest(max(id), $2) + 1 from control.tenants))"
		if err := tx.QueryRow(ctx, query, slug, seedIDs).Scan(&n.ID); err != nil {
			return err
		}
		_, state, err := c.enter(ctx, n)
		if err == nil && state != StateCreating {
			err = &ExistsError{slug, state}
		}
		return err
	})
	if err != nil {
		return scopes.Tenant{}, fmt.Errorf("create tenant %q: %w", slug, err)
	}
	return c.Create(ctx, n, func(ctx context.Context, in Placed) error {
		return in.Begin(ctx, func(tx pgx.Tx) error {
			_, err := tx.Exec(ctx, "insert into accounts (id) values ($1) on conflict do nothing", n.ID)
			return err
		})
	})
}

// Suspend ends the serving of a tenant; its data stays. A suspended one stays as it is. Running processes know at once.
// It returns a *scopes.TenantUnknownError if there is no such tenant, and an error if it is in another state than "active".
func (c *Creator) Suspend(ctx context.Context, slug string) error {
	return c.change(ctx, slug, StateActive, StateSuspended)
}

// Resume has a suspended tenant served again, if its database is there and this deployment's. An active one stays as it is.
// The errors are those of [Creator.Suspend].
func (c *Creator) Resume(ctx context.Context, slug string) error {
	e, err := c.entry(ctx, slug)
	if err == nil {
		err = c.connectTo(ctx, e.Database)
	}
	if err != nil {
		return fmt.Errorf("resume tenant %q: %w", slug, err)
	}
	return c.change(ctx, slug, StateSuspended, StateActive)
}

func (c *Creator) entry(ctx context.Context, slug string) (Entry, error) {
	rows, _ := c.control.Query(ctx, "select "+entryColumns+" from control.tenants where slug = $1", slug)
	e, err := pgx.CollectExactlyOneRow(rows, scanEntry)
	if errors.Is(err, pgx.ErrNoRows) {
		err = &scopes.TenantUnknownError{Slug: slug}
	}
	return e, err
}

// change brings a tenant from one state to another.
func (c *Creator) change(ctx context.Context, slug, from, to string) error {
	tag, err := c.control.Exec(ctx, "update control.tenants set state = $3 where slug = $1 and state in ($2, $3)", slug, from, to)
	if err != nil || tag.RowsAffected() > 0 {
		return err
	}
	e, err := c.entry(ctx, slug)
	if err != nil {
		return err
	}
	return fmt.Errorf("tenant %q is in state %q: only one in state %q becomes %s", slug, e.State, from, to)
}
