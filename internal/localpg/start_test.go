//go:build unix

package localpg

import (
	"bytes"
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
	require.False(t, running(pid, dir))
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
	require.True(t, running(pid, dir), "someone still uses it")
	programs[0].end(t)
	require.False(t, running(pid, dir))
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

// Two servers on one data directory would destroy it.
func TestAStartWaitsForWhatIsLeftOfAKilledServer(t *testing.T) {
	t.Parallel()
	o := Options{Dir: stopped(t)}
	before := start(t, o)
	session := int(connect(t, before).PgConn().PID())
	require.NoError(t, syscall.Kill(session, syscall.SIGSTOP))
	killServer(t, postmasterPID(o.Dir))

	refused := func() bool {
		log, err := os.ReadFile(filepath.Join(o.Dir, logName))
		return err == nil && bytes.Contains(log, []byte("pre-existing shared memory block"))
	}
	go func() {
		for !refused() && t.Context().Err() == nil {
			time.Sleep(pollInterval)
		}
		_ = syscall.Kill(session, syscall.SIGKILL)
	}()
	require.Equal(t, "1", ask(t, start(t, o), `select '1'`))
	require.True(t, refused())
}

func TestCtrlCDoesNotReachTheServer(t *testing.T) {
	t.Parallel()
	dir := stopped(t)
	start(t, Options{Dir: dir})
	group, err := syscall.Getpgid(postmasterPID(dir))
	require.NoError(t, err)
	require.Equal(t, postmasterPID(dir), group, "the terminal signals its own process group only")
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
	require.False(t, running(pid, dir), "the killed program does not count as a user")
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
	c, err := openCluster(t.Context(), Options{Dir: dir})
	require.NoError(t, err)
	defer c.starting.close()
	installed, err := findPrograms(t.Context(), "", 0, c.account)
	require.NoError(t, err)
	zombie := exec.Command(installed.command("postgres"), c.arguments()...)
	c.account.run(zombie)
	require.NoError(t, zombie.Start())
	defer func() { require.ErrorContains(t, zombie.Wait(), "killed") }()
	pid := zombie.Process.Pid
	eventually(t, func() bool { return readPostmaster(c.data()).state() == ready }, "it runs")

	killServer(t, pid)
	eventually(t, func() bool { return !running(pid, dir) }, "it ended")
	require.NoError(t, syscall.Kill(pid, 0), "but it is there: nobody waited for it")
	c.starting.close()
	start(t, Options{Dir: dir})
	require.NotEqual(t, pid, postmasterPID(dir))
}

func TestAnotherProcessHasTheServersNumber(t *testing.T) {
	t.Parallel()
	dir := stopped(t)
	writePidFile(t, dir, os.Getpid(), "ready")
	start(t, Options{Dir: dir})
	require.NotEqual(t, os.Getpid(), postmasterPID(dir))
}

// writePidFile leaves the files of a server that was killed.
func writePidFile(t *testing.T, dir string, pid int, status string) {
	t.Helper()
	data := filepath.Join(dir, dataName)
	content := fmt.Sprintf("%d\n%s\n1700000000\n%d\n%s\n\n  1 1\n%s\n", pid, data, port, dir, status)
	for _, file := range []string{pidFile(data), socketPath(dir) + ".lock"} {
		require.NoError(t, os.WriteFile(file, []byte(content), 0o600))
	}
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
