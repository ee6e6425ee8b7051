package registry_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"tenanted/scopes"
	"tenanted/scopes/pgtest"
	"tenanted/scopes/registry"
)

// replicated is a fleet of one database on a server of the test's own, with a streaming replica.
type replicated struct {
	fleet
	replica *pgtest.PrivateServer
}

const maxLag = 1500 * time.Millisecond

// newReplicated starts both servers. The replica's settings may be changed.
func newReplicated(t *testing.T, settings map[string]string) replicated {
	servers := pgtest.Replica(t, settings)
	f := fleetOn(t, servers.Primary, func(c *registry.Config) {
		c.Replicas, c.MaxLag = []*pgx.ConnConfig{servers.Replica.Config("postgres", pgtest.Runtime)}, maxLag
	})
	r := replicated{f, servers.Replica}
	r.awaitUsed(t, true)
	return r
}

func (r replicated) figures() registry.ReplicaStats { return *r.Stats().Servers["replica 1"].Replica }

func (r replicated) awaitUsed(t *testing.T, used bool) {
	t.Helper()
	require.Eventually(t, func() bool { return r.figures().Used == used }, 20*time.Second, time.Millisecond, "%+v", r.figures())
}

func (r replicated) reading(t *testing.T) *gorm.DB { return r.as(scopes.Reading(t.Context()), 0) }
func (r replicated) writing(t *testing.T) *gorm.DB { return r.as(t.Context(), 0) }

// where says whether a statement is executed on the replica.
func where(t *testing.T, db *gorm.DB) (onReplica bool) {
	t.Helper()
	require.NoError(t, db.Raw("select pg_is_in_recovery()").Scan(&onReplica).Error)
	return onReplica
}

func count(t *testing.T, db *gorm.DB) (n int64) {
	t.Helper()
	require.NoError(t, db.Model(&Note{}).Count(&n).Error)
	return n
}

// onReplicaSoon waits until the tenant's reads go to the replica.
func (r replicated) onReplicaSoon(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool { return where(t, r.reading(t)) }, 20*time.Second, time.Millisecond)
}

// Reads that say so are executed on the replica, in read-only transactions and with all layers in force; nothing else is.
func TestReadsGoToAReplica(t *testing.T) {
	t.Parallel()
	r := newReplicated(t, nil)
	r.onReplicaSoon(t)
	require.Eventually(t, func() (onReplica bool) { // a machine that is busy may leave the replica out for a moment
		require.NoError(t, r.reading(t).Transaction(func(tx *gorm.DB) error {
			onReplica = where(t, tx)
			require.Equal(t, onReplica, where(t, tx.WithContext(r.context(t.Context(), 0))), "part of its transaction")
			return nil
		}))
		return onReplica
	}, 20*time.Second, time.Millisecond)
	require.False(t, where(t, r.writing(t)))
	require.NoError(t, r.writing(t).Transaction(func(tx *gorm.DB) error {
		require.False(t, where(t, tx.WithContext(r.context(scopes.Reading(t.Context()), 0))), "never within a transaction that may write")
		return tx.WithContext(r.context(scopes.Reading(t.Context()), 0)).Create(&Note{Text: "part of it"}).Error
	}))
	require.False(t, where(t, r.reading(t)), "reads follow a write")
	require.ErrorContains(t, r.reading(t).Create(&Note{Text: "x"}).Error, "25006")
	r.onReplicaSoon(t)
	require.ErrorContains(t, r.reading(t).Create(&Note{Text: "x"}).Error, "25006")
	require.EqualValues(t, 1, count(t, r.reading(t)))

	other := r.WithContext(scopes.WithTenant(scopes.Reading(t.Context()), scopes.Tenant{ID: 2, Placement: r.tenants[0].Placement}))
	require.Eventually(t, func() bool { return where(t, other) }, 20*time.Second, time.Millisecond)
	var seen int64
	require.NoError(t, other.Raw("select count(*) from notes").Scan(&seen).Error)
	require.Zero(t, seen, "by row-level security")
	var missing *scopes.TenantMissingError
	_, err := r.Registry.DB().QueryContext(scopes.Reading(t.Context()), "select 1") //nolint:sqlclosecheck // there are no rows
	require.ErrorAs(t, err, &missing)
}

// A tenant reads what it has written, from a replica that is always behind.
func TestTenantsReadWhatTheyWrote(t *testing.T) {
	t.Parallel()
	r := newReplicated(t, map[string]string{"recovery_min_apply_delay": "300ms"})
	var wrote sync.WaitGroup
	for tenant := range scopes.TenantID(3) {
		ctx := scopes.WithTenant(t.Context(), scopes.Tenant{ID: tenant + 1, Placement: r.tenants[0].Placement})
		wrote.Go(func() {
			for n := int64(1); n <= 3; n++ {
				if err := r.WithContext(ctx).Create(&Note{Text: "note"}).Error; err != nil {
					t.Error(err)
					return
				}
				for onReplica := false; !onReplica; {
					err := r.WithContext(scopes.Reading(ctx)).Transaction(func(tx *gorm.DB) error {
						onReplica = where(t, tx)
						if found := count(t, tx); found != n {
							return fmt.Errorf("%d notes instead of %d, on the replica: %v", found, n, onReplica)
						}
						return nil
					})
					if err != nil {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	wrote.Wait()
	require.NoError(t, r.writing(t).Connection(func(tx *gorm.DB) error { // a connection that is kept, and that may write
		tx = tx.WithContext(r.context(t.Context(), 0))
		require.NoError(t, tx.Create(&Note{Text: "kept"}).Error)
		for end := time.Now().Add(2 * maxLag); time.Now().Before(end); {
			require.EqualValues(t, 4, count(t, r.reading(t)))
		}
		return nil
	}))
}

// A replica that falls behind is left out until it has caught up.
func TestAReplicaThatLagsIsLeftOut(t *testing.T) {
	t.Parallel()
	r := newReplicated(t, nil)
	r.replica.Exec("postgres", "select pg_wal_replay_pause()")
	require.NoError(t, r.writing(t).Create(&Note{Text: "new"}).Error)
	r.awaitUsed(t, false)
	require.NoError(t, r.figures().Err)
	require.GreaterOrEqual(t, r.figures().Lag, maxLag)
	for range 20 {
		require.False(t, where(t, r.reading(t)))
		require.EqualValues(t, 1, count(t, r.reading(t)))
	}
	r.replica.Exec("postgres", "select pg_wal_replay_resume()")
	r.awaitUsed(t, true)
	require.EqualValues(t, 1, count(t, r.reading(t)))
	r.onReplicaSoon(t)
}

// When a replica goes, and while it is away, no read fails; it is read from again when it is back.
func TestAReplicaThatGoesTakesNoReadWithIt(t *testing.T) {
	t.Parallel()
	r := newReplicated(t, nil)
	require.NoError(t, r.writing(t).Create(&Note{Text: "note"}).Error)
	r.onReplicaSoon(t)
	ctx, stop := context.WithCancel(t.Context())
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for ctx.Err() == nil {
				var n int64
				err := r.as(scopes.Reading(t.Context()), 0).Model(&Note{}).Count(&n).Error
				if err != nil || n != 1 {
					t.Errorf("%d notes, error: %v", n, err)
					return
				}
			}
		})
	}
	for _, killed := range []bool{false, true} {
		if killed {
			r.replica.Kill()
		} else {
			r.replica.Stop()
		}
		r.awaitUsed(t, false)
		require.Error(t, r.figures().Err)
		require.False(t, where(t, r.reading(t)))
		r.replica.Start()
		r.awaitUsed(t, true)
		r.onReplicaSoon(t)
	}
	stop()
	group.Wait()
}

// A server that is no replica, or one of another server, is not read from.
func TestAServerThatIsNoReplica(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 1, registry.Config{})
	r, err := registry.Open(registry.Config{Runtime: f.server.Config(pgtest.Runtime), Replicas: []*pgx.ConnConfig{f.server.Config(pgtest.Runtime)}})
	require.NoError(t, err)
	defer r.Close()
	require.Eventually(t, func() bool { return r.Stats().Servers["replica 1"].Replica.Err != nil }, 10*time.Second, time.Millisecond)
	require.ErrorContains(t, r.Stats().Servers["replica 1"].Replica.Err, "no replica")
	_, err = r.DB().ExecContext(f.context(scopes.Reading(t.Context()), 0), "select 1")
	require.NoError(t, err)
	require.Zero(t, r.Stats().Servers["replica 1"].Open)

	stranger := newReplicated(t, nil)
	r2, err := registry.Open(registry.Config{Runtime: f.server.Config(pgtest.Runtime), Replicas: []*pgx.ConnConfig{stranger.replica.Config("postgres", pgtest.Runtime)}})
	require.NoError(t, err)
	defer r2.Close()
	require.Eventually(t, func() bool { return r2.Stats().Servers["replica 1"].Replica.Err != nil }, 10*time.Second, time.Millisecond)
	require.ErrorContains(t, r2.Stats().Servers["replica 1"].Replica.Err, "another server")

	_, err = registry.Open(registry.Config{Runtime: f.server.Config(pgtest.Runtime), Replicas: []*pgx.ConnConfig{nil}})
	require.ErrorContains(t, err, "nil")
}
