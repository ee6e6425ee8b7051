package fleet

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"tenanted/scopes"
)

// step does something to a placement whose version table is in that state.
type step func(*worker, context.Context, scopes.Placement, state) Result

// run is one call of Up, DryRun or Down.
type run struct {
	fleet        *Fleet
	began        time.Time
	step         step
	dry          bool                       // nothing is changed
	settle       func(Lock)                 // for a single database, over the connection that is there anyway
	unsettled    map[scopes.Placement]error // databases in which something is prepared that could not be ended
	whenComplete step                       // instead, for placements at the newest version; nil: they are left alone
	results      []Result
	at           map[scopes.Placement]int

	mutex    sync.Mutex // guards progress and what is reported
	progress Progress
	worked   int // results that took work
}

// task is a step to be taken.
type task struct {
	scopes.Placement
	state state
	step  step
}

func newRun(f *Fleet, placements []scopes.Placement, do, whenComplete step) *run {
	r := &run{fleet: f, began: time.Now(), step: do, whenComplete: whenComplete, results: make([]Result, len(placements)), at: map[scopes.Placement]int{}}
	for i, p := range placements {
		r.results[i].Placement = p
		r.at[p] = i
	}
	r.progress.Total = len(placements)
	return r
}

// do migrates placements: first it finds out which have something to do, and then it does that, each with a bounded number of
// connections.
func (r *run) do(ctx context.Context, placements []scopes.Placement) {
	var pending []task
	for _, tasks := range r.lookAll(ctx, byDatabase(placements)) {
		pending = append(pending, tasks...)
	}
	next := make(chan task)
	var working sync.WaitGroup
	for range min(r.fleet.config.Jobs, len(pending)) {
		working.Go(func() { r.work(ctx, next) })
	}
	for _, t := range pending {
		next <- t
	}
	close(next)
	working.Wait()
}

// lookAll looks at each group, some at a time, and returns their tasks in the order of the groups.
func (r *run) lookAll(ctx context.Context, groups [][]scopes.Placement) [][]task {
	answers := make([][]task, len(groups))
	var looking errgroup.Group
	looking.SetLimit(r.fleet.config.Jobs)
	for i, group := range groups {
		looking.Go(func() error {
			answers[i] = r.look(ctx, group)
			return nil
		})
	}
	_ = looking.Wait() // errors are in the results
	return answers
}

// byDatabase groups placements, in their order.
func byDatabase(placements []scopes.Placement) (groups [][]scopes.Placement) {
	at := map[scopes.Placement]int{}
	for _, p := range placements {
		database := p.InSchema("")
		i, known := at[database]
		if !known {
			i = len(groups)
			at[database] = i
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], p)
	}
	return groups
}

// look returns what is to be done in one database. Where it cannot look, its error is the placements'.
func (r *run) look(ctx context.Context, group []scopes.Placement) (tasks []task) {
	var states map[string]state
	err := r.unsettled[group[0].InSchema("")]
	if err == nil {
		states, err = r.fleet.states(ctx, group, r.settle)
	}
	for _, p := range group {
		t := task{p, states[p.Schema], r.step}
		if t.state.complete(r.fleet.versions) {
			t.step = r.whenComplete
		}
		switch {
		case ctx.Err() != nil:
			r.done(Result{Placement: p, Err: fmt.Errorf("%w: %w", ErrNotBegun, context.Cause(ctx))})
		case err != nil:
			r.done(Result{Placement: p, Err: err})
		case t.step == nil:
			r.done(t.state.unchanged(p))
		default:
			tasks = append(tasks, t)
		}
	}
	return tasks
}

// work does tasks one after the other, over one connection as long as they are in one database.
func (r *run) work(ctx context.Context, next <-chan task) {
	var w *worker
	defer func() { w.close() }()
	for t := range next {
		if ctx.Err() != nil {
			r.done(Result{Placement: t.Placement, Err: fmt.Errorf("%w: %w", ErrNotBegun, context.Cause(ctx))})
			continue
		}
		if w == nil || w.database != t.InSchema("") {
			w.close()
			w = newWorker(r.fleet, t.Placement, r.waiting)
		}
		result := t.step(w, ctx, t.Placement, t.state)
		if result.Err != nil { // whatever state the connection is in
			w.close()
			w = nil
		}
		r.done(result)
	}
}

func (r *run) waiting(l Lock) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.fleet.config.Waiting(l)
}

func (r *run) done(result Result) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.results[r.at[result.Placement]] = result
	p := &r.progress
	p.Done++
	p.Elapsed = time.Since(r.began)
	if result.Err != nil {
		p.Failed++
	}
	if result.Tries > 0 {
		r.worked++
	}
	if r.worked > 0 {
		p.Left = p.Elapsed / time.Duration(r.worked) * time.Duration(p.Total-p.Done)
	}
	r.fleet.config.Report(result, *p)
}

func (r *run) skip(placements []scopes.Placement, err error) {
	for _, p := range placements {
		r.done(Result{Placement: p, Err: err})
	}
}

func (r *run) err() error {
	var failed []Result
	for _, result := range r.results {
		if result.Err != nil {
			failed = append(failed, result)
		}
	}
	if len(failed) == 0 {
		return nil
	}
	return &Error{Failed: failed, Total: len(r.results)}
}
