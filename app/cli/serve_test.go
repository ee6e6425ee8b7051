package cli_test

import (
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tenanted/app/config"
	"tenanted/internal/localpg"
	"tenanted/scopes/pgtest"
)

func TestServeAddresses(t *testing.T) {
	t.Parallel()
	w := newFixture(t, config.SingleSchema)
	w.ok(t, "migrate")
	taken, err := net.Listen("tcp", "localhost:0")
	require.NoError(t, err)
	defer taken.Close()
	addr := taken.Addr().String()
	w.fails(t, 1, "address "+addr+" is in use: stop the program that uses it, or choose another one with --addr", "serve", "--addr", addr)
	w.fails(t, 2, "--addr 8080 is not an address", "serve", "--addr", "8080")
	w.fails(t, 2, "--addr :80800 is not an address", "serve", "--addr", ":80800")
	w.fails(t, 2, "--pprof 6060 is not an address", "serve", "--addr", "localhost:0", "--pprof", "6060")
	w.fails(t, 1, "address "+addr+" is in use: stop the program that uses it, or choose another one with --pprof",
		"serve", "--addr", "localhost:0", "--pprof", addr)
	w.fails(t, 1, "no-such-host.invalid", "serve", "--addr", "no-such-host.invalid:80")
}

func TestServeWithoutTenantsSaysHowToMakeSome(t *testing.T) {
	t.Parallel()
	eachUnmixed(t, func(t *testing.T, w *fixture) {
		w.ok(t, "migrate")
		s := w.serve(t)
		require.Contains(t, s.out.String(), "`tenanted seed` makes some")
		status, _ := s.get(t, "tenant-0.localhost", "/subtasks/")
		require.Equal(t, 404, status)
		require.Equal(t, 0, s.end(t))
		require.Zero(t, w.count(t, "select count(*) from control.tenants"), "nothing is made on a server of the user's own")
	})
}

// A request that is being answered when the program is asked to stop gets its answer.
func TestServeFinishesRequestsInFlight(t *testing.T) {
	t.Parallel()
	w := newFixture(t, config.SingleSchema)
	w.ok(t, "migrate")
	w.ok(t, "seed")
	s := w.serve(t)
	lock, err := w.db.Connect(t, pgtest.Owner).Begin(t.Context())
	require.NoError(t, err)
	_, err = lock.Exec(t.Context(), "lock table subtasks in access exclusive mode")
	require.NoError(t, err)

	answered := make(chan int, 1)
	go func() {
		status, _ := s.get(t, "tenant-0.localhost", "/subtasks/")
		answered <- status
	}()
	waiting := "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
	require.Eventually(t, func() bool { return w.count(t, waiting) > 0 }, time.Minute, 5*time.Millisecond)
	s.stop()
	require.Eventually(t, func() bool { // no new ones are taken
		conn, err := net.Dial("tcp", s.addr)
		if err == nil {
			conn.Close()
		}
		return err != nil
	}, time.Minute, 5*time.Millisecond)
	require.Empty(t, answered)
	require.NoError(t, lock.Commit(t.Context()))
	require.Equal(t, 200, <-answered)
	require.Equal(t, 0, s.end(t))
	require.Contains(t, s.out.String(), "stopped\n")
}

func TestServeShowsMetricsWhenAsked(t *testing.T) {
	t.Parallel()
	w := newFixture(t, config.SingleSchema)
	w.ok(t, "migrate")
	s := w.serve(t, "--metrics")
	status, page := s.get(t, "localhost", "/metrics")
	require.Equal(t, 200, status)
	require.Contains(t, page, `tenanted_db_connections_max{server=""} `)
	require.Equal(t, 0, s.end(t))

	s = w.serve(t)
	status, _ = s.get(t, "localhost", "/metrics")
	require.Equal(t, 404, status)
	require.Equal(t, 0, s.end(t))
}

// private returns the environment of somebody without a server, with a directory that every account can enter. It is in
// memory where there is room: on a disk, making the files of every database took half of the time.
func private(t *testing.T, strategy config.Strategy) *fixture {
	t.Helper()
	dir, err := os.MkdirTemp(localpg.ScratchDir(), "tenanted-cli-")
	require.NoError(t, err)
	require.NoError(t, os.Chmod(dir, 0o755))
	t.Cleanup(func() { // a server that was asked to stop may take a moment
		require.Eventually(t, func() bool { return os.RemoveAll(dir) == nil }, time.Minute, 10*time.Millisecond)
	})
	return &fixture{strategy: strategy, dir: dir, environ: []string{
		"PATH=" + os.Getenv("PATH"), "DJANGO_CONFIGURATION=" + string(strategy), "LOCALPG_DIR=" + dir + "/pg",
	}}
}

// mainOf returns a page without its header, which in the demo names the other tenants.
func mainOf(page string) string {
	_, main, _ := strings.Cut(page, "<main")
	return main
}

// Nothing is there but PostgreSQL's programs; all strategies share one private server.
func TestServeFromNothing(t *testing.T) {
	t.Parallel()
	w := private(t, config.SingleSchema)
	pages := map[string]bool{}
	for _, strategy := range config.Strategies() {
		w := w.with("DJANGO_CONFIGURATION=" + string(strategy))
		w.fails(t, 1, "run `tenanted migrate`", "tenants", "list")
		without := w.serve(t, "--no-demo")
		for _, want := range []string{"created database tenanted", "migrated tenanted", "`tenanted seed` makes some"} {
			require.Contains(t, without.out.String(), want)
		}
		require.Equal(t, 0, without.end(t))
		s := w.serve(t)
		require.Contains(t, s.out.String(), "making 5 demo tenants")
		require.Contains(t, s.out.String(), "http://tenant-2."+s.addr+"/")
		status, page := s.get(t, "tenant-0.localhost:8080", "/subtasks/")
		require.Equal(t, 200, status)
		pages[mainOf(page)] = true
		if strategy != config.MultipleDb { // in a second terminal
			w.ok(t, "seed", "--accounts", "6")
			status, _ = s.get(t, "tenant-5.localhost", "/subtasks/")
			require.Equal(t, 200, status)
		}
		require.Contains(t, w.ok(t, "check"), "yes")
		require.Equal(t, "1\n", w.ok(t, "dbshell", "--tenant", "tenant-3", "--", "-XAtc", "select count(distinct account_id) from subtasks"))
		require.Equal(t, 0, s.end(t), s.errs.String())

		again := w.serve(t) // the server was stopped in between
		require.NotContains(t, again.out.String(), "making")
		status, page = again.get(t, "tenant-0.localhost:8080", "/subtasks/")
		require.Equal(t, 200, status)
		pages[mainOf(page)] = true
		require.Equal(t, 0, again.end(t), again.errs.String())

		// As if the first start had been killed while it made the demo tenants.
		w.ok(t, "dbshell", "--owner", "--", "-qc", "update control.tenants set state = 'creating' where slug in ('tenant-0', 'tenant-3')")
		resumed := w.serve(t)
		require.Contains(t, resumed.out.String(), "making 5 demo tenants")
		require.Equal(t, 0, resumed.end(t), resumed.errs.String())
		require.NotContains(t, w.ok(t, "tenants", "list"), "creating")
	}
	require.NotContains(t, pages, "")
	require.Len(t, pages, 1, "tenant-0's page has the same bytes in every strategy")
}
