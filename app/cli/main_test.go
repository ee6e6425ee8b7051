package cli_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"tenanted/app/cli"
	"tenanted/app/config"
	"tenanted/scopes/pgtest"
)

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		os.Exit(program())
	}
	pgtest.Main(m)
}

// fixture is a user's own server with a database for one strategy, and the environment that leads there.
type fixture struct {
	program  string // how it is called; empty: tenanted
	strategy config.Strategy
	db       *pgtest.DB
	environ  []string
	dir      string
	counting *counting
}

// counting is the superuser's connection for count, which tests ask while they wait: a new one each time would take most of the machine.
type counting struct {
	mutex sync.Mutex
	conn  *pgx.Conn
}

func newFixture(t *testing.T, strategy config.Strategy, more ...string) *fixture {
	t.Helper()
	return fixtureOf(t, strategy, pgtest.Database(t, "empty", func(context.Context, *pgx.Conn) error { return nil }), more...)
}

func fixtureOf(t *testing.T, strategy config.Strategy, db *pgtest.DB, more ...string) *fixture {
	t.Helper()
	server := db.Config(pgtest.Runtime)
	return &fixture{strategy: strategy, db: db, dir: t.TempDir(), counting: &counting{}, environ: append([]string{
		"PATH=" + os.Getenv("PATH"), "DJANGO_CONFIGURATION=" + string(strategy), "MULTIDB_COUNT=3",
		"PGHOST=" + server.Host, fmt.Sprintf("PGPORT=%d", server.Port), "PGDATABASE=" + db.Name,
		"PGUSER=" + pgtest.Runtime, "PGOWNER=" + pgtest.Owner, "SIGN_IN=optional", // as in the demo, unless a test says otherwise
	}, more...)}
}

// eachStrategy runs a test for every strategy, each with a fixture of its own.
func eachStrategy(t *testing.T, test func(t *testing.T, w *fixture)) {
	over(t, config.Strategies(), test)
}

// eachUnmixed leaves out Mixed, for tests that take long and to which that adds nothing: each of its tenants is placed as in
// one of the others.
func eachUnmixed(t *testing.T, test func(t *testing.T, w *fixture)) {
	over(t, []config.Strategy{config.SingleSchema, config.MultipleDb, config.MultipleSchemas}, test)
}

func over(t *testing.T, strategies []config.Strategy, test func(t *testing.T, w *fixture)) {
	for _, strategy := range strategies {
		t.Run(string(strategy), func(t *testing.T) {
			t.Parallel()
			test(t, newFixture(t, strategy))
		})
	}
}

// sharesTables and hasSchemas report whether there are shared tables, and whether tenant-1 has a schema of its own.
func (w *fixture) sharesTables() bool {
	return w.strategy == config.SingleSchema || w.strategy == config.Mixed
}
func (w *fixture) hasSchemas() bool {
	return w.strategy == config.MultipleSchemas || w.strategy == config.Mixed
}

// with returns the fixture with further variables.
func (w *fixture) with(more ...string) *fixture {
	other := *w
	other.environ = append(append([]string{}, w.environ...), more...)
	return &other
}

// result is what a command left.
type result struct {
	code     int
	out, err string
}

func (w *fixture) run(t *testing.T, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute) // also for a serve that should have refused to start
	defer cancel()
	return w.runUntil(ctx, args...)
}

func (w *fixture) runUntil(ctx context.Context, args ...string) result {
	var out, errs output
	code := cli.Run(ctx, args, cli.IO{Program: w.program, Environ: w.environ, Dir: w.dir, In: strings.NewReader(""), Out: &out, Err: &errs})
	return result{code, out.String(), errs.String()}
}

// ok runs a command that must succeed, and returns what it printed.
func (w *fixture) ok(t *testing.T, args ...string) string {
	t.Helper()
	r := w.run(t, args...)
	require.Equal(t, 0, r.code, "%v: %s%s", args, r.out, r.err)
	return r.out
}

// usingPrivate is the line that every command begins with on the private server.
var usingPrivate = regexp.MustCompile("\\A(creating a private PostgreSQL server in .*\n)?using the private PostgreSQL in .*\n")

// fails runs a command that must fail with that code and, in one line, that text.
func (w *fixture) fails(t *testing.T, code int, text string, args ...string) {
	t.Helper()
	r := w.run(t, args...)
	require.Equal(t, code, r.code, "%v: %s%s", args, r.out, r.err)
	require.Contains(t, r.err, text)
	r.err = usingPrivate.ReplaceAllString(r.err, "")
	require.Equal(t, 1, strings.Count(r.err, "\n"), "one line: %s", r.err)
	require.True(t, strings.HasPrefix(r.err, "tenanted: "), r.err)
}

// output is a buffer that may be read while it is written.
type output struct {
	mutex  sync.Mutex
	buffer bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	return o.buffer.Write(p)
}

func (o *output) String() string {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	return o.buffer.String()
}

// server is a running serve command.
type server struct {
	addr      string
	out, errs *output
	stop      context.CancelFunc
	done      chan int
}

var address = regexp.MustCompile(`serving \w+ at http://localhost:(\d+)/`)

// serve starts the command and waits until it says its address.
func (w *fixture) serve(t *testing.T, args ...string) *server {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	s := &server{out: &output{}, errs: &output{}, stop: cancel, done: make(chan int, 1)}
	go func() {
		s.done <- cli.Run(ctx, append([]string{"serve", "--addr", "localhost:0"}, args...),
			cli.IO{Program: w.program, Environ: w.environ, Dir: w.dir, In: strings.NewReader(""), Out: s.out, Err: s.errs})
	}()
	t.Cleanup(cancel)
	require.Eventually(t, func() bool { return address.MatchString(s.out.String()) || len(s.done) > 0 }, time.Minute, 5*time.Millisecond)
	require.Empty(t, s.done, "serve ended: %s%s", s.out, s.errs)
	s.addr = "localhost:" + address.FindStringSubmatch(s.out.String())[1]
	return s
}

// doesNotServe wants serve to refuse a tenant for a problem with its tables: with the others, where they share the tables, and
// else that one alone.
func (w *fixture) doesNotServe(t *testing.T, slug, problem string) {
	t.Helper()
	if w.strategy == config.SingleSchema {
		w.fails(t, 1, problem, "serve", "--addr", "localhost:0")
		return
	}
	s := w.serve(t)
	status, page := s.get(t, slug+".localhost", "/subtasks/")
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.NotContains(t, page, problem, "that is for the operator")
	status, _ = s.get(t, "tenant-0.localhost", "/subtasks/")
	require.Equal(t, http.StatusOK, status)
	_, ready := s.get(t, "localhost", "/readyz")
	require.Regexp(t, "ready\nnot served: "+slug+": .*"+problem, ready)
	require.NotContains(t, ready, "tenant-0")
	logged := regexp.MustCompile("tenant is not served.*" + slug + ".*" + problem)
	require.Eventually(t, func() bool { return logged.MatchString(s.errs.String()) }, time.Minute, 5*time.Millisecond) // beside serving
	require.Zero(t, s.end(t))
}

// get returns the status and the body of a page at a host.
func (s *server) get(t *testing.T, host, path string) (int, string) {
	t.Helper()
	return s.do(t, http.MethodGet, host, path, nil)
}

// send is get for a program that asks for JSON, with a form if there is one.
func (s *server) send(t *testing.T, method, host, path string, form url.Values) (int, string) {
	t.Helper()
	return s.do(t, method, host, path, form, "Accept: application/json", "Content-Type: application/x-www-form-urlencoded")
}

func (s *server) do(t *testing.T, method, host, path string, form url.Values, headers ...string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, "http://"+s.addr+path, strings.NewReader(form.Encode()))
	require.NoError(t, err)
	request.Host = host
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		request.Header.Set(name, value)
	}
	response, err := http.DefaultTransport.RoundTrip(request) // follows no redirect
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(body)
}

// end asks the command to stop and returns its exit code.
func (s *server) end(t *testing.T) int {
	t.Helper()
	s.stop()
	select {
	case code := <-s.done:
		return code
	case <-time.After(time.Minute):
		require.Fail(t, "serve does not stop", s.errs.String())
		return -1
	}
}

// count runs a query for one number as the superuser.
func (w *fixture) count(t *testing.T, sql string) (n int) {
	t.Helper()
	w.counting.mutex.Lock()
	defer w.counting.mutex.Unlock()
	if w.counting.conn == nil || w.counting.conn.IsClosed() {
		w.counting.conn = w.db.Connect(t, pgtest.Superuser)
	}
	require.NoError(t, w.counting.conn.QueryRow(t.Context(), sql, pgx.QueryExecModeExec).Scan(&n))
	return n
}
