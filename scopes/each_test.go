package scopes_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"tenanted/scopes"
)

func numbered(n int) []scopes.Tenant {
	tenants := make([]scopes.Tenant, n)
	for i := range tenants {
		tenants[i].ID = scopes.TenantID(i + 1)
	}
	return tenants
}

func TestEachTenantHasItsOwnContextAndError(t *testing.T) {
	t.Parallel()
	failed := errors.New("failed")
	var inside, most atomic.Int64
	errs := scopes.Each(t.Context(), numbered(50), 3, func(ctx context.Context) error {
		most.Store(max(most.Load(), inside.Add(1)))
		defer inside.Add(-1)
		if id := scopes.MustFromContext(ctx).ID.(scopes.TenantID); id%10 == 0 {
			return failed
		}
		return nil
	})
	require.Len(t, errs, 50)
	for i, err := range errs {
		require.Equal(t, (i+1)%10 == 0, errors.Is(err, failed), i)
	}
	require.LessOrEqual(t, most.Load(), int64(3))
	require.Empty(t, scopes.Each(t.Context(), nil, 1, nil))
	require.Panics(t, func() { scopes.Each(t.Context(), nil, 0, nil) })
}

func TestEachBeginsNoneAfterTheEnd(t *testing.T) {
	t.Parallel()
	stopped := errors.New("stopped")
	ctx, stop := context.WithCancelCause(t.Context())
	errs := scopes.Each(ctx, numbered(10), 1, func(ctx context.Context) error {
		if scopes.MustFromContext(ctx).ID == scopes.TenantID(4) {
			stop(stopped)
		}
		return nil
	})
	for i, err := range errs {
		require.Equal(t, i >= 4, errors.Is(err, stopped), i)
	}
}
