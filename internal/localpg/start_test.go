//go:build unix

package localpg

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTheFirstUserStartsAndTheLastOneStops(t *testing.T) {
	t.Parallel()
	dir := stopped(t)
	a, err := Start(t.Context(), Options{Dir: dir})
	require.NoError(t, err)
	pid := postmasterPID(dir)
	b, err := Start(t.Context(), Options{Dir: dir})
	require.NoError(t, err)
	require.Equal(t, pid, postmasterPID(dir), "the second joins the first one's server")
	require.Equal(t, a.Host(), b.Host())

	require.NoError(t, a.Close())
	require.NoError(t, a.Close(), "closing again does nothing")
	require.Equal(t, "1", ask(t, b, `select '1'`))
	require.NoError(t, b.Close())
	require.False(t, isPostgres(pid))
	require.NoFileExists(t, pidFile(filepath.Join(dir, dataName)))
}

func TestSimultaneousFirstStartsShareOneServer(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(openTempDir(t), "pg")
	var programs []*program
	for range 8 {
		programs = append(programs, runProgram(t, dir, nil))
	}
	pid := programs[0].server(t)
	for _, p := range programs[1:] {
		require.Equal(t, pid, p.server(t))
	}
	for _, p := range programs[1:] {
		p.end(t)
	}
	require.True(t, isPostgres(pid), "someone still uses it")
	programs[0].end(t)
	require.False(t, isPostgres(pid))
}

func TestDataSurvivesKillingTheServer(t *testing.T) {
	t.Parallel()
	o := Options{Dir: stopped(t), Durable: true}
	before := start(t, o)
	tell(t, before, `create table kept as select 'here' as word`)
	pid := postmasterPID(o.Dir)
	killServer(t, pid)

	after := start(t, o)
	require.NotEqual(t, pid, postmasterPID(o.Dir))
	require.Equal(t, "here", ask(t, after, `select word from kept`))
}

func TestTheServerSurvivesKillingItsUser(t *testing.T) {
	t.Parallel()
	dir := stopped(t)
	p := runProgram(t, dir, nil)
	pid := p.server(t)
	p.kill()

	server, err := Start(t.Context(), Options{Dir: dir})
	require.NoError(t, err)
	require.Equal(t, pid, postmasterPID(dir))
	require.NoError(t, server.Close())
	require.False(t, isPostgres(pid), "the killed program does not count as a user")
}

func TestAKilledInitialisationIsBegunAnew(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(openTempDir(t), "pg")
	p := runProgram(t, dir, nil)
	eventually(t, func() bool {
		_, err := os.Stat(filepath.Join(dir, newDataName, "PG_VERSION"))
		return err == nil
	}, "initdb runs")
	p.kill()
	require.NoDirExists(t, filepath.Join(dir, dataName), "killed in time")

	server := start(t, Options{Dir: dir})
	require.Equal(t, "UTF8", ask(t, server, `show server_encoding`))
	require.NoDirExists(t, filepath.Join(dir, newDataName))
}

func TestAZombieServerIsDead(t *testing.T) {
	t.Parallel()
	dir := stopped(t)
	binDir := start(t, Options{Dir: stopped(t)}).BinDir()
	zombie := exec.Command(filepath.Join(binDir, "postgres"), "--version")
	require.NoError(t, zombie.Start())
	defer func() { require.NoError(t, zombie.Wait()) }()
	pid := zombie.Process.Pid
	eventually(t, func() bool { return !isPostgres(pid) }, "it ended")
	require.NoError(t, syscall.Kill(pid, 0), "but it is there: nobody waited for it")

	writePidFile(t, dir, pid)
	start(t, Options{Dir: dir})
	require.NotEqual(t, pid, postmasterPID(dir))
}

func TestAnotherProcessHasTheServersNumber(t *testing.T) {
	t.Parallel()
	dir := stopped(t)
	writePidFile(t, dir, os.Getpid())
	start(t, Options{Dir: dir})
	require.NotEqual(t, os.Getpid(), postmasterPID(dir))
}

// writePidFile leaves the pid file of a server that was killed.
func writePidFile(t *testing.T, dir string, pid int) {
	t.Helper()
	data := filepath.Join(dir, dataName)
	content := fmt.Sprintf("%d\n%s\n1700000000\n%d\n%s\n\n  1 1\nready   \n", pid, data, port, dir)
	require.NoError(t, os.WriteFile(pidFile(data), []byte(content), 0o600))
}

func TestACancelledStartLeavesNothingRunning(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(openTempDir(t), "pg")
	ctx, cancel := context.WithCancel(t.Context())
	_, err := Start(ctx, Options{Dir: dir, Notify: func(string) { cancel() }})
	require.ErrorIs(t, err, context.Canceled)
	require.NoDirExists(t, filepath.Join(dir, dataName))

	lock, err := openLock(dir, startLockName)
	require.NoError(t, err)
	defer lock.close()
	require.NoError(t, lock.wait(t.Context(), syscall.LOCK_EX))
}

func TestWaitingForAnotherProgramEnds(t *testing.T) {
	t.Parallel()
	dir := stopped(t)
	lock, err := openLock(dir, startLockName)
	require.NoError(t, err)
	defer lock.close()
	require.NoError(t, lock.wait(t.Context(), syscall.LOCK_EX))

	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err = Start(ctx, Options{Dir: dir})
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, "another program that starts or stops PostgreSQL in "+dir)
}

func TestAFailedStartSaysWhy(t *testing.T) {
	t.Parallel()
	dir := stopped(t)
	begin := time.Now()
	_, err := Start(t.Context(), Options{Dir: dir, Settings: map[string]string{"no_such_setting": "1"}})
	require.ErrorContains(t, err, `unrecognized configuration parameter "no_such_setting"`)
	require.ErrorContains(t, err, filepath.Join(dir, logName))
	require.NotContains(t, err.Error(), "\n")
	require.Less(t, time.Since(begin), crashGrace, "a mistake is not tried again")

	start(t, Options{Dir: dir})
}
