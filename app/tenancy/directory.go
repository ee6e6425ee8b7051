package tenancy

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"tenanted/app/config"
	"tenanted/scopes"
	"tenanted/scopes/tenanthttp"
)

// What the directory remembers, and for how long. A tenant that was suspended or moved is so for everyone after
// knownFor; a new one can be found after unknownFor.
const (
	knownFor   = 10 * time.Second
	unknownFor = 2 * time.Second
	knownMax   = 20_000
	unknownMax = 10_000 // apart from the known ones, which a flood of made-up names must not push out
)

// directoryConns bounds the connections for lookups, which take a fraction of a millisecond each.
const directoryConns = 4

// ErrNoOwner says that there is no owner's connection to list the tenants with.
var ErrNoOwner error = &config.Error{Variable: "PGOWNER", Reason: "is not set: only the owner may list the tenants"}

// Directory knows which tenants there are. It may be used by several goroutines at once.
type Directory struct {
	runtime *pgxpool.Pool
	owner   *pgxpool.Pool // nil: no list
	known   *lru.Cache[string, answer]
	unknown *lru.Cache[string, answer]
	now     func() time.Time

	remembers, asked atomic.Int64 // lookups, by where their answer was

	changes atomic.Int64 // notified so far
	stop    context.CancelFunc
	stopped chan struct{}
}

// answer is what a lookup found.
type answer struct {
	tenant  scopes.Tenant
	state   string // empty: there is no such tenant
	until   time.Time
	changes int64 // notified before the lookup; after another one the answer is not used
}

// Entry is a tenant in the list.
type Entry struct {
	scopes.Tenant
	State string // "creating", "active", "suspended" or "dropping"
}

// entryColumns are what scanEntry reads.
const entryColumns = "id, slug, name, coalesce(database, current_database()), schema, state"

func scanEntry(row pgx.CollectableRow) (e Entry, err error) {
	var id scopes.TenantID
	err = row.Scan(&id, &e.Slug, &e.Name, &e.Database, &e.Schema, &e.State)
	e.ID = id
	return e, err
}

// OpenDirectory returns the directory of cfg's default database. It connects to nothing yet. Close it after use.
func OpenDirectory(ctx context.Context, cfg config.Config) (*Directory, error) {
	runtime, err := newPool(ctx, cfg.Runtime(), directoryConns)
	if err != nil {
		return nil, err
	}
	d := &Directory{runtime: runtime, now: time.Now}
	if owner := cfg.OwnerConn(); owner != nil {
		if d.owner, err = newPool(ctx, owner, 1); err != nil {
			runtime.Close()
			return nil, err
		}
	}
	d.known, _ = lru.New[string, answer](knownMax)     // it fails only for a size
	d.unknown, _ = lru.New[string, answer](unknownMax) // that is not above zero
	return d, nil
}

// Watch has the directory listen for changes to tenants, made by whichever process, so that it forgets them at once
// instead of after some seconds. It takes one more connection, until Close. Call it once.
func (d *Directory) Watch(ctx context.Context, cfg config.Config) {
	ctx, d.stop = context.WithCancel(context.WithoutCancel(ctx))
	d.stopped = make(chan struct{})
	go func() {
		defer close(d.stopped)
		d.watch(ctx, cfg.Runtime())
	}()
}

func newPool(ctx context.Context, to *pgx.ConnConfig, conns int32) (*pgxpool.Pool, error) {
	pool, err := pgxpool.ParseConfig(to.ConnString())
	if err != nil {
		return nil, err
	}
	pool.ConnConfig = to
	pool.MaxConns = conns
	return pgxpool.NewWithConfig(ctx, pool)
}

// Lookup returns the active tenant with that slug. It returns a *scopes.TenantUnknownError if nobody bears
// it, a *scopes.TenantUnavailableError if the tenant is in another state than active, and an error with
// scopes.ErrUnavailable in its chain if the database is away. Answers may be some seconds old, unless the
// directory listens for changes: see [Directory.Watch].
func (d *Directory) Lookup(ctx context.Context, slug string) (scopes.Tenant, error) {
	if !tenanthttp.ValidSlug(slug) {
		return scopes.Tenant{}, &scopes.TenantUnknownError{Slug: slug}
	}
	found, ok := d.remembered(slug)
	if ok {
		d.remembers.Add(1)
	} else {
		d.asked.Add(1)
		var err error
		if found, err = d.ask(ctx, slug); err != nil {
			return scopes.Tenant{}, fmt.Errorf("look up tenant %q: %w", slug, explain(d.runtime.Config().ConnConfig, err))
		}
		d.remember(slug, found)
	}
	switch found.state {
	case "":
		return scopes.Tenant{}, &scopes.TenantUnknownError{Slug: slug}
	case StateActive:
		return found.tenant, nil
	default:
		return scopes.Tenant{}, &scopes.TenantUnavailableError{Slug: slug, State: found.state}
	}
}

func (d *Directory) remembered(slug string) (answer, bool) {
	found, ok := d.known.Get(slug)
	if !ok {
		found, ok = d.unknown.Get(slug)
	}
	return found, ok && found.changes == d.changes.Load() && d.now().Before(found.until)
}

func (d *Directory) remember(slug string, found answer) {
	if found.state == "" {
		found.until = d.now().Add(unknownFor)
		d.known.Remove(slug)
		d.unknown.Add(slug, found)
		return
	}
	found.until = d.now().Add(knownFor)
	d.unknown.Remove(slug)
	d.known.Add(slug, found)
}

func (d *Directory) ask(ctx context.Context, slug string) (answer, error) {
	a := answer{changes: d.changes.Load()}
	var id scopes.TenantID
	err := d.runtime.QueryRow(ctx, "select id, slug, name, database, schema, state from control.tenant_by_slug($1)", slug).
		Scan(&id, &a.tenant.Slug, &a.tenant.Name, &a.tenant.Database, &a.tenant.Schema, &a.state)
	a.tenant.ID = id
	if errors.Is(err, pgx.ErrNoRows) {
		return answer{changes: a.changes}, nil
	}
	return a, err
}

// Order is an order of tenants.
type Order string

// The orders. Slugs and names are in the order of people: "tenant-2" before "tenant-10".
const (
	ByID   Order = "id"
	BySlug Order = "slug collate control.names, id"
	ByName Order = "name collate control.names, id"
)

// List returns the tenants in that order, in whatever state: the first limit of them, or all for 0. Without an owner it
// returns [ErrNoOwner].
func (d *Directory) List(ctx context.Context, order Order, limit int) ([]Entry, error) {
	return d.entries(ctx, "order by "+string(order)+" limit nullif($1, 0)", limit)
}

// WithIDs returns the tenants of those ids, in the order of their ids and in whatever state; who is not in the directory is
// left out. Without an owner it returns [ErrNoOwner].
func (d *Directory) WithIDs(ctx context.Context, ids []scopes.TenantID) ([]Entry, error) {
	return d.entries(ctx, "where id = any ($1) order by id", ids)
}

// Find returns the tenant with that slug, in whatever state, as the database has it. It returns a *scopes.TenantUnknownError
// if nobody bears it, and without an owner [ErrNoOwner].
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
		return nil, fmt.Errorf("read the directory of tenants: %w", explain(d.owner.Config().ConnConfig, err))
	}
	return entries, nil
}

// DirectoryStats are the directory's figures since it was opened.
type DirectoryStats struct {
	Remembered, Asked int64 // lookups answered from memory, and by the database
	Known, Unknown    int   // slugs in memory, of tenants and of nobody
}

// Stats returns the current figures.
func (d *Directory) Stats() DirectoryStats {
	return DirectoryStats{Remembered: d.remembers.Load(), Asked: d.asked.Load(), Known: d.known.Len(), Unknown: d.unknown.Len()}
}

// Ping reports whether the directory's database answers.
func (d *Directory) Ping(ctx context.Context) error {
	return explain(d.runtime.Config().ConnConfig, d.runtime.Ping(ctx))
}

// Close closes the directory's connections, and waits for lookups under way. It returns no error; it is an io.Closer.
func (d *Directory) Close() error {
	if d.stop != nil {
		d.stop()
		<-d.stopped
	}
	d.runtime.Close()
	if d.owner != nil {
		d.owner.Close()
	}
	return nil
}
