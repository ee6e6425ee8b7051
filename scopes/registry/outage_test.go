package registry_test

import (
	"context"
	"database/sql"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tenanted/scopes"
	"tenanted/scopes/pgtest"
	"tenanted/scopes/registry"
)

// dials counts a server's connections being opened.
type dials struct{ all, now, most atomic.Int64 }

func (d *dials) watch(config *registry.Config) {
	dial := config.Runtime.DialFunc
	config.Runtime.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		d.all.Add(1)
		now := d.now.Add(1)
		defer d.now.Add(-1)
		for most := d.most.Load(); now > most && !d.most.CompareAndSwap(most, now); most = d.most.Load() {
		}
		return dial(ctx, network, address)
	}
}

// While a server is away its statements fail at once, with an error that says since when and why, and one connection at a time is
// tried, less and less often. They succeed again soon after it is back.
func TestAServerThatIsAwayFailsFast(t *testing.T) {
	t.Parallel()
	server := pgtest.Private(t, nil)
	var dialed dials
	f := fleetOn(t, server, dialed.watch)
	require.NoError(t, f.onServer(t))
	server.Stop()
	stopped := time.Now()

	require.ErrorIs(t, f.onServer(t), scopes.ErrUnavailable)
	away := untilAway(t, func() error { return f.onServer(t) })
	require.ErrorIs(t, away, scopes.ErrUnavailable)
	require.Equal(t, "postgres", away.Placement.Database)
	require.WithinRange(t, away.Since, stopped.Add(-time.Minute), time.Now())
	require.ErrorContains(t, away, `database "postgres" is away since `)
	require.ErrorContains(t, away, "cannot connect")
	require.Len(t, f.Stats().Servers[""].Away, 1)

	before := dialed.all.Load()
	dialed.most.Store(0)
	var group sync.WaitGroup
	var count atomic.Int64
	for range 20 {
		group.Go(func() {
			for dialed.all.Load() < before+4 {
				count.Add(1)
				if err := f.onServer(t); err == nil {
					t.Error("the server is stopped")
				}
			}
		})
	}
	group.Wait()
	require.LessOrEqual(t, dialed.most.Load(), int64(1), "one at a time")
	require.Greater(t, count.Load(), 100*(dialed.all.Load()-before), "nearly all fail without an attempt")
	require.Zero(t, f.Stats().InUse)

	server.Start()
	require.Eventually(t, func() bool { return f.onServer(t) == nil }, 20*time.Second, 5*time.Millisecond)
	require.Empty(t, f.Stats().Servers[""].Away)
	require.NoError(t, f.onServer(t))
}

// untilAway returns the error of the first work that was refused since its database is away. Work that comes after a pause makes an
// attempt of its own.
func untilAway(t *testing.T, work func() error) (away *scopes.DatabaseAwayError) {
	t.Helper()
	require.Eventually(t, func() bool {
		err := work()
		require.ErrorIs(t, err, scopes.ErrUnavailable)
		return errors.As(err, &away)
	}, 20*time.Second, time.Millisecond)
	return away
}

func (f fleet) onServer(t *testing.T) error {
	_, err := f.Registry.DB().ExecContext(f.context(t.Context(), 0), "select from notes")
	return err
}

// A server that takes connections and never answers is away too, after the time for opening one.
func TestAServerThatHangsIsAway(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "localhost:0")
	require.NoError(t, err)
	defer silent.Close()
	f := newFleet(t, 1, registry.Config{})
	hangs := f.server.Config(pgtest.Runtime)
	hangs.Host, hangs.Port, hangs.Fallbacks = "localhost", uint16(silent.Addr().(*net.TCPAddr).Port), nil
	r, err := registry.Open(registry.Config{Runtime: hangs, ConnectTimeout: 50 * time.Millisecond})
	require.NoError(t, err)
	defer r.Close()
	untilAway(t, func() error { return second(r.DB().ExecContext(f.context(t.Context(), 0), "select 1")) })
}

// A caller who gives up says nothing of the database.
func TestGivingUpIsNoOutage(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 1, registry.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 20 {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Microsecond)
		_ = f.home(f.as(ctx, 0), 0)
		cancel()
	}
	require.Error(t, f.home(f.as(ctx, 0), 0))
	require.Empty(t, f.Stats().Servers[""].Away)
	require.NoError(t, f.home(f.as(t.Context(), 0), 0))
}

// Connections are closed at the end of their lifetime, and none that is in use.
func TestConnectionsHaveALifetime(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 1, registry.Config{MaxLifetime: 100 * time.Millisecond})
	pid := func(tx interface {
		QueryRowContext(context.Context, string, ...any) *sql.Row
	}) (pid int) {
		require.NoError(t, tx.QueryRowContext(f.context(t.Context(), 0), "select pg_backend_pid()").Scan(&pid))
		return pid
	}
	tx, err := f.Registry.DB().BeginTx(f.context(t.Context(), 0), nil)
	require.NoError(t, err)
	first := pid(tx)
	idle := pid(f.Registry.DB())
	require.NotEqual(t, first, idle)
	require.Eventually(t, func() bool { return f.Stats().Open == 1 }, 10*time.Second, time.Millisecond, "the idle one is closed")
	require.Equal(t, first, pid(tx), "the one in use is not")
	require.NoError(t, tx.Commit())
	require.Zero(t, f.Stats().Open, "it is closed when it is released")
	require.NotEqual(t, first, pid(f.Registry.DB()))
}
