package registry_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
	"gorm.io/gorm"

	"tenanted/scopes"
	"tenanted/scopes/pgtest"
	"tenanted/scopes/registry"
)

// manyDatabases makes copies of one database, in which each of as many tenants has a note, and returns tenants of which the
// i-th lives in the i-th database. Without row-level security it would see the notes of all.
func manyDatabases(t testing.TB, n int) (*pgtest.DB, []scopes.Tenant) {
	db := pgtest.Database(t, "registry-notes", notes)
	db.Exec(t, pgtest.Owner, "insert into notes (account_id, text) select i, 'note' from generate_series(1, $1) i", n)
	tenants := make([]scopes.Tenant, n)
	for i := range tenants {
		tenants[i] = scopes.Tenant{ID: scopes.TenantID(i + 1), Placement: scopes.Placement{Database: fmt.Sprintf("%s_%d", db.Name, i), Schema: "public"}}
	}
	var group errgroup.Group
	const workers = 4
	for w := range workers {
		conn, err := pgx.ConnectConfig(t.Context(), maintenance(db))
		require.NoError(t, err)
		t.Cleanup(func() { _ = conn.Close(context.Background()) })
		group.Go(func() error {
			for i := w; i < n; i += workers {
				sql := fmt.Sprintf(`create database "%s" template "%s" strategy file_copy`, tenants[i].Database, db.Name)
				if _, err := conn.Exec(t.Context(), sql); err != nil {
					return err
				}
			}
			return nil
		})
	}
	require.NoError(t, group.Wait())
	return db, tenants
}

// maintenance is a superuser's connection to no test's database.
func maintenance(db *pgtest.DB) *pgx.ConnConfig {
	config := db.Config(pgtest.Superuser)
	config.Database = "postgres"
	return config
}

// peak counts the runtime role's connections on the server to databases, again and again until stop is called, which returns the
// highest count that two in a row have reached: the server goes through its connections one by one, and can count one that ends meanwhile and the
// one that takes its place.
func peak(t *testing.T, databases ...string) (stop func() int) {
	conn := pgtest.Database(t, "empty", empty).Connect(t, pgtest.Superuser)
	done, highest := make(chan struct{}), make(chan int)
	go func() {
		most, before, n := 0, 0, 0
		for {
			select {
			case <-done:
				highest <- most
				return
			default:
			}
			err := conn.QueryRow(context.Background(), "select count(*) from pg_stat_activity where usename = $1 and datname = any ($2)", pgtest.Runtime, databases).Scan(&n)
			if err != nil {
				t.Error(err)
			}
			most, before = max(most, min(before, n)), n
		}
	}()
	return func() int { close(done); return <-highest }
}

// Two hundred clients work for the tenants of three hundred databases over forty connections, as counted by the server. Each tenant
// is served, and sees its own rows alone.
func TestManyDatabasesOverFewConnections(t *testing.T) {
	t.Parallel()
	databases, conns, clients := 300, 40, 200
	if testing.Short() {
		databases, conns, clients = 40, 8, 40
	}
	began := time.Now()
	db, tenants := manyDatabases(t, databases)
	t.Log("made in", time.Since(began))
	r, err := registry.Open(registry.Config{Runtime: db.Config(pgtest.Runtime), MaxConns: conns})
	require.NoError(t, err)
	t.Cleanup(func() { _ = r.Close() })
	orm, err := r.OpenGORM(&gorm.Config{Logger: quiet}, scopes.NewPlugin(scopes.Config{}))
	require.NoError(t, err)

	began = time.Now()
	var names []string
	for _, tenant := range tenants {
		names = append(names, tenant.Database)
	}
	highest := peak(t, names...)
	visits := make([]atomic.Int64, databases)
	var group sync.WaitGroup
	for client := range clients {
		group.Go(func() {
			for i := client; i < 2*databases; i += clients {
				n := i % databases
				if err := visit(orm.WithContext(scopes.WithTenant(t.Context(), tenants[n])), tenants[n]); err != nil {
					t.Errorf("%v: %v", tenants[n].Placement, err)
					return
				}
				visits[n].Add(1)
			}
		})
	}
	group.Wait()
	require.LessOrEqual(t, highest(), conns, "connections on the server")
	for i := range visits {
		require.EqualValues(t, 2, visits[i].Load(), "visits of tenant %d", i)
	}
	stats := r.Stats()
	require.Zero(t, stats.InUse)
	require.LessOrEqual(t, stats.Open, conns)
	t.Log("visited in", time.Since(began))
}

// A connection whose statement was given up, and goes on for a while on the server, counts for as long.
func TestConnectionsBeingClosedCount(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 2, registry.Config{MaxConns: 2})
	const stubborn = `do $$ begin perform pg_sleep(60); exception when query_canceled then perform pg_sleep(0.5); end $$`
	highest := peak(t, f.databases()...)
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	for tenant := range 2 {
		group.Go(func() { _ = f.as(ctx, tenant).Exec(stubborn).Error })
	}
	require.Eventually(t, func() bool { return f.Stats().Open == 2 }, 10*time.Second, time.Millisecond)
	require.Eventually(t, func() bool { return sleeping(t, f) == 2 }, 10*time.Second, time.Millisecond)
	cancel()
	group.Wait()
	require.Zero(t, f.Stats().Open)
	for tenant := range 2 {
		require.NoError(t, f.home(f.as(t.Context(), tenant), tenant))
	}
	require.LessOrEqual(t, highest(), 2)
}

// sleeping counts the statements under way in the fleet's databases.
func sleeping(t *testing.T, f fleet) (n int) {
	conn := f.server.Connect(t, pgtest.Superuser)
	defer conn.Close(t.Context())
	err := conn.QueryRow(t.Context(), "select count(*) from pg_stat_activity where state = 'active' and usename = $1 and datname = any ($2)",
		pgtest.Runtime, f.databases()).Scan(&n)
	require.NoError(t, err)
	return n
}

func empty(context.Context, *pgx.Conn) error { return nil }

// visit reads and writes one tenant's notes in one of the ways that the registry routes, and now and then gives up in the middle of a
// statement, which costs a connection.
func visit(db *gorm.DB, tenant scopes.Tenant) error {
	switch rand.IntN(4) {
	case 0:
		ctx, cancel := context.WithTimeout(db.Statement.Context, 5*time.Millisecond)
		defer cancel()
		if err := db.WithContext(ctx).Exec("select pg_sleep(60)").Error; !errors.Is(err, context.DeadlineExceeded) {
			return fmt.Errorf("sleep ended with %w", err)
		}
	case 1:
		err := db.Transaction(func(tx *gorm.DB) error {
			if err := tx.Create(&Note{Text: "draft"}).Error; err != nil {
				return err
			}
			return errors.Join(atHome(tx, tenant, 2), errUndo)
		})
		if !errors.Is(err, errUndo) || err.Error() != errUndo.Error() {
			return err
		}
	}
	return atHome(db, tenant, 1)
}

// atHome reads by raw SQL, which only the database confines.
func atHome(db *gorm.DB, tenant scopes.Tenant, want int) error {
	var found []struct {
		AccountID int64
		Place     string
	}
	if err := db.Raw("select account_id, current_database() as place from notes").Scan(&found).Error; err != nil {
		return err
	}
	for _, note := range found {
		if fmt.Sprint(note.AccountID) != tenant.Key() || note.Place != tenant.Database {
			return fmt.Errorf("%w: %+v", errForeign, note)
		}
	}
	if len(found) != want {
		return fmt.Errorf("%d notes instead of %d", len(found), want)
	}
	return nil
}
