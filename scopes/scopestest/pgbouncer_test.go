package scopestest_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"tenanted/internal/testpg"
	"tenanted/scopes/scopestest"
)

// A pooler in transaction mode gives each transaction whichever server connection is free.
func TestBehindPgBouncer(t *testing.T) {
	t.Parallel()
	target := shared(t)
	bouncer := startPgBouncer(t, target.Runtime)
	target.Runtime = bouncer
	scopestest.Run(t, application, target)
}

// The tenant as a setting of the session reaches another client's session there. That is why it is never one.
func TestPgBouncerLeaksSessionSettings(t *testing.T) {
	t.Parallel()
	bouncer := startPgBouncer(t, testpg.Database(t, "scopestest-shared", nothing).Config(testpg.Runtime))
	connect := func() *pgx.Conn {
		conn, err := pgx.ConnectConfig(t.Context(), bouncer)
		require.NoError(t, err)
		t.Cleanup(func() { _ = conn.Close(context.Background()) })
		return conn
	}
	one, other := connect(), connect()
	var leaked string
	ask := func(conn *pgx.Conn, sql string) string {
		require.NoError(t, conn.QueryRow(t.Context(), sql).Scan(&leaked))
		return leaked
	}
	ask(one, "select set_config('app.tenant_id', '1', false)")
	require.Equal(t, "1", ask(other, "select current_setting('app.tenant_id', true)"))
	ask(one, "select set_config('app.tenant_id', '', false)")
	ask(one, "select set_config('app.tenant_id', '2', true)")
	require.Empty(t, ask(other, "select current_setting('app.tenant_id', true)"), "for the transaction only")
}

// startPgBouncer runs one server connection in transaction mode before config's server, and returns the way to it.
func startPgBouncer(t *testing.T, config *pgx.ConnConfig) *pgx.ConnConfig {
	program, err := exec.LookPath("pgbouncer")
	if errors.Is(err, exec.ErrNotFound) && os.Getenv("CI") != "true" {
		t.Skip("pgbouncer is not installed (apt-get install pgbouncer); in CI that is a failure")
	}
	require.NoError(t, err)
	dir, err := os.MkdirTemp("", "pgbouncer")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	settings := fmt.Sprintf(`[databases]
* = host=%s port=%d
[pgbouncer]
listen_addr =
unix_socket_dir = %s
listen_port = 6432
auth_type = trust
auth_file = %s/users
pool_mode = transaction
default_pool_size = 1
`, config.Host, config.Port, dir, dir)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "settings"), []byte(settings), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "users"), []byte(strconv.Quote(config.User)+` ""`), 0o644))
	runAsSomebody(t, dir, exec.Command(program, "-q", filepath.Join(dir, "settings")))

	through := config.Copy()
	through.Host, through.Port, through.Fallbacks = dir, 6432, nil
	through.DefaultQueryExecMode = pgx.QueryExecModeExec
	require.Eventually(t, func() bool {
		conn, err := pgx.ConnectConfig(t.Context(), through)
		if err == nil {
			_ = conn.Close(t.Context())
		}
		return err == nil
	}, 10*time.Second, 10*time.Millisecond)
	return through
}

// runAsSomebody runs a program that refuses to be root, until the test ends.
func runAsSomebody(t *testing.T, dir string, cmd *exec.Cmd) {
	if os.Getuid() == 0 {
		postgres, err := user.Lookup("postgres") // who runs the server, and may enter its socket's directory
		require.NoError(t, err)
		uid, err := strconv.Atoi(postgres.Uid)
		require.NoError(t, err)
		gid, err := strconv.Atoi(postgres.Gid)
		require.NoError(t, err)
		require.NoError(t, os.Chown(dir, uid, gid))
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	}
	cmd.Dir, cmd.Stderr = "/", os.Stderr
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
}
