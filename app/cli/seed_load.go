package cli

import (
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"tenanted/app/config"
	"tenanted/app/tenancy"
	"tenanted/scopes"
	"tenanted/seed"
)

// seeded is the result for one account.
type seeded struct {
	tenant scopes.Tenant // from the directory; an existing tenant may differ from the plan
	totals seed.Totals
}

// loader makes tenants and loads their data, several at a time.
type loader struct {
	options  seed.Options
	rollback bool
	accounts int
	workers  int
	where    func(slug string, number int) config.Choice
	progress func(number int, r seeded) // one call at a time
}

func (l loader) run(ctx context.Context, s *server) (seed.Totals, error) {
	var totals seed.Totals
	if l.accounts == 0 {
		return totals, nil
	}
	setup, err := s.setup(func(string) {}) // quiet: progress shows each tenant
	if err != nil {
		return totals, err
	}
	var mutex sync.Mutex
	loaded := map[scopes.Placement]bool{}
	numbers := make(chan int)
	group, working := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer close(numbers)
		for number := range l.accounts {
			select {
			case numbers <- number:
			case <-working.Done():
				return working.Err()
			}
		}
		return nil
	})
	for range min(l.workers, l.accounts) {
		group.Go(func() error {
			return l.work(working, setup, numbers, func(number int, r seeded) {
				mutex.Lock()
				defer mutex.Unlock()
				totals.Add(r.totals)
				loaded[r.tenant.Placement] = loaded[r.tenant.Placement] || r.totals.Accounts > 0
				l.progress(number, r)
			})
		})
	}
	if err := group.Wait(); err != nil || l.rollback {
		return totals, err
	}
	maps.DeleteFunc(loaded, func(_ scopes.Placement, is bool) bool { return !is })
	return totals, setup.Analyze(ctx, slices.Collect(maps.Keys(loaded)))
}

// work makes the tenants whose numbers it receives.
func (l loader) work(ctx context.Context, setup *tenancy.Setup, numbers <-chan int, done func(int, seeded)) error {
	creator, err := setup.NewCreator(ctx)
	if err != nil {
		return err
	}
	defer creator.Close(context.WithoutCancel(ctx))
	for number := range numbers {
		r, err := l.one(ctx, creator, number)
		if err != nil {
			return err
		}
		done(number, r)
	}
	return nil
}

func (l loader) one(ctx context.Context, creator *tenancy.Creator, number int) (r seeded, err error) {
	plan, err := seed.NewPlan(ctx, l.options, number)
	if err != nil {
		return r, err
	}
	n := tenancy.NewTenant{ID: plan.Account.ID, Slug: plan.Slug, Name: plan.Name, Where: l.where(plan.Slug, number)}
	if l.rollback {
		r.tenant, err = creator.DryRun(ctx, n, func(tx pgx.Tx) (err error) {
			r.totals, err = seed.LoadIn(ctx, tx, l.options, number)
			return err
		})
		return r, err
	}
	r.tenant, err = creator.Create(ctx, n, func(ctx context.Context, in tenancy.Placed) (err error) {
		r.totals, err = seed.Load(ctx, in.Begin, l.options, number)
		return err
	})
	return r, err
}
