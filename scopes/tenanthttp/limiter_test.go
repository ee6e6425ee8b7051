package tenanthttp

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tenanted/scopes"
)

func as(ctx context.Context, id scopes.TenantID) context.Context {
	return scopes.WithTenant(ctx, scopes.Tenant{ID: id})
}

// fill enters requests of a tenant until one is refused, and returns how many are inside.
func fill(t *testing.T, l *Limiter, id scopes.TenantID) (inside int) {
	for {
		leave, err := l.Enter()
		require.NoError(t, err, "there is always a free place")
		l.mu.Lock()
		before := 0
		if one := l.tenants[fmt.Sprint(id)]; one != nil {
			before = one.inside
		}
		l.mu.Unlock()
		refused := make(chan error, 1)
		go func() { // the context never ends before the test: those who wait keep their places
			defer leave()
			release, err := l.Acquire(as(t.Context(), id))
			refused <- err
			if err == nil {
				<-t.Context().Done()
				release()
			}
		}()
		require.Eventually(t, func() bool {
			l.mu.Lock()
			defer l.mu.Unlock()
			one := l.tenants[fmt.Sprint(id)]
			return one != nil && one.inside > before || len(refused) > 0
		}, 5*time.Second, 100*time.Microsecond)
		if len(refused) > 0 {
			if err := <-refused; err != nil {
				require.ErrorIs(t, err, ErrBusy)
				return before
			}
		}
	}
}

func TestSlowTenantsLeaveRoomForOthers(t *testing.T) {
	t.Parallel()
	l := NewLimiter(Limits{Total: 64, PerTenant: 2, MaxWait: time.Hour})
	taken := 0
	for id := range scopes.TenantID(5) {
		n := fill(t, l, id+1)
		require.LessOrEqual(t, n, 64-taken-n+1, "no more than are left")
		require.Positive(t, n)
		taken += n
	}
	leave, err := l.Enter()
	require.NoError(t, err)
	defer leave()
	release, err := l.Acquire(as(t.Context(), 9))
	require.NoError(t, err, "a tenant that has none inside does not wait")
	release()
}

func TestWaitsForAWhileOnly(t *testing.T) {
	t.Parallel()
	l := NewLimiter(Limits{Total: 8, PerTenant: 1, MaxWait: 10 * time.Millisecond})
	release, err := l.Acquire(as(t.Context(), 1))
	require.NoError(t, err)
	_, err = l.Acquire(as(t.Context(), 1))
	require.ErrorIs(t, err, ErrBusy)
	ctx, cancel := context.WithCancel(as(t.Context(), 1))
	cancel()
	_, err = l.Acquire(ctx)
	require.Error(t, err)
	release()
	require.Empty(t, l.tenants, "limiters of tenants without requests are dropped")
}
