package talk

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// MissingError says that an experiment needs a program that is not installed.
type MissingError struct{ Program, Package string }

func (e *MissingError) Error() string {
	return fmt.Sprintf("%s is not installed (Debian: apt install %s)", e.Program, e.Package)
}

// pgBouncer starts PgBouncer before the server until the trial ends, in transaction mode with one server connection, and returns the
// runtime role's way through it.
func (t *trial) pgBouncer(ctx context.Context) (*pgx.ConnConfig, error) {
	role := t.lab.as(t.lab.server.Runtime, t.lab.server.Database)
	if !strings.HasPrefix(role.Host, "/") || role.Password != "" {
		return nil, errors.New("this runs on a server that is reached by a socket without a password, as the private PostgreSQL is")
	}
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		return nil, &MissingError{"pgbouncer", "pgbouncer"}
	}
	dir, err := os.MkdirTemp("", "pgbouncer")
	if err != nil {
		return nil, err
	}
	t.cleanup(func() { _ = os.RemoveAll(dir) })
	settings, err := writeSettings(dir, role)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(program, "-q", settings) // it outlives a request that is cancelled, until the trial ends
	if err := asSomebody(cmd, dir); err != nil {
		return nil, err
	}
	cmd.Dir = "/"
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	t.cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	role.Host, role.Port, role.Fallbacks = dir, poolerPort, nil
	role.DefaultQueryExecMode = pgx.QueryExecModeExec // older ones keep no prepared statements
	return role, reachable(ctx, role)
}

const poolerPort = 6432

// writeSettings writes PgBouncer's files, and returns the name of the main one.
func writeSettings(dir string, role *pgx.ConnConfig) (string, error) {
	settings := fmt.Sprintf(`[databases]
* = host=%s port=%d
[pgbouncer]
listen_addr =
unix_socket_dir = %s
listen_port = %d
auth_type = trust
auth_file = %s/users
pool_mode = transaction
default_pool_size = 1
`, role.Host, role.Port, dir, poolerPort, dir)
	name := filepath.Join(dir, "settings")
	users := fmt.Appendf(nil, "%q \"\"\n", role.User)
	return name, errors.Join(os.WriteFile(name, []byte(settings), 0o644), os.WriteFile(filepath.Join(dir, "users"), users, 0o644))
}

// reachable waits until somebody answers.
func reachable(ctx context.Context, at *pgx.ConnConfig) error {
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		conn, err := pgx.ConnectConfig(ctx, at)
		if err == nil {
			return conn.Close(ctx)
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			return fmt.Errorf("pgbouncer does not answer: %w", err)
		}
	}
}
