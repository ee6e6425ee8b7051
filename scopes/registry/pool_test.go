package registry

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"tenanted/scopes"
	"tenanted/scopes/pgtest"
	"tenanted/scopes/session"
)

// newTestPool returns a pool of two connections, and two targets.
func newTestPool(t *testing.T) (p *pool, a, b target) {
	t.Parallel()
	empty := func(context.Context, *pgx.Conn) error { return nil }
	one, other := pgtest.Database(t, "empty", empty), pgtest.Database(t, "empty", empty)
	p = newPool(limits{2, time.Hour, time.Hour, time.Minute}, func(to target) *session.Connector {
		config := one.Config(pgtest.Runtime)
		config.Database = to.Database
		return session.NewConnector(config)
	})
	t.Cleanup(p.close)
	return p, in(one.Name), in(other.Name)
}

// fill leaves the pool with a connection to a that is in use, and an idle one to b.
func fill(t *testing.T, p *pool, a, b target) (inUse, idle *conn) {
	inUse, err := p.get(t.Context(), a)
	require.NoError(t, err)
	idle, err = p.get(t.Context(), b)
	require.NoError(t, err)
	p.put(idle)
	return inUse, idle
}

func TestWaitsForItsOwnRatherThanCloseAnothers(t *testing.T) {
	p, a, b := newTestPool(t)
	inUse, idle := fill(t, p, a, b)
	p.openTook = time.Hour

	got := make(chan *conn)
	go func() {
		c, _ := p.get(t.Context(), a)
		got <- c
	}()
	require.Eventually(t, func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return len(p.buckets[a].waiting) == 1
	}, time.Minute, time.Millisecond)
	p.put(inUse)
	require.Same(t, inUse, <-got)
	p.put(inUse)

	c, err := p.get(t.Context(), b)
	require.NoError(t, err)
	require.Same(t, idle, c, "nobody closed it")
	p.put(c)
}

func TestDoesNotWaitForEver(t *testing.T) {
	p, a, b := newTestPool(t)
	inUse, idle := fill(t, p, a, b)
	p.openTook = time.Millisecond

	second, err := p.get(t.Context(), a)
	require.NoError(t, err)
	require.NotSame(t, inUse, second)
	require.False(t, idle.IsValid(), "it made room")
	open, databases := p.stats()
	require.Equal(t, 2, open)
	require.Equal(t, map[string]DatabaseStats{a.Database: {InUse: 2}}, databases)
	p.put(inUse)
	p.put(second)
}

func TestStopsWaitingWithTheContext(t *testing.T) {
	p, a, b := newTestPool(t)
	inUse, idle := fill(t, p, a, b)
	p.openTook = time.Hour

	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	_, err := p.get(ctx, a)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.True(t, idle.IsValid())
	p.put(inUse)
	require.Equal(t, 2, p.open)
	require.Len(t, p.buckets, 2)
	require.Empty(t, p.buckets[a].waiting)
}

func TestPrefersTheConnectionOfTheSchema(t *testing.T) {
	p, database, _ := newTestPool(t)
	schema := func(name string) target { return target{Placement: database.InSchema(name)} }
	get := func(name string) *conn {
		c, err := p.get(t.Context(), schema(name))
		require.NoError(t, err)
		p.put(c)
		return c
	}
	one, two := get("one"), get("two")
	require.NotSame(t, one, two, "there was room")
	require.Same(t, one, get("one"))
	require.Same(t, two, get("two"))

	require.Same(t, one, get("three"), "no room: the one that was used longest ago")
	require.Same(t, one, get("three"))
	require.Same(t, two, get("two"))
	require.Len(t, p.buckets, 2)
	open, databases := p.stats()
	require.Equal(t, 2, open)
	require.Equal(t, map[string]DatabaseStats{database.Database: {Idle: 2}}, databases)
}

// However many databases hang, with any number of tenants in each, and there are more connections than databases that hang, one that
// nobody asked for before gets a connection.
func TestHangingDatabasesLeaveAConnection(t *testing.T) {
	t.Parallel()
	for conns := 4; conns <= 12; conns++ {
		for hanging := 1; hanging < conns; hanging++ {
			s := newShares(conns)
			for tenant := range 100 {
				for database := range hanging {
					if h := (holder{tenant: fmt.Sprint(tenant), target: in(fmt.Sprint(database))}); s.fits(h) {
						s.take(h)
					}
				}
			}
			require.True(t, s.fits(holder{tenant: "new", target: in("new")}), "%d connections, %d databases hang, %d in use", conns, hanging, s.inUse)
		}
	}
}

// A database that is away leaves nothing behind, however often it is asked for, and is forgotten when it is not.
func TestADatabaseThatIsAwayCostsNothing(t *testing.T) {
	p, _, _ := newTestPool(t)
	nowhere := in("nowhere")
	for range 5 {
		_, err := p.get(t.Context(), nowhere)
		require.ErrorIs(t, err, scopes.ErrUnavailable)
	}
	require.Empty(t, p.buckets)
	require.Zero(t, p.open)
	require.Len(t, p.outages.away(), 1)
	p.outages.expire(time.Now().Add(2 * forgottenAfter))
	require.Empty(t, p.outages.away())
	require.NoError(t, p.refuses(nowhere))
}

// Pauses grow, to a bound, and are never the whole.
func TestPauses(t *testing.T) {
	t.Parallel()
	for failures, longest := range map[int]time.Duration{1: firstPause, 2: 2 * firstPause, 4: 8 * firstPause, 7: lastPause, 1000: lastPause} {
		for range 100 {
			require.LessOrEqual(t, pause(failures), longest)
			require.Greater(t, pause(failures), longest/2)
		}
	}
}

func in(database string) target { return target{Placement: scopes.Placement{Database: database}} }

// A replica that has replayed all of a page is where the next one begins; the primary is behind that one's header.
func TestPositionsBehindAHeader(t *testing.T) {
	t.Parallel()
	const segment, block = 16 << 20, 8192
	for position, want := range map[int64]int64{
		segment + 40: segment, segment + block + 24: segment + block,
		segment + 48: segment + 48, segment + block + 40: segment + block + 40, segment + block: segment + block,
	} {
		require.Equal(t, want, beforeHeader(position, segment, block), "%d", position)
	}
}
