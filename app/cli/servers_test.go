package cli_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"tenanted/app/config"
	"tenanted/internal/localpg"
	"tenanted/scopes/audit"
	"tenanted/scopes/pgtest"
)

// otherServer is a server of a test's own, which it may stop and start.
type otherServer struct {
	dir      string
	settings map[string]string
	local    *localpg.Server
}

// startOther starts a server with an owner who may make databases and the runtime role.
func startOther(t *testing.T) *otherServer { return startOtherWith(t, nil) }

func startOtherWith(t *testing.T, settings map[string]string) *otherServer {
	t.Helper()
	dir, err := os.MkdirTemp(localpg.ScratchDir(), "tenanted-other-")
	require.NoError(t, err)
	require.NoError(t, os.Chmod(dir, 0o755))
	o := &otherServer{dir: dir, settings: settings}
	o.start(t)
	t.Cleanup(func() {
		o.stop(t)
		require.NoError(t, os.RemoveAll(dir))
	})
	o.exec(t, "create role "+pgtest.Owner+" login createdb createrole")
	return o
}

func (o *otherServer) start(t *testing.T) {
	t.Helper()
	var err error
	o.local, err = localpg.Start(t.Context(), localpg.Options{Dir: filepath.Join(o.dir, "pg"), Settings: o.settings})
	require.NoError(t, err)
}

func (o *otherServer) stop(t *testing.T) {
	t.Helper()
	require.NoError(t, o.local.Close())
}

// exec runs SQL as the superuser.
func (o *otherServer) exec(t *testing.T, sql string) {
	t.Helper()
	o.execIn(t, "postgres", sql)
}

func (o *otherServer) execIn(t *testing.T, database, sql string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), fmt.Sprintf("host='%s' port=%d user=%s dbname='%s'", o.local.Host(), o.local.Port(), o.local.Superuser(), database))
	require.NoError(t, err)
	defer conn.Close(context.Background())
	_, err = conn.Exec(t.Context(), sql)
	require.NoError(t, err)
}

// variables configure the server under a name.
func (o *otherServer) variables(name string) []string {
	return []string{fmt.Sprintf("SERVER_%s_HOST=%s", name, o.local.Host()), fmt.Sprintf("SERVER_%s_PORT=%d", name, o.local.Port())}
}

// A tenant on another server is as any other for every command, until that server is away: then it alone is not served.
func TestATenantOnAnotherServer(t *testing.T) {
	t.Parallel()
	eu := startOther(t)
	w := newFixture(t, config.Mixed, eu.variables("EU")...)
	w.ok(t, "migrate")
	w.ok(t, "seed", "--accounts", "2")
	place := "eu/" + w.db.Name + "_acme"
	require.Contains(t, w.ok(t, "tenants", "create", "acme", "--server", "eu"), "in "+place+".public\n")
	w.ok(t, "tenants", "create", "bolt", "--server", "eu", "--database", w.db.Name) // as the default one is called
	require.Regexp(t, `acme +acme +`+place+`\.public +active`, w.ok(t, "tenants", "list"))
	require.Contains(t, w.ok(t, "tenants", "list", "--format", "json"), `"server": "eu"`)
	require.Regexp(t, place+` +public +tenant .* current`, w.ok(t, "migrate", "--status"))
	eu.execIn(t, w.db.Name+"_acme", "create index more on tasks (name)")
	require.Contains(t, w.run(t, "migrate", "--status").out, place+".public: index more on tasks is not of the migrations\n    drop index")
	eu.execIn(t, w.db.Name+"_acme", "drop index more")
	require.Contains(t, w.ok(t, "migrate", "--database", place), place+".public: version")
	require.Empty(t, w.check(t, 0).ids(audit.Defect))
	require.Contains(t, w.ok(t, "check"), place+".public")
	const who = "select current_database() || ' ' || id || ' ' || current_user from accounts"
	require.Equal(t, w.db.Name+" 1000002 "+pgtest.Runtime+"\n", w.ok(t, "dbshell", "--tenant", "bolt", "--", "-XAtc", who))
	require.Equal(t, w.db.Name+"_acme 1000001 "+pgtest.Owner+"\n", w.ok(t, "dbshell", "--tenant", "acme", "--owner", "--", "-XAtc", who))

	s := w.serve(t, "--metrics")
	s.becomes(t, "acme", 200)
	s.becomes(t, "bolt", 200)
	s.becomes(t, "tenant-1", 200)
	_, figures := s.get(t, "localhost", "/metrics")
	require.Contains(t, figures, fmt.Sprintf(`tenanted_db_connections{database="%s_acme",server="eu",state="idle"} 1`, w.db.Name))

	eu.stop(t)
	s.becomes(t, "acme", 503)
	s.becomes(t, "tenant-1", 200)
	w.whileAway(t, place)
	eu.start(t)
	s.becomes(t, "acme", 200)
	require.Contains(t, w.ok(t, "tenants", "drop", "bolt", "--yes", "--no-export"), "removed: database eu/"+w.db.Name+"\n")
	s.becomes(t, "bolt", 404)
	s.becomes(t, "acme", 200)
	require.Zero(t, s.end(t))
	w.check(t, 0)
}

// whileAway looks at what the commands do while the server of a tenant acme is away.
func (w *fixture) whileAway(t *testing.T, place string) {
	t.Helper()
	r := w.run(t, "migrate")
	require.Equal(t, 1, r.code)
	require.Contains(t, r.out, place+".public: failed")
	require.NotContains(t, r.out, "tenant-1: failed")
	require.Regexp(t, place+` +public +tenant .* unavailable`, w.run(t, "migrate", "--status").out)
	require.Equal(t, 3, w.run(t, "check").code)
	w.ok(t, "tenants", "list")
	w.ok(t, "tenants", "create", "other")

	s := w.serve(t) // starts
	s.becomes(t, "acme", 503)
	s.becomes(t, "tenant-0", 200)
	s.becomes(t, "other", 200)
	status, ready := s.get(t, "localhost", "/readyz")
	require.Equal(t, 200, status)
	require.Regexp(t, `\Aready\nserver away: eu: .*\nnot served: acme: `, ready)
	require.NotContains(t, ready, "tenant-0")
	require.Zero(t, s.end(t))
}

// Nothing stands in for a server that no setting names, not even one with a database of that name.
func TestAServerThatIsNotConfigured(t *testing.T) {
	t.Parallel()
	eu := startOther(t)
	w := newFixture(t, config.MultipleDb)
	there := w.with(eu.variables("EU")...)
	there.ok(t, "migrate")
	there.ok(t, "tenants", "create", "acme", "--server", "eu")
	there.ok(t, "tenants", "create", "bolt")
	w.db.Exec(t, pgtest.Owner, fmt.Sprintf(`create database "%s_acme" template "%[1]s_bolt"`, w.db.Name))
	const problem = `server "eu" is not configured: set SERVER_EU_HOST`
	s := w.serve(t)
	s.becomes(t, "bolt", 200)
	s.becomes(t, "acme", 503)
	_, ready := s.get(t, "localhost", "/readyz")
	require.Contains(t, ready, "not served: acme: "+problem)
	require.Zero(t, s.end(t))
	w.fails(t, 1, problem, "dbshell", "--tenant", "acme")
	w.fails(t, 1, problem, "tenants", "resume", "acme")
	require.Contains(t, w.run(t, "migrate").err, problem)
	require.Contains(t, w.run(t, "check").out, problem)
	w.fails(t, 2, "--server=mars: is not configured: set SERVER_MARS_HOST", "tenants", "create", "x", "--server", "mars")
	require.Equal(t, []string{"eu"}, there.completions(t, "tenants", "create", "--server", ""))
}

// A server that takes connections and never answers holds up nobody but its own tenants, of whom there are more than the
// placements that are looked at simultaneously.
func TestAServerThatHangs(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer silent.Close()
	var taken atomic.Int32
	go func() {
		for conn, err := silent.Accept(); err == nil; conn, err = silent.Accept() {
			defer conn.Close() // after the test
			taken.Add(1)
		}
	}()
	host, port, _ := strings.Cut(silent.Addr().String(), ":")
	w := newFixture(t, config.MultipleDb, "SERVER_EU_HOST="+host, "SERVER_EU_PORT="+port)
	w.ok(t, "migrate")
	w.ok(t, "tenants", "create", "near")
	w.db.Exec(t, pgtest.Owner, `insert into control.tenants (id, slug, name, server, database, schema, state)
		select n, 'eu' || n, '', 'eu', 'eu' || n, 'public', 'active' from generate_series(1, 12) n`)
	s := w.serve(t)
	w.ok(t, "tenants", "create", "late") // whose placement serve has not looked at
	before, answers := taken.Load(), make(chan int, 12)
	for i := range 12 {
		go func() {
			status, _ := s.get(t, fmt.Sprintf("eu%d.localhost", i+1), "/subtasks/")
			answers <- status
		}()
	}
	require.Eventually(t, func() bool { return taken.Load() >= before+7 }, 10*time.Second, time.Millisecond) // serve looks at one more
	for _, slug := range []string{"near", "late"} {
		status, _ := s.get(t, slug+".localhost", "/subtasks/")
		require.Equal(t, 200, status)
	}
	require.Empty(t, answers, "they still wait")
	for range 12 {
		require.Equal(t, 503, <-answers)
	}
	_, ready := s.get(t, "localhost", "/readyz")
	require.Contains(t, ready, "ready\nserver away: eu: ")
	_, list := s.get(t, "localhost", "/tenants.json?size=100")
	require.Equal(t, 12, strings.Count(list, `"problem":`))
	require.Equal(t, 2, strings.Count(list, `"users": 0`), "they do not keep the others from being counted")
	require.Zero(t, s.end(t))
}

// A database on another server belongs to one deployment, as any other does.
func TestTheDeploymentOfADatabaseOnAnotherServer(t *testing.T) {
	t.Parallel()
	eu := startOther(t)
	w := newFixture(t, config.Mixed, eu.variables("EU")...)
	w.ok(t, "migrate")
	w.ok(t, "tenants", "create", "acme", "--server", "eu")
	acme := w.db.Name + "_acme"
	eu.exec(t, fmt.Sprintf("alter database %q rename to kept", acme))
	eu.exec(t, fmt.Sprintf("create database %q template kept owner %s", acme, pgtest.Owner))
	s := w.serve(t)
	s.becomes(t, "acme", 503)
	_, ready := s.get(t, "localhost", "/readyz")
	require.Contains(t, ready, fmt.Sprintf(`not served: acme: database "eu/%s" is a copy of a tenant's database`, acme))
	require.Zero(t, s.end(t))
	require.Contains(t, w.run(t, "migrate").err, "is a copy of a tenant's database")
	require.Contains(t, w.ok(t, "tenants", "adopt"), "acme: eu/"+acme)
	s = w.serve(t)
	s.becomes(t, "acme", 200)
	require.Zero(t, s.end(t))

	other := newFixture(t, config.Mixed, eu.variables("EU")...)
	other.ok(t, "migrate")
	other.fails(t, 1, "belongs to another deployment", "tenants", "create", "thief", "--server", "eu", "--database", acme)
	home := other.db.Config(pgtest.Runtime)
	link := filepath.Join(t.TempDir(), "s") // another way to the same server, which only a look at it tells
	require.NoError(t, os.Symlink(home.Host, link))
	other.with("SERVER_SELF_HOST="+link, fmt.Sprintf("SERVER_SELF_PORT=%d", home.Port)).fails(t, 1, `server "self" is the default server by another name`, "tenants", "create", "twice", "--server", "self")
}
