package registry_test

import (
	"context"
	"net"
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

// twoServers is a registry over two servers with a database of the same name on each, in which the note says where it is.
func twoServers(t *testing.T, config registry.Config) (db *gorm.DB, reg *registry.Registry, here, there context.Context) {
	t.Helper()
	first, second := pgtest.Database(t, "registry-notes", notes), pgtest.Elsewhere(t, "registry-notes", notes)
	first.Exec(t, pgtest.Owner, "insert into notes (account_id, text) values (1, 'here')")
	second.Exec(t, pgtest.Owner, "insert into notes (account_id, text) values (1, 'there')")
	name := first.Name + "_both"
	for _, of := range []*pgtest.DB{first, second} {
		of.Exec(t, pgtest.Superuser, `create database "`+name+`" template "`+of.Name+`" owner `+pgtest.Owner)
	}
	t.Cleanup(func() { second.Exec(t, pgtest.Superuser, `drop database "`+name+`" with (force)`) })
	config.Runtime = first.Config(pgtest.Runtime)
	config.Servers = map[string]registry.Server{"eu": {Runtime: second.Config(pgtest.Runtime), MaxConns: 2}}
	reg, err := registry.Open(config)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, reg.Close()) })
	db, err = reg.OpenGORM(&gorm.Config{Logger: quiet}, scopes.NewPlugin(scopes.Config{}))
	require.NoError(t, err)
	place := scopes.Placement{Database: name, Schema: "public"}
	here = scopes.WithTenant(t.Context(), scopes.Tenant{ID: 1, Placement: place})
	place.Server = "eu"
	return db, reg, here, scopes.WithTenant(t.Context(), scopes.Tenant{ID: 1, Placement: place})
}

// Two databases of one name, and even two tenants with one id, are told apart by their server.
func TestDatabasesOfOneNameOnTwoServers(t *testing.T) {
	t.Parallel()
	var mutex sync.Mutex
	opened := map[scopes.Placement]bool{}
	db, reg, here, there := twoServers(t, registry.Config{AfterConnect: func(_ context.Context, _ *pgx.Conn, p scopes.Placement) error {
		mutex.Lock()
		defer mutex.Unlock()
		opened[p] = true
		return nil
	}})
	for range 5 {
		for want, ctx := range map[string]context.Context{"here": here, "there": there} {
			var found []Note
			require.NoError(t, db.WithContext(ctx).Find(&found).Error)
			require.Len(t, found, 1)
			require.Equal(t, want, found[0].Text)
		}
	}
	home, err := scopes.FromContext(there)
	require.NoError(t, err)
	require.Equal(t, map[scopes.Placement]bool{home.InSchema(""): true, {Database: home.Database}: true}, opened)
	require.Equal(t, registry.DatabaseStats{Idle: 1}, reg.Stats().Servers["eu"].Databases[home.Database])

	require.NoError(t, db.WithContext(here).Connection(func(tx *gorm.DB) error {
		require.NoError(t, tx.WithContext(here).Find(&[]Note{}).Error)
		require.ErrorContains(t, tx.WithContext(there).Find(&[]Note{}).Error, "on a connection kept for database")
		return nil
	}))
}

func TestEachServerHasABoundOfItsOwn(t *testing.T) {
	t.Parallel()
	db, reg, here, there := twoServers(t, registry.Config{MaxConns: 3})
	require.Equal(t, []int{5, 3, 2}, []int{reg.Stats().MaxOpenConnections, reg.Stats().Servers[""].MaxOpenConnections, reg.Stats().Servers["eu"].MaxOpenConnections})
	var sleeping sync.WaitGroup
	ctx, cancel := context.WithCancel(there)
	for range 4 { // more than there are connections
		sleeping.Go(func() { _ = db.WithContext(ctx).Exec("select pg_sleep(60)").Error })
	}
	require.Eventually(t, func() bool { return reg.Stats().Servers["eu"].WaitCount > 0 }, 10*time.Second, time.Millisecond)
	require.LessOrEqual(t, reg.Stats().Servers["eu"].InUse, 2)
	require.NoError(t, db.WithContext(here).Find(&[]Note{}).Error, "they are no business of the other server")
	require.Zero(t, reg.Stats().Servers[""].WaitCount)
	cancel()
	sleeping.Wait()
	require.Eventually(t, func() bool { return reg.Stats().InUse == 0 }, 10*time.Second, time.Millisecond)
}

// Nothing stands in for a server that is not configured, or that is away; who is elsewhere does not notice.
func TestAServerThatIsNotThere(t *testing.T) {
	t.Parallel()
	first := pgtest.Database(t, "registry-notes", notes)
	silent, err := net.Listen("tcp", "localhost:0") // takes connections, and never answers
	require.NoError(t, err)
	defer silent.Close()
	away, hangs := first.Config(pgtest.Runtime), first.Config(pgtest.Runtime)
	away.Host, away.Fallbacks = "/nowhere", nil
	hangs.Host, hangs.Port, hangs.Fallbacks = "localhost", uint16(silent.Addr().(*net.TCPAddr).Port), nil
	reg, err := registry.Open(registry.Config{Runtime: first.Config(pgtest.Runtime), MaxConns: 2,
		Servers: map[string]registry.Server{"away": {Runtime: away}, "hangs": {Runtime: hangs}}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, reg.Close()) })
	on := func(ctx context.Context, server string) error {
		tenant := scopes.Tenant{ID: 1, Placement: scopes.Placement{Server: server, Database: first.Name, Schema: "public"}}
		_, err := reg.DB().ExecContext(scopes.WithTenant(ctx, tenant), "select from notes")
		return err
	}
	var unknown *scopes.ServerUnknownError
	require.ErrorAs(t, on(t.Context(), "mars"), &unknown)
	require.ErrorIs(t, on(t.Context(), "mars"), scopes.ErrUnavailable)
	require.ErrorContains(t, on(t.Context(), "mars"), `tenant 1: server "mars" is not configured`)
	require.ErrorIs(t, on(t.Context(), "away"), scopes.ErrUnavailable)

	ctx, cancel := context.WithCancel(t.Context())
	var waiting sync.WaitGroup
	for range 6 {
		waiting.Go(func() { _ = on(ctx, "hangs") })
	}
	require.Eventually(t, func() bool { return reg.Stats().Servers["hangs"].WaitCount > 0 }, 10*time.Second, time.Millisecond)
	for range 20 {
		require.NoError(t, on(t.Context(), ""))
	}
	require.Zero(t, reg.Stats().Servers[""].WaitCount)
	cancel()
	waiting.Wait()
}

func TestServersThatCannotBe(t *testing.T) {
	t.Parallel()
	runtime := pgtest.Database(t, "registry-notes", notes).Config(pgtest.Runtime)
	for want, server := range map[string]map[string]registry.Server{
		"has no name":                  {"": {Runtime: runtime}},
		`Servers["eu"].Runtime`:        {"eu": {}},
		`Servers["eu"].MaxConns is -1`: {"eu": {Runtime: runtime, MaxConns: -1}},
	} {
		_, err := registry.Open(registry.Config{Runtime: runtime, Servers: server})
		require.ErrorContains(t, err, want)
	}
}
