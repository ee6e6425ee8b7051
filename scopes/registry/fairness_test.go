package registry_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tenanted/scopes"
	"tenanted/scopes/pgtest"
	"tenanted/scopes/registry"
)

// badDatabases are what can be wrong with the first database of a fleet, for all tenants in it.
var badDatabases = map[string]struct {
	spoil func(t *testing.T, f fleet)
	work  string // what its clients do
}{
	"stopped": {func(t *testing.T, f fleet) {
		f.servers[1].Exec(t, pgtest.Superuser, fmt.Sprintf(`alter database "%s" allow_connections false`, f.servers[0].Name))
		f.servers[1].Exec(t, pgtest.Superuser, "select pg_terminate_backend(pid) from pg_stat_activity where datname = $1", f.servers[0].Name)
		t.Cleanup(func() {
			f.servers[1].Exec(t, pgtest.Superuser, fmt.Sprintf(`alter database "%s" allow_connections true`, f.servers[0].Name))
		})
	}, "select * from notes"},
	"slow":   {func(*testing.T, fleet) {}, "select pg_sleep(30)"},
	"locked": {func(t *testing.T, f fleet) { lockNotes(t, f, 0) }, "select * from notes"},
}

// While a database is stopped, slow or locked, and the clients of twenty tenants in it want all connections, the tenants of other
// databases are served, all of them, and none waits for what goes on there.
func TestABadDatabaseLeavesOthersAlone(t *testing.T) {
	t.Parallel()
	for name, bad := range badDatabases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t, 4, registry.Config{MaxConns: 12}) // of which the bad one may have nine
			others := []int{1, 2, 3}
			before := pages(t, f, others, 40)
			bad.spoil(t, f)
			stop := hammer(t, f, 20, bad.work)
			defer stop()
			if name != "stopped" { // then nobody waits, since all are refused
				require.Eventually(t, func() bool { return f.Stats().WaitCount > 0 }, 10*time.Second, time.Millisecond, "they want more than the share")
			} else {
				require.Eventually(t, func() bool { return len(f.Stats().Servers[""].Away) == 1 }, 10*time.Second, time.Millisecond)
			}
			during := pages(t, f, others, 200)
			t.Logf("a page took %v before, %v meanwhile", before, during)
		})
	}
}

// pages has each tenant's page asked for n times, and returns the median of the times that took.
func pages(t *testing.T, f fleet, tenants []int, n int) time.Duration {
	var took []time.Duration
	for range n {
		for _, tenant := range tenants {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second) // a third of what the slow ones take
			began := time.Now()
			require.NoError(t, f.home(f.as(ctx, tenant), tenant))
			took = append(took, time.Since(began))
			cancel()
		}
	}
	slices.Sort(took)
	return took[len(took)/2]
}

// hammer has as many tenants as clients, all in the first database, do work until stop is called.
func hammer(t *testing.T, f fleet, clients int, work string) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	for i := range clients {
		ctx := scopes.WithTenant(ctx, scopes.Tenant{ID: scopes.TenantID(100 + i), Placement: f.tenants[0].Placement})
		group.Go(func() {
			for ctx.Err() == nil {
				_, _ = f.Registry.DB().ExecContext(ctx, work)
				time.Sleep(time.Millisecond) // so that the others get the processor
			}
		})
	}
	return func() {
		cancel()
		group.Wait()
	}
}
