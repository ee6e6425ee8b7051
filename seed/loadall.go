package seed

import (
	"context"
	"sync"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"
)

// Connect returns a connection fit for Load to the placement of account number, and the function that gives
// it back. LoadAll calls it from several goroutines.
type Connect func(ctx context.Context, number int) (conn *pgx.Conn, release func(), err error)

// LoadAll loads accounts 0 to accounts-1, so many workers at a time, and returns what it loaded in all. Two
// workers a core keep the server busy while some wait for a commit to reach the disk.
//
// After each account, progress is called, if it is not nil: one call at a time, in the order in which the
// accounts are finished. LoadAll stops at the first error and returns it with the totals up to there.
func LoadAll(
	ctx context.Context, o Options, accounts, workers int, connect Connect, progress func(Result),
) (Totals, error) {
	var (
		mutex sync.Mutex
		all   Totals
	)
	if err := o.Validate(); err != nil {
		return all, err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(max(workers, 1))
	for number := range accounts {
		group.Go(func() error {
			result, err := loadOn(ctx, o, number, connect)
			if err != nil {
				return err
			}
			mutex.Lock()
			defer mutex.Unlock()
			all.add(result.Totals)
			if progress != nil {
				progress(result)
			}
			return nil
		})
	}
	err := group.Wait()
	return all, err
}

// loadOn loads one account on a connection of its own. After the context's end it does not begin.
func loadOn(ctx context.Context, o Options, number int, connect Connect) (Result, error) {
	if err := ctx.Err(); err != nil {
		return Result{}, err
	}
	conn, release, err := connect(ctx, number)
	if err != nil {
		return Result{}, err
	}
	defer release()
	return Load(ctx, conn, o, number)
}
