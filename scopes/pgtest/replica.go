//go:build unix

package pgtest

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"tenanted/internal/localpg"
)

// Replicated is a server with a streaming replica, both of one test's own, which may stop and change them.
type Replicated struct {
	Primary *PrivateServer // takes reads and writes
	Replica *PrivateServer // follows it
}

// PrivateServer is a server of one test's own.
type PrivateServer struct {
	t        testing.TB
	dir      string
	settings map[string]string
	server   *localpg.Server
}

// Private starts a server with those settings of postgresql.conf beside the usual ones, and the roles [Owner] and [Runtime]. It is stopped and
// removed when the test ends.
func Private(t testing.TB, settings map[string]string) *PrivateServer {
	t.Helper()
	s := newPrivate(t, settings)
	s.Start()
	s.Exec("postgres", "create role "+Owner+" login createdb; create role "+Runtime+" login")
	return s
}

// Replica starts a server, and a streaming replica of it whose own settings may be given, such as recovery_min_apply_delay.
func Replica(t testing.TB, settings map[string]string) Replicated {
	t.Helper()
	streams := map[string]string{"wal_level": "replica", "max_wal_senders": "4", "max_connections": "100"}
	r := Replicated{Primary: Private(t, streams)}
	maps.Copy(streams, settings)
	r.Replica = newPrivate(t, streams)
	r.Primary.copyTo(r.Replica)
	r.Replica.Start()
	return r
}

func newPrivate(t testing.TB, settings map[string]string) *PrivateServer {
	dir, err := os.MkdirTemp("", "pgtest") // which the server's account may enter, unlike the test's own
	require.NoError(t, err)
	s := &PrivateServer{t: t, dir: dir, settings: settings}
	t.Cleanup(func() {
		s.Stop()
		_ = os.RemoveAll(dir)
	})
	return s
}

// Start starts the server, again after it was stopped.
func (s *PrivateServer) Start() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), setupTimeout)
	defer cancel()
	var err error
	s.server, err = localpg.Start(ctx, localpg.Options{Dir: s.dir, Settings: s.settings})
	require.NoError(s.t, err)
}

// Stop stops the server, which ends its sessions.
func (s *PrivateServer) Stop() {
	s.t.Helper()
	if s.server != nil {
		require.NoError(s.t, s.server.Close())
	}
}

// Kill has the server end at once, without a word to its clients.
func (s *PrivateServer) Kill() {
	s.t.Helper()
	written, err := os.ReadFile(filepath.Join(s.Data(), "postmaster.pid"))
	require.NoError(s.t, err)
	first, _, _ := strings.Cut(string(written), "\n")
	pid, err := strconv.Atoi(first)
	require.NoError(s.t, err)
	require.NoError(s.t, syscall.Kill(pid, syscall.SIGQUIT))
	s.Stop()
}

// Data is the directory of the server's files, as pg_hba.conf.
func (s *PrivateServer) Data() string { return filepath.Join(s.dir, "data") }

// Config is a new configuration for connecting to a database as role.
func (s *PrivateServer) Config(database, role string) *pgx.ConnConfig {
	config, err := pgx.ParseConfig(fmt.Sprintf("host=%s port=%d user=%s dbname=%s sslmode=disable", quote(s.server.Host()), s.server.Port(), quote(role), quote(database)))
	if err != nil {
		panic(err) // a DSN of our own making
	}
	return config
}

// Exec runs SQL in a database as the superuser.
func (s *PrivateServer) Exec(database, sql string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), setupTimeout)
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, s.Config(database, Superuser))
	require.NoError(s.t, err)
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, sql)
	require.NoError(s.t, err)
}

// copyTo gives another server, which was not started yet, the data to be a replica with.
func (s *PrivateServer) copyTo(replica *PrivateServer) {
	s.t.Helper()
	require.NoError(s.t, os.WriteFile(filepath.Join(replica.dir, "start.lock"), nil, 0o600)) // by which localpg knows its directories
	s.run(filepath.Join(s.server.BinDir(), "pg_basebackup"), "-D", replica.Data(), "-R", "-X", "stream", "-c", "fast", "--no-sync", "-w",
		"-h", s.server.Host(), "-p", strconv.Itoa(s.server.Port()), "-U", Superuser)
	if os.Getuid() == 0 { // servers run as another account
		s.run("chown", "-R", "--reference", s.Data(), replica.dir)
	}
}

func (s *PrivateServer) run(name string, args ...string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), setupTimeout)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	require.NoError(s.t, err, "%s: %s", name, out)
}
