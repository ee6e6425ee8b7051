// Package pgtest gives every test a PostgreSQL database of its own, within
// milliseconds, from one private server that all test processes share. It needs
// PostgreSQL's programs on the machine, and no server: it starts its own.
//
// A test package calls [Main] from its TestMain, and its tests call [Database], or [Elsewhere] for one on another server. A
// database is a clone of a template, which is built once for all processes of
// the same test program and kept between its runs. A program that was built
// anew, or in another checkout, makes its own.
//
// What is guaranteed: a test's database has what its template had, nothing of
// another test's. Logged in as [Runtime], a test is bound by row-level security,
// as the application in production is. A test that leaves a connection in the
// middle of a statement or transaction fails, with what it was doing.
//
// The server has no durability (a power cut may destroy it), listens on no
// port and keeps its files in memory where there is room, in a directory named
// tenanted-test-<uid>. Deleting that directory while no test runs is safe.
//
// A test process that is killed leaves databases behind. The next one drops
// them: each process holds an advisory lock for its own as long as it lives.
// Settings of a database that are no part of it (GRANT ... ON DATABASE, ALTER
// DATABASE ... SET) do not reach a clone.
package pgtest

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"tenanted/internal/localpg"
)

// The roles a test can log in as, without a password.
const (
	Superuser = "postgres"     // may do everything
	Owner     = "test_owner"   // owns the databases, may create more
	Runtime   = "test_runtime" // owns nothing, may do what it was granted
)

// setupTimeout bounds the setup and cleanup of a test.
const setupTimeout = 2 * time.Minute

// current is the cluster of this process, set by Main before any test runs, and second the one on another server, if a test
// needs it.
var (
	current *cluster
	second  struct {
		once    sync.Once
		cluster *cluster
		err     error
	}
)

// Main runs the tests of a package with the server up, and exits. It removes
// the PG* variables from the environment: what they say about the developer's
// own servers must not reach a test.
func Main(m *testing.M) {
	code, err := run(m.Run)
	if err != nil {
		fmt.Fprintln(os.Stderr, "pgtest:", err)
		code = 1
	}
	os.Exit(code)
}

// run runs tests with the server up, and returns their exit code.
func run(tests func() int) (code int, err error) {
	forgetServers()
	if HasCitus() { // those that wait for it must not keep the subtests of the one that has it from running
		_ = flag.Set("test.parallel", "100")
	}
	if current, err = start(context.Background(), dir(), settings, "login createdb"); err != nil {
		return 1, err
	}
	code = tests()
	ctx, cancel := context.WithTimeout(context.Background(), setupTimeout)
	defer cancel()
	if second.cluster != nil {
		err = second.cluster.stop(ctx)
	}
	return code, errors.Join(current.stop(ctx), err)
}

// start joins or starts the server of a directory. Attributes are the owner's.
func start(ctx context.Context, dir string, settings map[string]string, attributes string) (*cluster, error) {
	ctx, cancel := context.WithTimeout(ctx, setupTimeout)
	defer cancel()
	server, err := localpg.Start(ctx, localpg.Options{Dir: dir, Settings: settings})
	if err != nil {
		return nil, err
	}
	c, err := open(ctx, server, attributes)
	if err != nil {
		return nil, errors.Join(err, server.Close())
	}
	return c, nil
}

// settings suit a server that is started often, for small databases.
var settings = map[string]string{
	"max_connections": "400",
	"shared_buffers":  "256MB",
	// It would hold up CREATE and DROP DATABASE. Who tests a query's plan
	// runs ANALYZE himself.
	"autovacuum":         "off",
	"checkpoint_timeout": "30min",
	// Failing statements are what many tests are about.
	"log_min_messages": "fatal",
}

// logical are the settings of a server whose log can be followed.
func logical() map[string]string {
	more := maps.Clone(settings)
	maps.Copy(more, map[string]string{"wal_level": "logical", "max_wal_senders": "20", "max_replication_slots": "20"})
	return more
}

func forgetServers() {
	for _, entry := range os.Environ() {
		if name, _, _ := strings.Cut(entry, "="); strings.HasPrefix(name, "PG") {
			_ = os.Unsetenv(name)
		}
	}
}

// dir is the server's directory, the same for all processes of the user.
func dir() string {
	return filepath.Join(localpg.ScratchDir(), fmt.Sprintf("tenanted-test-%d", os.Getuid()))
}
