package fleet

import (
	"context"

	"tenanted/scopes"
)

// Ledger writes down what is done to placements, in a place that lasts. Its methods are called by several goroutines at once.
type Ledger interface {
	// Begin writes down that somebody begins to migrate a placement, which must be done before anything else is, and returns a
	// number to end it by. Its error is the placement's.
	Begin(ctx context.Context, p scopes.Placement, by string) (id int64, err error)
	// End writes down what became of it.
	End(ctx context.Context, id int64, r Result) error
}

type noLedger struct{}

func (noLedger) Begin(context.Context, scopes.Placement, string) (int64, error) { return 0, nil }
func (noLedger) End(context.Context, int64, Result) error                       { return nil }
