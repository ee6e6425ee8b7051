package registry_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tenanted/scopes"
	"tenanted/scopes/pgtest"
	"tenanted/scopes/registry"
	"tenanted/scopes/session"
)

// lockNotes locks a tenant's table from another connection, until unlock is called.
func lockNotes(t *testing.T, f fleet, tenant int) (unlock func()) {
	conn := f.servers[tenant].Connect(t, pgtest.Owner)
	_, err := conn.Exec(t.Context(), "begin; lock table notes")
	require.NoError(t, err)
	return func() { _ = conn.Close(context.Background()) }
}

// crowdAt keeps clients asking for a tenant until stop is called.
func crowdAt(t *testing.T, f fleet, tenant, clients int) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{}, clients)
	for range clients {
		go func() {
			defer func() { done <- struct{}{} }()
			for ctx.Err() == nil {
				_ = f.home(f.as(ctx, tenant), tenant)
				time.Sleep(time.Millisecond)
			}
		}()
	}
	return func() {
		cancel()
		for range clients {
			<-done
		}
	}
}

// While tables of one tenant, and of three, are locked, every statement of the others succeeds; the others are served
// again when the lock is gone.
func TestLockedTenantsLeaveOthersAlone(t *testing.T) {
	t.Parallel()
	for _, bad := range []int{1, 3} {
		f := newFleet(t, 6, registry.Config{MaxConns: 10, Options: session.Options{LockTimeout: time.Second, StatementTimeout: 2 * time.Second}})
		var ends []func()
		for i := range bad {
			unlock, stop := lockNotes(t, f, i), crowdAt(t, f, i, 40)
			ends = append(ends, unlock, stop)
		}
		require.Eventually(t, func() bool { return f.Stats().WaitCount > 0 }, 10*time.Second, time.Millisecond, "they want more than their share")
		for f.Stats().Suspended < bad {
			for i := bad; i < 6; i++ {
				ctx, cancel := context.WithTimeout(t.Context(), 900*time.Millisecond) // less than it takes until a lock is given up
				require.NoError(t, f.home(f.as(ctx, i), i), "%d locked, tenant %d", bad, i)
				cancel()
			}
		}
		require.Positive(t, f.Stats().Refused+1)
		err := f.home(f.as(t.Context(), 0), 0)
		require.ErrorIs(t, err, scopes.ErrTimeout)
		for _, end := range ends {
			end()
		}
		for i := range bad {
			require.Eventually(t, func() bool { return f.home(f.as(t.Context(), i), i) == nil }, 30*time.Second, 50*time.Millisecond, "served again")
		}
		require.Zero(t, f.Stats().InUse)
	}
}

// Tenants of one database that are slow together hold no more than the database's share.
func TestOneDatabaseLeavesConnectionsToOthers(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 2, registry.Config{MaxConns: 8})
	var transactions []func()
	for id := scopes.TenantID(10); id < 30; id++ {
		ctx, cancel := context.WithTimeout(scopes.WithTenant(t.Context(), scopes.Tenant{ID: id, Placement: f.tenants[0].Placement}), 200*time.Millisecond)
		transactions = append(transactions, cancel)
		go func() {
			tx, err := f.Registry.DB().BeginTx(ctx, nil)
			if err == nil {
				<-ctx.Done()
				_ = tx.Rollback()
			}
		}()
	}
	require.Eventually(t, func() bool { return f.Stats().WaitCount > 0 }, 10*time.Second, time.Millisecond)
	require.LessOrEqual(t, f.Stats().InUse, 6, "three quarters")
	require.NoError(t, f.home(f.as(t.Context(), 1), 1))
	for _, cancel := range transactions {
		cancel()
	}
	require.Eventually(t, func() bool { return f.Stats().InUse == 0 }, 10*time.Second, time.Millisecond)
}
