package registry_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"tenanted/scopes"
	"tenanted/scopes/pgtest"
	"tenanted/scopes/registry"
)

const (
	crowdWorkers = 64
	crowdTenants = 20
	crowdConns   = 4
)

// crowd is 64 goroutines that work for 20 tenants, in 2 databases, on 4 connections.
type crowd struct {
	fleet
	done atomic.Int64
}

func newCrowd(f fleet) *crowd {
	databases := len(f.tenants)
	for i := databases; i < crowdTenants; i++ {
		f.tenants = append(f.tenants, scopes.Tenant{ID: scopes.TenantID(i + 1), Placement: f.tenants[i%databases].Placement})
	}
	return &crowd{fleet: f}
}

// work does one thing for one tenant, with a context that may end at any time.
func (c *crowd) work(ctx context.Context) error {
	i := rand.IntN(crowdTenants)
	if rand.IntN(4) == 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(rand.IntN(3000))*time.Microsecond)
		defer cancel()
	}
	db := c.as(ctx, i)
	switch rand.IntN(4) {
	case 0:
		return c.onlyMine(db, i)
	case 1:
		return db.Transaction(func(tx *gorm.DB) error {
			if err := tx.Create(&Note{Text: "draft"}).Error; err != nil {
				return err
			}
			if err := c.onlyMine(tx, i); err != nil {
				return err
			}
			return errUndo
		})
	case 2:
		return db.Connection(func(tx *gorm.DB) error { return c.onlyMine(tx.WithContext(db.Statement.Context), i) })
	default:
		return db.Model(&Note{}).Where("text = 'none'").Update("text", "x").Error
	}
}

// errForeign is what must never happen.
var errForeign = errors.New("a foreign row")

// onlyMine reads by raw SQL, which only the database confines.
func (c *crowd) onlyMine(db *gorm.DB, tenant int) error {
	var found []Note
	if err := db.Raw("select * from notes").Scan(&found).Error; err != nil {
		return err
	}
	for _, note := range found {
		if fmt.Sprint(note.AccountID) != c.tenants[tenant].Key() {
			return fmt.Errorf("%w: tenant %d got %+v", errForeign, tenant, note)
		}
	}
	return nil
}

// run has all goroutines work until stop is closed. Each error must be one of those that the faults explain.
func (c *crowd) run(t *testing.T, stop <-chan struct{}) (wait func()) {
	var group sync.WaitGroup
	for range crowdWorkers {
		group.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := c.work(t.Context()); err != nil && !explained(err) {
					t.Errorf("unexplained: %v", err)
					return
				}
				c.done.Add(1)
			}
		})
	}
	return group.Wait
}

func explained(err error) bool {
	return errors.Is(err, errUndo) || errors.Is(err, scopes.ErrUnavailable) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) ||
		errors.Is(err, sql.ErrTxDone) || // behind the word of a deadline, which GORM makes text of
		strings.Contains(err.Error(), "57014") // the server's word for a cancelled statement
}

// settles waits for work to go on without errors, without anything being opened anew by the caller.
func (c *crowd) settles(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool {
		for i := range crowdTenants {
			if c.onlyMine(c.as(t.Context(), i), i) != nil {
				return false
			}
		}
		return true
	}, 20*time.Second, 10*time.Millisecond)
	require.Zero(t, c.Stats().InUse)
	require.LessOrEqual(t, c.Stats().Open, crowdConns)
}

// reach waits until the crowd has done n more things.
func (c *crowd) reach(t *testing.T, n int64) {
	t.Helper()
	from := c.done.Load()
	require.Eventually(t, func() bool { return c.done.Load() >= from+n || t.Failed() }, 60*time.Second, time.Millisecond)
}

func TestCrowdWithConnectionsTerminated(t *testing.T) {
	t.Parallel()
	c := newCrowd(newFleet(t, 2, registry.Config{MaxConns: crowdConns}))
	admin := c.server.Connect(t, pgtest.Superuser)
	stop := make(chan struct{})
	wait := c.run(t, stop)
	for range 10 {
		c.reach(t, 100)
		_, err := admin.Exec(t.Context(), "select pg_terminate_backend(pid) from pg_stat_activity where usename = $1 and datname = any ($2)",
			pgtest.Runtime, c.databases())
		require.NoError(t, err)
	}
	close(stop)
	wait()
	c.settles(t)
}

func TestCrowdWithTheServerRestarted(t *testing.T) {
	t.Parallel()
	server := pgtest.Private(t, nil)
	c := newCrowd(fleetOn(t, server))

	stop := make(chan struct{})
	wait := c.run(t, stop)
	c.reach(t, 200)
	server.Stop()
	require.ErrorIs(t, c.home(c.as(t.Context(), 0), 0), scopes.ErrUnavailable)
	server.Start()
	c.reach(t, 200)
	close(stop)
	wait()
	c.settles(t)
}

// fleetOn is a fleet of one database on a server of the test's own, which it can restart.
func fleetOn(t *testing.T, server *pgtest.PrivateServer, changes ...func(*registry.Config)) fleet {
	conn, err := pgx.ConnectConfig(t.Context(), server.Config("postgres", pgtest.Superuser))
	require.NoError(t, err)
	defer conn.Close(t.Context())
	require.NoError(t, notes(t.Context(), conn))
	config := registry.Config{Runtime: server.Config("postgres", pgtest.Runtime), MaxConns: crowdConns}
	for _, change := range changes {
		change(&config)
	}
	f := fleet{tenants: []scopes.Tenant{{ID: 1, Placement: scopes.Placement{Database: "postgres", Schema: "public"}}}}
	f.Registry, err = registry.Open(config)
	require.NoError(t, err)
	t.Cleanup(func() {
		require.Zero(t, f.Stats().InUse, "connections in use")
		require.NoError(t, f.Close())
	})
	f.DB, err = f.OpenGORM(&gorm.Config{Logger: quiet}, scopes.NewPlugin(scopes.Config{}))
	require.NoError(t, err)
	return f
}
