//go:build unix

package pgtest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// PgBouncerPrepared is [PgBouncer] with a PgBouncer that keeps prepared statements, as 1.21 and later ones can, for clients that
// prepare them. With an older program the test is skipped.
func PgBouncerPrepared(t *testing.T, config *pgx.ConnConfig) *pgx.ConnConfig {
	t.Helper()
	version, err := exec.Command("pgbouncer", "--version").Output()
	var major, minor int
	if _, scanErr := fmt.Sscanf(string(version), "PgBouncer %d.%d", &major, &minor); err == nil && scanErr == nil && major == 1 && minor < 21 {
		t.Skipf("PgBouncer %d.%d keeps no prepared statements: 1.21 does", major, minor)
	}
	through := PgBouncer(t, config, "max_prepared_statements = 100")
	through.DefaultQueryExecMode = pgx.QueryExecModeCacheStatement
	return through
}

// PgBouncer runs PgBouncer in front of config's server until the test ends, in transaction mode with one server connection
// for each database and role, and returns the way to it. Without the program the test is skipped; in CI it fails. lines go into the
// section [pgbouncer] of its settings.
func PgBouncer(t *testing.T, config *pgx.ConnConfig, lines ...string) *pgx.ConnConfig {
	t.Helper()
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
%s
`, config.Host, config.Port, dir, dir, strings.Join(lines, "\n"))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "settings"), []byte(settings), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "users"), fmt.Appendf(nil, "%q \"\"\n%q \"\"\n", Owner, Runtime), 0o644))
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
	t.Helper()
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
