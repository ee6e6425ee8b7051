package registry_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"tenanted/scopes"
	"tenanted/scopes/pgtest"
	"tenanted/scopes/registry"
	"tenanted/scopes/session"
)

// vault has the runtime role's password, and is asked for it as seldom as possible.
type vault struct {
	mu               sync.Mutex
	password, cached string
	asked            int
}

func (v *vault) set(password string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.password = password
}

func (v *vault) beforeConnect(ctx context.Context, config *pgx.ConnConfig) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.cached == "" || session.LoginRefused(ctx) {
		v.cached = v.password
		v.asked++
	}
	config.Password = v.cached
	return nil
}

// requirePasswords has a server ask the runtime role for one.
func requirePasswords(t testing.TB, server *pgtest.PrivateServer) {
	path := filepath.Join(server.Data(), "pg_hba.conf")
	rules, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, append([]byte("local all "+pgtest.Runtime+" scram-sha-256\n"), rules...), 0o600))
	server.Exec("postgres", "select pg_reload_conf()")
	require.Eventually(t, func() bool { // until it has read the rule
		conn, err := pgx.ConnectConfig(t.Context(), server.Config("postgres", pgtest.Runtime))
		if err == nil {
			_ = conn.Close(t.Context())
		}
		return err != nil
	}, 10*time.Second, 10*time.Millisecond)
}

// A changed password is found when the server refuses the old one, for the statement that met it. Connections that are open live on.
func TestPasswordsThatChange(t *testing.T) {
	t.Parallel()
	server := pgtest.Private(t, nil)
	secrets := &vault{password: "first"}
	f := fleetOn(t, server, func(c *registry.Config) { c.BeforeConnect, c.MaxConns = secrets.beforeConnect, 10 })
	server.Exec("postgres", "alter role "+pgtest.Runtime+" password 'first'")
	requirePasswords(t, server)
	open, err := f.Registry.DB().BeginTx(f.context(t.Context(), 0), nil)
	require.NoError(t, err)
	require.Equal(t, 1, secrets.asked)

	server.Exec("postgres", "alter role "+pgtest.Runtime+" password 'second'")
	secrets.set("second")
	require.NoError(t, f.onServer(t), "over a new connection")
	require.Equal(t, 2, secrets.asked)
	_, err = open.ExecContext(f.context(t.Context(), 0), "select from notes")
	require.NoError(t, err)

	server.Exec("postgres", "alter role "+pgtest.Runtime+" password 'third'")
	second, err := f.Registry.DB().BeginTx(f.context(t.Context(), 0), nil)
	require.NoError(t, err, "over the idle connection")
	err = f.onServer(t)
	require.ErrorIs(t, err, scopes.ErrUnavailable)
	require.NotContains(t, err.Error(), "second")
	secrets.set("third")
	require.Eventually(t, func() bool { return f.onServer(t) == nil }, 10*time.Second, time.Millisecond)
	require.NoError(t, second.Rollback())
	require.NoError(t, open.Rollback())
}

// Where the credentials come from is asked no more often than a database that is away.
func TestCredentialsThatCannotBeHad(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 1, registry.Config{})
	sealed, asked := errors.New("the vault is sealed"), 0
	r, err := registry.Open(registry.Config{Runtime: f.server.Config(pgtest.Runtime), BeforeConnect: func(context.Context, *pgx.ConnConfig) error {
		asked++
		return sealed
	}})
	require.NoError(t, err)
	defer r.Close()
	before := 0
	away := untilAway(t, func() error {
		before = asked
		return second(r.DB().ExecContext(f.context(t.Context(), 0), "select 1"))
	})
	require.ErrorIs(t, away, sealed)
	require.Equal(t, before, asked)
}
