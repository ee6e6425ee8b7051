package fleet

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"tenanted/scopes"
	"tenanted/scopes/catalog"
	"tenanted/scopes/session"
)

// Part is placements, and what migrates them. A placement that is in several parts has their migrations in the order of the parts, each
// with a version table of its own.
type Part struct {
	Fleet      *Fleet             // the migrations
	Placements []scopes.Placement // any number
}

// Drift is what became of a placement's schema since it was migrated.
type Drift struct {
	scopes.Placement
	Differences []catalog.Difference // from what the migrations make; none: there is no drift
	Err         error                // why it could not be compared
}

// ErrNewer says that a placement was migrated by a newer program, whose migrations are not known here.
var ErrNewer = errors.New("a newer program has migrated it")

// ErrLocked says that somebody has locked one of a placement's tables, so that it could not be compared.
var ErrLocked = errors.New("one of its tables is locked")

// Drifts compares placements with what the migrations make, at the version where each placement is. What the migrations make is found
// out once on each server for each version, in a schema that is made, migrated and rolled back in one transaction of a placement's
// database; the placements of a database are read by one query. Rights count where Config.After gives them, at the
// newest version. It changes nothing, and locks nothing but what it makes itself. A placement without a version table is left alone. The answers
// are in the order in which the placements first appear.
func Drifts(ctx context.Context, parts ...Part) []Drift {
	if len(parts) == 0 {
		return nil
	}
	c := &comparer{parts: parts, fresh: map[string]*fresh{}}
	all := placementsOf(parts)
	answers := make(map[scopes.Placement]Drift, len(all))
	var mutex sync.Mutex
	var looking errgroup.Group
	looking.SetLimit(parts[0].Fleet.config.Jobs)
	for _, group := range byDatabase(all) {
		looking.Go(func() error {
			drifts := c.database(ctx, group)
			mutex.Lock()
			defer mutex.Unlock()
			for _, d := range drifts {
				answers[d.Placement] = d
			}
			return nil
		})
	}
	_ = looking.Wait() // errors are in the answers
	drifts := make([]Drift, len(all))
	for i, p := range all {
		drifts[i] = answers[p]
	}
	return drifts
}

// placementsOf returns the placements of all parts, in the order in which they first appear.
func placementsOf(parts []Part) (all []scopes.Placement) {
	seen := map[scopes.Placement]bool{}
	for _, part := range parts {
		for _, p := range part.Placements {
			if !seen[p] {
				seen[p] = true
				all = append(all, p)
			}
		}
	}
	return all
}

// within returns the part's placements among those of a database.
func (p Part) within(group []scopes.Placement) (of []scopes.Placement) {
	wanted := map[scopes.Placement]bool{}
	for _, placement := range group {
		wanted[placement] = true
	}
	for _, placement := range p.Placements {
		if wanted[placement] {
			of = append(of, placement)
		}
	}
	return of
}

// comparer is one call of Drifts.
type comparer struct {
	parts []Part
	mutex sync.Mutex
	fresh map[string]*fresh // by the server and the recipe
}

// fresh is what a recipe makes.
type fresh struct {
	mutex  sync.Mutex
	made   bool
	schema catalog.Schema
	what   catalog.What
}

// recipe is how a schema was made: parts with the version that each is at.
type recipe []ingredient

type ingredient struct {
	fleet   *Fleet
	version int64
}

func (r recipe) String() string {
	var b strings.Builder
	for _, i := range r {
		fmt.Fprintf(&b, "%p %d ", i.fleet, i.version)
	}
	return b.String()
}

// database compares the placements of one database.
func (c *comparer) database(ctx context.Context, group []scopes.Placement) []Drift {
	drifts := make([]Drift, len(group))
	recipes, schemas, err := c.read(ctx, group)
	for i, p := range group {
		d := Drift{Placement: p, Err: err}
		has, read := schemas[p.Schema]
		switch {
		case err != nil || len(recipes[p.Schema]) == 0:
		case !read:
			d.Err = ErrLocked
		default:
			d.Differences, d.Err = c.compare(ctx, p, recipes[p.Schema], has)
		}
		drifts[i] = d
	}
	return drifts
}

// read returns, by schema, how the placements of a database were made, and what those have that nobody has locked.
func (c *comparer) read(ctx context.Context, group []scopes.Placement) (map[string]recipe, map[string]catalog.Schema, error) {
	conn, err := c.parts[0].Fleet.connectAnyhow(ctx, group[0])
	if err != nil {
		return nil, nil, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	recipes := map[string]recipe{}
	for _, part := range c.parts {
		states, err := part.Fleet.statesOver(ctx, conn, part.within(group))
		if err != nil {
			return nil, nil, err
		}
		for schema, s := range states {
			recipes[schema] = append(recipes[schema], ingredient{part.Fleet, s.newest})
		}
	}
	schemas := slices.Sorted(maps.Keys(recipes))
	locked, err := catalog.Locked(ctx, conn, schemas...)
	if err != nil {
		return nil, nil, err
	}
	schemas = slices.DeleteFunc(schemas, func(schema string) bool { return slices.Contains(locked, schema) })
	found, err := catalog.ReadOnly(ctx, conn, schemas...)
	return recipes, found, err
}

func (c *comparer) compare(ctx context.Context, p scopes.Placement, r recipe, has catalog.Schema) ([]catalog.Difference, error) {
	for _, i := range r {
		if i.version > i.fleet.Newest() {
			return nil, fmt.Errorf("%w: to version %d, and this one knows %d", ErrNewer, i.version, i.fleet.Newest())
		}
	}
	at := p.Server + " " + r.String()
	if r[0].fleet.config.NamesSchema {
		at += p.Schema
	}
	c.mutex.Lock()
	f, known := c.fresh[at]
	if !known {
		f = &fresh{}
		c.fresh[at] = f
	}
	c.mutex.Unlock()
	if err := f.once(ctx, p, r); err != nil {
		return nil, fmt.Errorf("make what the migrations make, to compare: %w", err)
	}
	return catalog.Compare(f.schema, has, f.what), nil
}

// once calls make until it has succeeded: another database's owner may be able to.
func (f *fresh) once(ctx context.Context, p scopes.Placement, r recipe) error {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if f.made {
		return nil
	}
	return f.make(ctx, p, r)
}

// make finds out what a recipe makes, in a transaction of a placement's database that is rolled back.
func (f *fresh) make(ctx context.Context, p scopes.Placement, r recipe) error {
	first := r[0].fleet
	w := newWorker(first, p, func(Lock) {})
	defer w.close()
	if err := w.open(ctx); err != nil {
		return err
	}
	scratch := p.InSchema("fleet_" + strings.ToLower(rand.Text()))
	return w.inTransaction(ctx, func(db *sql.DB) error {
		if first.config.NamesSchema {
			aside := fmt.Sprintf("alter schema %s rename to %s", pgx.Identifier{p.Schema}.Sanitize(), pgx.Identifier{scratch.Schema}.Sanitize())
			if _, err := w.conn.Exec(ctx, aside); err != nil {
				return err
			}
			scratch = p
		}
		return f.within(ctx, w, db, scratch, r)
	}, "rollback")
}

func (f *fresh) within(ctx context.Context, w *worker, db *sql.DB, scratch scopes.Placement, r recipe) error {
	if err := w.enter(ctx, scratch); err != nil {
		return err
	}
	for _, i := range r {
		provider, err := i.fleet.provider(db)
		if err != nil {
			return err
		}
		if _, _, err := provider.GetVersions(ctx); err != nil { // which makes the version table
			return err
		}
		if i.version > 0 {
			if _, err := provider.UpTo(ctx, i.version); err != nil {
				return err
			}
		}
		if i.version < i.fleet.Newest() || i.fleet.config.After == nil {
			f.what = catalog.WithoutRights
		}
		if f.what == catalog.Everything {
			if err := i.fleet.config.After(ctx, w.conn, scratch); err != nil {
				return err
			}
		}
	}
	if _, err := w.conn.Exec(ctx, catalog.SearchPath); err != nil {
		return err
	}
	schemas, err := catalog.Read(ctx, w.conn, scratch.Schema)
	if err != nil {
		return err
	}
	f.schema, f.made = schemas[scratch.Schema], true
	return nil
}

// connectAnyhow opens a connection to look at a placement's database, through whatever.
func (f *Fleet) connectAnyhow(ctx context.Context, p scopes.Placement) (*pgx.Conn, error) {
	to, err := f.connConfig(p)
	if err != nil {
		return nil, err
	}
	conn, err := pgx.ConnectConfig(ctx, to)
	return conn, session.Explain(err)
}
