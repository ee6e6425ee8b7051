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
	accounts int
	workers  int
	progress func(number int, result seed.Result) // one call at a time
}

func (l loader) run(ctx context.Context, s *server, say func(string)) (seed.Totals, error) {
	var totals seed.Totals
	if l.accounts == 0 {
		return totals, nil
	}
	setup, err := s.setup(say)
	if err != nil {
		return totals, err
	}
	var mutex sync.Mutex
	loaded := map[scopes.Placement]bool{}
	numbers := make(chan int)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer close(numbers)
		for number := range l.accounts {
			select {
			case numbers <- number:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	for range min(l.workers, l.accounts) {
		group.Go(func() error {
			return l.work(ctx, setup, numbers, func(number int, placement scopes.Placement, result seed.Result) {
				mutex.Lock()
				defer mutex.Unlock()
				totals.Add(result.Totals)
				loaded[placement] = loaded[placement] || result.Totals.Accounts > 0
				l.progress(number, result)
			})
		})
	}
	if err := group.Wait(); err != nil || l.options.Rollback {
		return totals, err
	}
	maps.DeleteFunc(loaded, func(_ scopes.Placement, is bool) bool { return !is })
	return totals, setup.Analyze(context.WithoutCancel(ctx), slices.Collect(maps.Keys(loaded)))
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
	plan, err := seed.NewPlan(l.options, number)
	if err != nil {
		return placement, result, err
	}
	fill := func(ctx context.Context, conn *pgx.Conn) (err error) {
		result, err = seed.Load(ctx, conn, l.options, number)
		return err
	}
	n := tenancy.NewTenant{ID: plan.Account.ID, Slug: plan.Account.Slug, Name: plan.Account.Name}
	if l.options.Rollback {
		return placement, result, creator.Try(ctx, n, fill)
	}
	tenant, err := creator.Create(ctx, n, fill)
	return tenant.Placement, result, err
}
