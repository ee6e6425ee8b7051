package cli_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tenanted/app/cli"
	"tenanted/app/config"
	"tenanted/scopes/audit"
	"tenanted/scopes/pgtest"
)

// asProgram makes the test binary the program itself, for tests that kill it.
const asProgram = "TENANTED_TEST_PROGRAM"

// command returns the program as a process of its own.
func (w *fixture) command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(self, args...)
	cmd.Env, cmd.Dir = append([]string{asProgram + "=1"}, w.environ...), w.dir
	return cmd
}

// kills is for a closer look than the suite's: go test ./app/cli -run Killed -kills 50
var kills = flag.Int("kills", 0, "how often each command is killed in each configuration; 0: a few times")

// killed calls test as often as a command is to be killed, few times unless -kills says how often.
func killed(few int, test func(i int)) {
	if *kills > 0 {
		few = *kills
	}
	for i := range few {
		test(i)
	}
}

// randomly returns a duration from 0 to most.
func randomly(most time.Duration) time.Duration { return time.Duration(rand.Int64N(int64(most))) }

// kill runs a command and kills it once it is that far.
func (w *fixture) kill(t *testing.T, soFar func() bool, args ...string) {
	t.Helper()
	cmd := w.command(t, args...)
	require.NoError(t, cmd.Start())
	require.Eventually(t, soFar, time.Minute, time.Millisecond)
	_ = cmd.Process.Kill() // it may have ended
	_ = cmd.Wait()
}

// What a killed command was making is no defect, and the next run completes it.
func TestAKilledCommandLeavesNothingToReport(t *testing.T) {
	t.Parallel()
	eachUnmixed(t, func(t *testing.T, w *fixture) {
		w.environ = append(w.environ, "MULTIDB_COUNT=40")
		w.ok(t, "migrate")
		w.ok(t, "seed", "--accounts", "1")
		for _, tenants := range []int{2, 9, 15} {
			w.kill(t, func() bool { return w.count(t, "select count(*) from control.tenants") >= tenants }, "seed", "--accounts", "40")
			require.NotEmpty(t, w.count(t, "select count(*) from control.tenants where state = 'creating'"), "killed in time")
			require.Empty(t, w.check(t, 0).ids(audit.Defect))
			w.ok(t, "migrate")
			require.Empty(t, w.check(t, 0).ids(audit.Defect))
			require.NotRegexp(t, "missing|outdated", w.ok(t, "migrate", "--status"))
		}
		for _, args := range []string{"seed --accounts 40 --rollback", "migrate"} {
			const working = "select count(*) from pg_stat_activity where datname = current_database() and usename = '" + pgtest.Owner + "'"
			w.kill(t, func() bool { return w.count(t, working) > 0 }, strings.Fields(args)...)
			require.Empty(t, w.check(t, 0).ids(audit.Defect), args)
		}
		require.Equal(t, 40, strings.Count(w.ok(t, "seed", "--accounts", "40")+w.ok(t, "tenants", "list"), " active"))
	})
}

// Each command waits for something that does not come.
func TestEveryCommandEndsSoonAfterItIsAskedTo(t *testing.T) {
	t.Parallel()
	w := newFixture(t, config.SingleSchema)
	w.ok(t, "migrate")
	w.ok(t, "seed")
	lock, err := w.db.Connect(t, pgtest.Superuser).Begin(t.Context())
	require.NoError(t, err)
	_, err = lock.Exec(t.Context(), "lock table control.tenants, accounts, subtasks in access exclusive mode")
	require.NoError(t, err)
	for _, args := range []string{"seed --accounts 9", "seed --rollback", "migrate", "check", "tenants list", "serve --addr localhost:0",
		"seed --min-projects 30000 --max-projects 30000 --min-tasks 30000 --max-tasks 30000 --min-subtasks 0 --max-subtasks 0"} {
		t.Run(args, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan result, 1)
			go func() { done <- w.runUntil(ctx, strings.Fields(args)...) }()
			time.Sleep(300 * time.Millisecond)
			require.Empty(t, done)
			cancel()
			select {
			case r := <-done:
				require.Equal(t, 1, r.code)
				require.Equal(t, "tenanted: interrupted\n", r.err)
			case <-time.After(time.Second):
				require.Fail(t, "it goes on")
			}
		})
	}
	t.Cleanup(func() { require.NoError(t, lock.Rollback(context.Background())) })
}

// The server would go on with the query of a psql that is merely killed.
func TestDBShellEndsWithItsQuery(t *testing.T) {
	t.Parallel()
	w := newFixture(t, config.SingleSchema)
	w.ok(t, "migrate")
	const sleeping = "select count(*) from pg_stat_activity where datname = current_database() and query like 'select pg_sleep(60%'"
	for _, how := range []os.Signal{syscall.SIGTERM, os.Interrupt} {
		shell := w.command(t, "dbshell", "--", "-c", "select pg_sleep(60)")
		shell.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // no terminal
		require.NoError(t, shell.Start())
		require.Eventually(t, func() bool { return w.count(t, sleeping+" and state = 'active'") > 0 }, time.Minute, 5*time.Millisecond)
		asked := time.Now()
		require.NoError(t, shell.Process.Signal(how))
		require.Error(t, shell.Wait())
		require.Less(t, time.Since(asked), time.Second)
		require.Eventually(t, func() bool { return w.count(t, sleeping) == 0 }, time.Second, 5*time.Millisecond)
	}
}

func TestServeOutlivesThePrivateServer(t *testing.T) {
	t.Parallel()
	w := private(t, config.MultipleSchemas)
	s := w.serve(t)
	for range 2 {
		content, err := os.ReadFile(filepath.Join(w.dir, "pg", "data", "postmaster.pid"))
		require.NoError(t, err)
		pid, err := strconv.Atoi(strings.SplitN(string(content), "\n", 2)[0])
		require.NoError(t, err)
		require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
		require.Eventually(t, func() bool {
			now, err := os.ReadFile(filepath.Join(w.dir, "pg", "data", "postmaster.pid"))
			return err == nil && !strings.HasPrefix(string(now), fmt.Sprint(pid)+"\n") && strings.Contains(string(now), "ready")
		}, time.Minute, 10*time.Millisecond)
		require.Eventually(t, func() bool {
			status, _ := s.get(t, "tenant-0.localhost", "/subtasks/")
			return status == 200
		}, time.Minute, 10*time.Millisecond)
	}
	require.Contains(t, s.errs.String(), "the private PostgreSQL died and was started again")
	require.Equal(t, 0, s.end(t), s.errs.String())
}

// Nobody works on the private server without knowing, and programs can read what is printed.
func TestEveryCommandNamesThePrivateServer(t *testing.T) {
	t.Parallel()
	w := private(t, config.SingleSchema)
	s := w.serve(t)
	for _, args := range []string{"migrate", "migrate --status", "seed", "seed --rollback", "check --format json", "tenants list", "tenants adopt",
		"dbshell -- -c \\q"} {
		r := w.run(t, strings.Fields(args)...)
		require.Regexp(t, `^using the private PostgreSQL in \S+/pg, since`, r.err, args)
		require.NotContains(t, r.out, "private PostgreSQL")
	}
	require.Contains(t, s.errs.String(), "using the private PostgreSQL in ")
	require.Zero(t, s.end(t))
}

// program is what a killed test binary was.
func program() int {
	return cli.Run(context.Background(), os.Args[1:], cli.IO{Environ: os.Environ(), Dir: ".", In: os.Stdin, Out: os.Stdout, Err: os.Stderr})
}
