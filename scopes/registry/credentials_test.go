package registry_test

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"tenanted/internal/localpg"
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
func requirePasswords(t *testing.T, server *localpg.Server) {
	path := filepath.Join(server.Dir(), "data", "pg_hba.conf")
	rules, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, append([]byte("local all "+pgtest.Runtime+" scram-sha-256\n"), rules...), 0o600))
	asSuperuser(t, server, "select pg_reload_conf()")
}

func asSuperuser(t *testing.T, server *localpg.Server, sql string) {
	conn, err := pgx.ConnectConfig(t.Context(), superuser(t, server))
	require.NoError(t, err)
	defer conn.Close(t.Context())
	_, err = conn.Exec(t.Context(), sql)
	require.NoError(t, err)
}

// A changed password is found when the server refuses the old one, for the statement that met it. Connections that are open live on.
func TestPasswordsThatChange(t *testing.T) {
	t.Parallel()
	server := privateServer(t, nil)()
	secrets := &vault{password: "first"}
	f := fleetOn(t, server, func(c *registry.Config) { c.BeforeConnect, c.MaxConns = secrets.beforeConnect, 10 })
	asSuperuser(t, server, "alter role "+pgtest.Runtime+" password 'first'")
	requirePasswords(t, server)
	require.Eventually(t, func() bool { // until the server has read the rule
		config := superuser(t, server)
		config.User = pgtest.Runtime
		conn, err := pgx.ConnectConfig(t.Context(), config)
		if err == nil {
			_ = conn.Close(t.Context())
		}
		return err != nil
	}, 10*time.Second, 10*time.Millisecond)

	open, err := f.Registry.DB().BeginTx(f.context(t.Context(), 0), nil)
	require.NoError(t, err)
	require.Equal(t, 1, secrets.asked)

	asSuperuser(t, server, "alter role "+pgtest.Runtime+" password 'second'")
	secrets.set("second")
	require.NoError(t, f.onServer(t), "over a new connection")
	require.Equal(t, 2, secrets.asked)
	_, err = open.ExecContext(f.context(t.Context(), 0), "select from notes")
	require.NoError(t, err)

	asSuperuser(t, server, "alter role "+pgtest.Runtime+" password 'third'")
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
