package tenancy

import (
	"context"
	"errors"
	"slices"
	"sync"

	"tenanted/migrations"
	"tenanted/scopes"
	"tenanted/scopes/fleet"
)

// CreatePlanned creates the missing tenants of a plan, jobs at a time. It calls done with each one's index in the plan and its error,
// one call at a time. A tenant that fails does not stop the others. When ctx ends, CreatePlanned starts no other tenant, and returns
// ctx's error.
func (s *Setup) CreatePlanned(ctx context.Context, key string, plan []Planned, jobs int, done func(i int, err error)) error {
	ahead, err := s.NewCreator(ctx)
	if err != nil {
		return err
	}
	defer ahead.Close(context.WithoutCancel(ctx))
	w := &batchWork{setup: s, key: key, plan: plan, jobs: jobs, done: done, tenants: make(chan int), made: map[scopes.Placement]bool{}}
	w.templates = s.makeTemplates(ctx, ahead.deployment, plan)
	defer w.templates.drop(ctx)
	var working sync.WaitGroup
	for range min(jobs, len(plan)) {
		working.Go(func() { w.work(ctx) })
	}
	defer working.Wait()
	defer close(w.tenants)
	return w.feed(ctx, ahead)
}

// batchWork is the creation of a plan's tenants.
type batchWork struct {
	setup     *Setup
	key       string
	plan      []Planned
	jobs      int
	templates templates
	tenants   chan int // indexes in the plan

	mutex sync.Mutex // guards made, and serialises the calls of done
	done  func(i int, err error)
	made  map[scopes.Placement]bool // the placements that have their tables
}

// aheadAtOnce is how many placements are migrated together before their tenants are created one by one.
const aheadAtOnce = 50

// feed hands the tenants to the workers.
func (w *batchWork) feed(ctx context.Context, ahead *Creator) error {
	var missing []int
	for i, p := range w.plan {
		if p.Missing() {
			missing = append(missing, i)
		}
	}
	for chunk := range slices.Chunk(missing, aheadAtOnce) {
		w.migrateAhead(ctx, ahead, chunk)
		for _, i := range chunk {
			select {
			case w.tenants <- i:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	return nil
}

// migrateAhead migrates the placements of some tenants together, which needs fewer connections than one at a time. Errors are ignored:
// a placement that fails is migrated again when its tenant is created, and the error is reported then.
func (w *batchWork) migrateAhead(ctx context.Context, c *Creator, chunk []int) {
	var placements []scopes.Placement
	for _, i := range chunk {
		if p := w.plan[i].Placement; w.setup.cfg.Shared(p) || w.templates.has(w.setup, p) {
			continue
		}
		if t, err := c.reserve(ctx, w.plan[i].NewTenant); err == nil {
			placements = append(placements, t.Placement)
		}
	}
	if len(placements) == 0 {
		return
	}
	_ = w.setup.Migrate(ctx, placements, Migrate{Jobs: w.jobs, Report: func(r migrations.Result, _ fleet.Progress) {
		if r.Err == nil && r.Set == migrations.Tenant {
			w.mutex.Lock()
			defer w.mutex.Unlock()
			w.made[r.Placement] = true
		}
	}})
}

// isMade reports whether a placement is known to have its tables.
func (w *batchWork) isMade(p scopes.Placement) bool {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	return w.made[p]
}

// work creates tenants with a [Creator]. After a failure it opens a new one, since the connections may be in any state.
func (w *batchWork) work(ctx context.Context) {
	var c *Creator
	for i := range w.tenants {
		var err error
		if c == nil {
			c, err = w.newCreator(ctx)
		}
		if err == nil {
			err = w.create(ctx, c, w.plan[i].NewTenant)
		}
		if err != nil && c != nil {
			c.Close(context.WithoutCancel(ctx))
			c = nil
		}
		w.report(i, err)
	}
	if c != nil {
		c.Close(context.WithoutCancel(ctx))
	}
}

func (w *batchWork) newCreator(ctx context.Context) (*Creator, error) {
	c, err := w.setup.NewCreator(ctx)
	if err != nil {
		return nil, err
	}
	c.templates, c.isMade = w.templates, w.isMade
	return c, nil
}

// create creates a tenant. If the same command runs twice at once, a tenant that the other one has just created is no error.
func (w *batchWork) create(ctx context.Context, c *Creator, n NewTenant) error {
	n.batch = w.key
	_, err := c.createEmpty(ctx, n)
	if _, exists := errors.AsType[*ExistsError](err); exists {
		if mine, _ := c.createdBy(ctx, w.key, n.Slug); mine {
			return nil
		}
	}
	return err
}

func (w *batchWork) report(i int, err error) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.done(i, err)
}
