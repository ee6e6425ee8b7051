package tenancy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"tenanted/app/config"
	"tenanted/models"
	"tenanted/scopes"
	"tenanted/scopes/tenanthttp"
)

// reserved are slugs that no tenant may have, since people expect something else at these host names.
var reserved = []string{"admin", "api", "app", "assets", "auth", "cdn", "control", "ftp", "imap", "localhost", "mail", "mx", "ns", "pop", "public",
	"smtp", "static", "status", "support", "webmail", "www"}

// ExistsError says that a slug is taken: a tenant has it, or had it and is still found by it.
type ExistsError struct {
	Slug  string
	State string // of the tenant that has it; empty: it is another tenant's former slug
}

func (e *ExistsError) Error() string {
	if e.State == "" {
		return fmt.Sprintf("slug %q still leads to the tenant that had it: choose another slug", e.Slug)
	}
	return fmt.Sprintf("tenant %q exists, in state %q: choose another slug", e.Slug, e.State)
}

// StateError says that a tenant is in a state from which it does not get into another one.
type StateError struct{ Slug, State, From, To string }

func (e *StateError) Error() string {
	return fmt.Sprintf("tenant %q is in state %q: only one in state %q becomes %s", e.Slug, e.State, e.From, e.To)
}

// maxName bounds a tenant's name, in characters.
const maxName = 200

// CheckName says what is wrong with what a tenant is to be called, or nothing.
func CheckName(name string) error {
	switch n := utf8.RuneCountInString(name); {
	case !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl):
		return fmt.Errorf("%q has characters that cannot be shown: leave them out", name)
	case n > maxName:
		return fmt.Errorf("has %d characters: use at most %d", n, maxName)
	}
	return nil
}

var errNotASlug = errors.New("not a slug: use letters a to z, digits and hyphens, at most 63, no hyphen at the ends")

// mayBeCalled refuses invalid and reserved slugs.
func mayBeCalled(slug string) error {
	switch {
	case !tenanthttp.ValidSlug(slug):
		return errNotASlug
	case slices.Contains(reserved, slug):
		return fmt.Errorf("the slug is reserved: choose another one")
	}
	return nil
}

// CreateByName creates a tenant with the next free id and no data but its row in accounts. It completes a tenant in state
// "creating"; for a tenant in another state it returns an *ExistsError.
func (c *Creator) CreateByName(ctx context.Context, slug, name string, where config.Choice) (t scopes.Tenant, err error) {
	return c.createEmpty(ctx, NewTenant{Slug: slug, Name: name, Where: where})
}

// createEmpty is [Creator.CreateByName]. It ignores n.ID.
func (c *Creator) createEmpty(ctx context.Context, n NewTenant) (t scopes.Tenant, err error) {
	reserved, err := c.reserve(ctx, n)
	if err != nil {
		return t, fmt.Errorf("create tenant %q: %w", n.Slug, err)
	}
	err = c.making(ctx, reserved, func() error {
		n.ID = models.AccountID(reserved)
		t, err = c.Create(ctx, n, func(ctx context.Context, in Placed) error {
			return in.Begin(ctx, func(tx pgx.Tx) error {
				_, err := tx.Exec(ctx, "insert into accounts (id) values ($1) on conflict do nothing", n.ID)
				return err
			})
		})
		return err
	})
	return t, err
}

// reserve enters a tenant with the next free id into the directory, or finds the one in state "creating". It ignores n.ID.
func (c *Creator) reserve(ctx context.Context, n NewTenant) (t scopes.Tenant, err error) {
	if err := mayBeCalled(n.Slug); err != nil {
		return t, err
	}
	err = c.alone(ctx, func(tx pgx.Tx) error {
		const query = "select coalesce((select id from control.tenants where slug = $1), nextval('control.tenant_ids'))"
		if err := tx.QueryRow(ctx, query, n.Slug).Scan(&n.ID); err != nil {
			return err
		}
		found, state, err := c.enter(ctx, n)
		if err == nil && state != StateCreating {
			err = &ExistsError{n.Slug, state}
		}
		t = found
		return err
	})
	return t, err
}

// making calls work under the tenant's lock if the tenant is still in state "creating" then.
func (c *Creator) making(ctx context.Context, t scopes.Tenant, work func() error) error {
	return c.exclusively(ctx, t, func(state string) error {
		if state != StateCreating {
			return &ExistsError{t.Slug, state}
		}
		return work()
	})
}

// exclusively calls work with a tenant's state, under a lock that keeps others from creating, moving or dropping the tenant. The
// lock has its own connection, since work uses the others, and is a transaction's, since a session's does not hold behind a pooler.
func (c *Creator) exclusively(ctx context.Context, t scopes.Tenant, work func(state string) error) (err error) {
	if c.locks == nil || c.locks.IsClosed() {
		if c.locks, err = connect(ctx, c.setup.cfg.OwnerConn()); err != nil {
			return err
		}
	}
	return pgx.BeginFunc(ctx, c.locks, func(tx pgx.Tx) error {
		var state string
		_, err := tx.Exec(ctx, "select set_config('lock_timeout', '10s', true), set_config('idle_in_transaction_session_timeout', '0', true)")
		if err == nil {
			_, err = tx.Exec(ctx, "select pg_advisory_xact_lock(hashtextextended($1, 0))", "tenanted making tenant "+t.Key())
		}
		if err == nil {
			err = tx.QueryRow(ctx, "select state from control.tenants where id = $1", t.ID).Scan(&state)
		}
		switch {
		case code(err) == codeLockTimeout:
			return fmt.Errorf("another process is at work on tenant %q: wait until it is done", t.Slug)
		case errors.Is(err, pgx.ErrNoRows):
			return &scopes.TenantUnknownError{Slug: t.Slug}
		case err != nil:
			return fmt.Errorf("tenant %q: %w", t.Slug, err)
		}
		return work(state)
	})
}

// alone runs work in a transaction that locks the directory against other changes.
func (c *Creator) alone(ctx context.Context, work func(pgx.Tx) error) error {
	return pgx.BeginFunc(ctx, c.control, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "lock table control.tenants in share row exclusive mode"); err != nil {
			return err
		}
		return work(tx)
	})
}

// Suspend stops serving a tenant, at once in all running processes, and keeps its data. It does nothing for a suspended tenant. The
// errors are those of [Creator.Find], and one if the tenant is in another state.
func (c *Creator) Suspend(ctx context.Context, tenant string) (Entry, error) {
	e, err := c.Find(ctx, tenant)
	if err != nil {
		return e, err
	}
	return e, c.logged(ctx, "suspend", e.Tenant, "", func() error { return c.change(ctx, e, StateActive, StateSuspended) })
}

// Resume serves a suspended tenant again if its database exists and belongs to this deployment. The sessions of before have ended. It
// does nothing for an active tenant. The errors are those of [Creator.Suspend].
func (c *Creator) Resume(ctx context.Context, tenant string) (Entry, error) {
	e, err := c.Find(ctx, tenant)
	if err != nil {
		return e, err
	}
	return e, c.logged(ctx, "resume", e.Tenant, "", func() error {
		if err := c.connectTo(ctx, e.Placement); err != nil {
			return fmt.Errorf("resume tenant %q: %w", e.Slug, err)
		}
		if e.State == StateSuspended {
			if err := c.endSessions(ctx, e.Tenant); err != nil {
				return fmt.Errorf("resume tenant %q: end the sessions of before: %w", e.Slug, err)
			}
		}
		return c.change(ctx, e, StateSuspended, StateActive)
	})
}

// endSessions signs all of a tenant's users out, in the placement that the creator is connected to. While the tenant is suspended
// nobody can use a session, so that this can wait until its database is needed anyway.
func (c *Creator) endSessions(ctx context.Context, t scopes.Tenant) error {
	return Placed{c.placed, t.Schema}.Begin(ctx, func(tx pgx.Tx) error {
		var there bool
		if err := tx.QueryRow(ctx, "select to_regclass('sessions') is not null").Scan(&there); err != nil || !there {
			return err // tables of before there were sessions
		}
		_, err := tx.Exec(ctx, "delete from sessions where account_id = $1", t.ID)
		return err
	})
}

// Find returns the tenant of any state with that slug or id. It returns a *scopes.TenantUnknownError if there is none, and an error
// if it is the slug of one tenant and the id of another.
func (c *Creator) Find(ctx context.Context, tenant string) (Entry, error) {
	rows, _ := c.control.Query(ctx, "select "+entryColumns+" from control.tenants where slug = $1 or id::text = $1", tenant)
	found, err := pgx.CollectRows(rows, scanEntry)
	switch {
	case err != nil:
		return Entry{}, err
	case len(found) == 0:
		return Entry{}, &scopes.TenantUnknownError{Slug: tenant}
	case len(found) > 1:
		return Entry{}, fmt.Errorf("%q is the slug of %v and the id of another tenant: use the id of the one you mean", tenant, bySlug(found, tenant).Tenant)
	}
	return found[0], nil
}

func bySlug(entries []Entry, slug string) Entry {
	return entries[slices.IndexFunc(entries, func(e Entry) bool { return e.Slug == slug })]
}

// change brings a tenant from one state to another.
func (c *Creator) change(ctx context.Context, e Entry, from, to string) error {
	tag, err := c.control.Exec(ctx, "update control.tenants set state = $3 where id = $1 and state in ($2, $3)", e.ID, from, to)
	if err != nil || tag.RowsAffected() > 0 {
		return err
	}
	now, err := c.Find(ctx, e.Slug)
	if err != nil {
		return err
	}
	return &StateError{e.Slug, now.State, from, to}
}
