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

// CreatePlanned creates the tenants of a plan that are missing, some at a time, and calls done with the number of each in the
// plan; one call at a time. One that fails does not stop the others. Once ctx has ended it begins no further one, and returns
// why.
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
	tenants   chan int // by their numbers in the plan

	mutex sync.Mutex // guards the calls of done, and made
	done  func(i int, err error)
	made  map[scopes.Placement]bool // which have their tables already
}

// aheadAtOnce is how many placements are migrated together, before their tenants are created one by one.
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

// migrateAhead makes the placements of some tenants together, which takes fewer connections than one by one. What fails here
// fails again when the tenant is created, and is reported then.
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

// isMade reports whether a placement has its tables already.
func (w *batchWork) isMade(p scopes.Placement) bool {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	return w.made[p]
}

// work creates tenants over the connections of one [Creator], and takes another one after a failure, whatever state those are
// in then.
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

// create creates a tenant, unless the same command, given twice at once, has just done it.
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
