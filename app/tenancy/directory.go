package tenancy

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"tenanted/app/config"
	"tenanted/scopes"
	"tenanted/scopes/directory"
	"tenanted/scopes/session"
)

// ErrNoOwner says that there is no owner's connection, which is needed to list the tenants.
var ErrNoOwner error = &config.Error{Variable: "PGOWNER", Reason: "is not set: only the owner may list the tenants"}

// Directory finds tenants by name, as the runtime role, and lists them, as the owner. It may be used by several goroutines at
// once.
type Directory struct {
	*directory.Directory
	owner *pgxpool.Pool // nil: no list
	cfg   config.Config
}

// Entry is a tenant in the list.
type Entry struct {
	scopes.Tenant
	State string // "creating", "active", "suspended" or "dropping"
	// Version is that of its tables, as far as `migrate` has told; 0: not known.
	Version int64
}

// placementColumns are the columns of control.tenants for a placement, in the order of scopes.Placement.
const placementColumns = "coalesce(server, ''), coalesce(database, current_database()), schema"

// entryColumns are what scanEntry reads, of control.tenants.
const entryColumns = "id, slug, name, " + placementColumns + `, state,
	coalesce((select v.version from control.placement_versions v where v.server = coalesce(tenants.server, '') and v.database = coalesce(tenants.database, '')
		and v.schema = tenants.schema and v.migrations = 'tenant'), 0)`

func scanEntry(row pgx.CollectableRow) (e Entry, err error) {
	var id scopes.TenantID
	err = row.Scan(&id, &e.Slug, &e.Name, &e.Server, &e.Database, &e.Schema, &e.State, &e.Version)
	e.ID = id
	return e, err
}

// OpenDirectory returns the directory of cfg's default database. It does not connect yet. Close it after use.
func OpenDirectory(ctx context.Context, cfg config.Config) (*Directory, error) {
	return openDirectory(ctx, cfg, nil)
}

// openDirectory is [OpenDirectory] with what is told of notifications.
func openDirectory(ctx context.Context, cfg config.Config, notified func(string) bool) (*Directory, error) {
	found, err := directory.Open(ctx, directory.Config{
		Database:      cfg.Runtime(),
		BeforeConnect: cfg.Servers()[0].BeforeConnect,
		Notified:      notified,
		Query:         "select id, slug, name, server, database, schema, state from control.tenant_by_slug($1)",
	})
	if err != nil {
		return nil, err
	}
	d := &Directory{Directory: found, cfg: cfg}
	if owner := cfg.OwnerConn(); owner != nil {
		if d.owner, err = newPool(ctx, owner, cfg.Servers()[0].BeforeConnect); err != nil {
			return nil, errors.Join(err, found.Close())
		}
	}
	return d, nil
}

// newPool returns a pool of one connection. pgxpool reads the process's environment by itself, which to has replaced.
func newPool(ctx context.Context, to *pgx.ConnConfig, before func(context.Context, *pgx.ConnConfig) error) (*pgxpool.Pool, error) {
	pool, err := pgxpool.ParseConfig(to.ConnString())
	if err != nil {
		return nil, err
	}
	pool.ConnConfig, pool.BeforeConnect, pool.MaxConns = to, before, 1
	return pgxpool.NewWithConfig(ctx, pool)
}

// Order is an order of tenants.
type Order string

// The orders. Slugs and names are in natural order: "tenant-2" before "tenant-10".
const (
	ByID   Order = "id"
	BySlug Order = "slug collate control.names, id"
	ByName Order = "name collate control.names, id"
)

// List returns the tenants of any state in that order, at most limit, or all for 0. Without an owner it returns [ErrNoOwner].
func (d *Directory) List(ctx context.Context, order Order, limit int) ([]Entry, error) {
	return d.entries(ctx, "order by "+string(order)+" limit nullif($1, 0)", limit)
}

// WithIDs returns the tenants of any state with those ids, in the order of the ids. Ids that are not in the directory are ignored.
// Without an owner it returns [ErrNoOwner].
func (d *Directory) WithIDs(ctx context.Context, ids []scopes.TenantID) ([]Entry, error) {
	return d.entries(ctx, "where id = any ($1) order by id", ids)
}

// Find returns the tenant of any state with that slug, from the database and not the cache. It returns a
// *scopes.TenantUnknownError if there is none, and [ErrNoOwner] without an owner.
func (d *Directory) Find(ctx context.Context, slug string) (Entry, error) {
	entries, err := d.entries(ctx, "where slug = $1", slug)
	if err == nil && len(entries) == 0 {
		err = &scopes.TenantUnknownError{Slug: slug}
	}
	if err != nil {
		return Entry{}, err
	}
	return entries[0], nil
}

func (d *Directory) entries(ctx context.Context, which string, arg any) ([]Entry, error) {
	if d.owner == nil {
		return nil, ErrNoOwner
	}
	rows, _ := d.owner.Query(ctx, "select "+entryColumns+" from control.tenants "+which, arg)
	entries, err := pgx.CollectRows(rows, scanEntry)
	if err != nil {
		return nil, fmt.Errorf("read the directory of tenants: %w", session.Explain(err))
	}
	return entries, nil
}

// Close waits for lookups in progress and closes the directory's connections. The error is always nil, as io.Closer needs one.
func (d *Directory) Close() error {
	if d.owner != nil {
		d.owner.Close()
	}
	return d.Directory.Close()
}
