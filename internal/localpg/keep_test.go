//go:build unix

package localpg

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// keep keeps the server until end is called, and collects what is reported.
func keep(t *testing.T, s *Server) (reports chan error, end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	reports = make(chan error, 100)
	var kept sync.WaitGroup
	kept.Go(func() { s.Keep(ctx, func(err error) { reports <- err }) })
	end = func() { cancel(); kept.Wait() }
	t.Cleanup(end)
	return reports, end
}

func TestAKeptServerIsStartedAgain(t *testing.T) {
	t.Parallel()
	o := Options{Dir: stopped(t), Durable: true}
	server := start(t, o)
	tell(t, server, `create table kept (word text); insert into kept values ('here')`)
	reports, _ := keep(t, server)
	for range 2 {
		pid := postmasterPID(o.Dir)
		killServer(t, pid)
		require.NoError(t, <-reports)
		require.NotEqual(t, pid, postmasterPID(o.Dir))
		require.Equal(t, "here", ask(t, server, `select word from kept`))
	}
}

func TestTwoKeepersStartOneServer(t *testing.T) {
	t.Parallel()
	o := Options{Dir: stopped(t)}
	a, b := start(t, o), start(t, o)
	reports, _ := keep(t, a)
	keep(t, b)
	killServer(t, postmasterPID(o.Dir))
	require.NoError(t, <-reports)
	require.Equal(t, "1", ask(t, b, `select '1'`))
}

func TestKeepDoesNotRecreateData(t *testing.T) {
	t.Parallel()
	o := Options{Dir: stopped(t)}
	server := start(t, o)
	data := filepath.Join(o.Dir, dataName)
	pid := postmasterPID(o.Dir)
	require.NoError(t, os.Rename(data, data+".away"))
	killServer(t, pid)
	reports, end := keep(t, server)
	require.ErrorContains(t, <-reports, "are gone")
	require.NoDirExists(t, data)
	end()
}

func TestAServerThatIsNoLongerKeptStaysDown(t *testing.T) {
	t.Parallel()
	o := Options{Dir: stopped(t)}
	server, err := Start(t.Context(), o)
	require.NoError(t, err)
	_, end := keep(t, server)
	end()
	require.NoError(t, server.Close())
	require.NoFileExists(t, pidFile(filepath.Join(o.Dir, dataName)))
}
