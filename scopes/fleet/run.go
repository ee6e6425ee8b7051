package fleet

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"tenanted/scopes"
)

// run is one call of Up.
type run struct {
	fleet   *Fleet
	began   time.Time
	what    func(*worker, context.Context, scopes.Placement) Result
	results []Result
	at      map[scopes.Placement]int

	mutex    sync.Mutex // guards progress and what is reported
	progress Progress
	worked   int // results that took work
}

func newRun(f *Fleet, placements []scopes.Placement, what func(*worker, context.Context, scopes.Placement) Result) *run {
	r := &run{fleet: f, began: time.Now(), what: what, results: make([]Result, len(placements)), at: map[scopes.Placement]int{}}
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
	var pending []scopes.Placement
	for _, group := range r.eachGroup(byDatabase(placements), func(group []scopes.Placement) []scopes.Placement { return r.look(ctx, group) }) {
		pending = append(pending, group...)
	}
	next := make(chan scopes.Placement)
	var working sync.WaitGroup
	for range min(r.fleet.config.Jobs, len(pending)) {
		working.Go(func() { r.work(ctx, next) })
	}
	for _, p := range pending {
		next <- p
	}
	close(next)
	working.Wait()
}

// eachGroup calls look for each group, some at a time, and returns its answers in their order.
func (r *run) eachGroup(groups [][]scopes.Placement, look func([]scopes.Placement) []scopes.Placement) [][]scopes.Placement {
	answers := make([][]scopes.Placement, len(groups))
	var looking errgroup.Group
	looking.SetLimit(r.fleet.config.Jobs)
	for i, group := range groups {
		looking.Go(func() error {
			answers[i] = look(group)
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

// look returns the placements of one database that have something to do. Where it cannot look, its error is theirs.
func (r *run) look(ctx context.Context, group []scopes.Placement) (pending []scopes.Placement) {
	states, err := r.fleet.states(ctx, group)
	for _, p := range group {
		result := Result{Placement: p}
		switch state := states[p.Schema]; {
		case ctx.Err() != nil:
			result.Err = fmt.Errorf("%w: %w", ErrNotBegun, context.Cause(ctx))
		case err != nil:
			result.Err = err
		case !state.complete(r.fleet.versions) || r.fleet.config.Always:
			pending = append(pending, p)
			continue
		default:
			result.From, result.To = state.newest, state.newest
		}
		r.done(result)
	}
	return pending
}

// work migrates placements one after the other, over one connection as long as they are in one database.
func (r *run) work(ctx context.Context, next <-chan scopes.Placement) {
	var w *worker
	defer func() { w.close() }()
	for p := range next {
		if ctx.Err() != nil {
			r.done(Result{Placement: p, Err: fmt.Errorf("%w: %w", ErrNotBegun, context.Cause(ctx))})
			continue
		}
		if w == nil || w.database != p.InSchema("") {
			w.close()
			w = newWorker(r.fleet, p, r.waiting)
		}
		result := r.what(w, ctx, p)
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
