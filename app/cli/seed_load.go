package cli

import (
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"tenanted/app/tenancy"
	"tenanted/scopes"
	"tenanted/seed"
)

// loader makes tenants and loads their data, several at a time.
type loader struct {
	options  seed.Options
	rollback bool
	accounts int
	workers  int
	progress func(number int, result seed.Result) // one call at a time
}

func (l loader) run(ctx context.Context, s *server) (seed.Totals, error) {
	var totals seed.Totals
	if l.accounts == 0 {
		return totals, nil
	}
	setup, err := s.setup(func(string) {}) // each tenant has a line already
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
			return l.work(working, setup, numbers, func(number int, placement scopes.Placement, result seed.Result) {
				mutex.Lock()
				defer mutex.Unlock()
				totals.Add(result.Totals)
				loaded[placement] = loaded[placement] || result.Totals.Accounts > 0
				l.progress(number, result)
			})
		})
	}
	if err := group.Wait(); err != nil || l.rollback {
		return totals, err
	}
	maps.DeleteFunc(loaded, func(_ scopes.Placement, is bool) bool { return !is })
	return totals, setup.Analyze(ctx, slices.Collect(maps.Keys(loaded)))
}

// work makes the tenants whose numbers it gets.
func (l loader) work(ctx context.Context, setup *tenancy.Setup, numbers <-chan int, done func(int, scopes.Placement, seed.Result)) error {
	creator, err := setup.NewCreator(ctx)
	if err != nil {
		return err
	}
	defer creator.Close(context.WithoutCancel(ctx))
	for number := range numbers {
		placement, result, err := l.one(ctx, creator, number)
		if err != nil {
			return err
		}
		done(number, placement, result)
	}
	return nil
}

func (l loader) one(ctx context.Context, creator *tenancy.Creator, number int) (placement scopes.Placement, result seed.Result, err error) {
	plan, err := seed.NewPlan(ctx, l.options, number)
	if err != nil {
		return placement, result, err
	}
	n := tenancy.NewTenant{ID: plan.Account.ID, Slug: plan.Account.Slug, Name: plan.Account.Name}
	if l.rollback {
		err = creator.DryRun(ctx, n, func(tx pgx.Tx) (err error) {
			result, err = seed.LoadIn(ctx, tx, l.options, number)
			return err
		})
		return placement, result, err
	}
	tenant, err := creator.Create(ctx, n, func(ctx context.Context, in tenancy.Placed) (err error) {
		result, err = seed.Load(ctx, in.Begin, l.options, number)
		return err
	})
	return tenant.Placement, result, err
}
