package cli_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"tenanted/app/cli"
	"tenanted/app/config"
	"tenanted/internal/localpg"
	"tenanted/scopes/pgtest"
)

var talkAddress = regexp.MustCompile(`the talk is at (http://localhost:\d+)/`)

// presented starts the command and returns its address, and how to end it.
func (w *fixture) presented(t *testing.T, args ...string) (at string, end func() int) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	var out, errs output
	done := make(chan int, 1)
	go func() {
		done <- cli.Run(ctx, append([]string{"present", "--addr", "localhost:0"}, args...), cli.IO{Environ: w.environ, Dir: w.dir, Out: &out, Err: &errs})
	}()
	require.Eventually(t, func() bool { return talkAddress.MatchString(out.String()) || len(done) > 0 }, time.Minute, 5*time.Millisecond)
	require.Empty(t, done, "present ended: %s%s", &out, &errs)
	return talkAddress.FindStringSubmatch(out.String())[1], func() int { cancel(); return <-done }
}

// press runs an experiment with all layers and returns its result.
func press(t *testing.T, at, experiment string) (status int, result string) {
	t.Helper()
	all := url.Values{"scope": {"on"}, "session": {"on"}, "keys": {"on"}, "rls": {"on"}}
	response, err := http.PostForm(at+"/experiments/"+experiment+"?fragment", all)
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(body)
}

func TestPresentOnAServerOfOnesOwn(t *testing.T) {
	t.Parallel()
	w := newFixture(t, config.SingleSchema)
	w.fails(t, 2, "--experiments-database", "present", "--addr", "localhost:0")
	w.fails(t, 2, "at most 50", "present", "--experiments-database", strings.Repeat("x", 51))
	w.with("PGOWNER=").fails(t, 2, "PGOWNER: is not set", "present", "--experiments-database", w.db.Name+"_talk")
	poor := pgtest.Role(t, "")
	w.with("PGOWNER="+poor).fails(t, 1, `role "`+poor+`" may not create databases: as a superuser, alter role`, "present", "--addr", "localhost:0", "--experiments-database", w.db.Name+"_poor")
	w.fails(t, 1, "was not made for experiments", "present", "--addr", "localhost:0", "--experiments-database", w.db.Name)

	at, end := w.presented(t, "--experiments-database", w.db.Name+"_talk")
	status, result := press(t, at, "read-by-key")
	require.Equal(t, 200, status)
	require.Contains(t, result, "Stopped by: scope")
	status, result = press(t, at, "superuser")
	require.Equal(t, 503, status)
	require.Contains(t, result, "superuser is not known here")
	require.Zero(t, w.count(t, `select count(*) from pg_namespace where nspname = 'control'`), "no deployment is made")
	require.Zero(t, end())
}

// On the private server the talk has roles and databases of its own, and goes on when the server was killed.
func TestPresentFromNothing(t *testing.T) {
	t.Parallel()
	w := private(t, config.SingleSchema)
	at, end := w.presented(t)
	for _, experiment := range []string{"superuser", "pg-dump", "count-all", "locks"} {
		status, result := press(t, at, experiment)
		require.Equal(t, 200, status, result)
		require.NotContains(t, result, "does not hold")
		if experiment == "locks" {
			require.Contains(t, result, "100 schemas in one transaction")
		}
	}
	for _, name := range w.databases(t) {
		require.True(t, strings.HasPrefix(name, "tenanted_talk"), name)
	}

	w.killServer(t)
	require.Eventually(t, func() bool {
		status, result := press(t, at, "raw-sql")
		require.True(t, status == 200 || strings.Contains(result, "The experiment could not run"), result)
		return status == 200
	}, time.Minute, 10*time.Millisecond)
	require.Zero(t, end())
}

// databases returns the databases of the private server, but for those that every server has.
func (w *fixture) databases(t *testing.T) []string {
	t.Helper()
	server, err := localpg.Start(t.Context(), localpg.Options{Dir: w.dir + "/pg"})
	require.NoError(t, err)
	defer server.Close()
	conn, err := pgx.Connect(t.Context(), fmt.Sprintf("host=%s port=%d user=%s dbname=postgres", server.Host(), server.Port(), server.Superuser()))
	require.NoError(t, err)
	defer conn.Close(t.Context())
	rows, _ := conn.Query(t.Context(), "select datname::text from pg_database where datname !~ '^(template|postgres)'")
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	require.NotEmpty(t, names)
	return names
}

// killServer kills the private server, without a chance to write anything.
func (w *fixture) killServer(t *testing.T) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(w.dir, "pg", "data", "postmaster.pid"))
	require.NoError(t, err)
	pid, err := strconv.Atoi(strings.SplitN(string(content), "\n", 2)[0])
	require.NoError(t, err)
	require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
}
