package pgtest

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

const (
	// quietWithin is how long a connection may take to come to rest.
	quietWithin = 2 * time.Second
	pollPause   = 5 * time.Millisecond
)

// DB is a database that belongs to one test.
type DB struct {
	// Name of the database. The test may create others whose names begin with
	// it and an underscore; they are dropped with it.
	Name string

	cluster *cluster
	citus   string // the owner's connection string, of one on a Citus cluster
}

// Database makes a database for the test, as a clone of a template, and drops
// it when the test ends. If there is no such template yet, build fills an
// empty database, connected as Owner; it runs once for each name over all
// processes of the same test program. The name must be 1 to 32 letters, digits,
// _ or -. What build reads from outside the program, such as the text of a
// file, must be given as inputs.
//
// When the test ends, no connection to the database may be in the middle of a
// statement or transaction.
func Database(t testing.TB, name string, build func(ctx context.Context, conn *pgx.Conn) error, inputs ...string) *DB {
	t.Helper()
	requireMain(t)
	return current.database(t, name, build, inputs)
}

// Elsewhere is [Database] on another server, with the same roles, for programs that use several. Its log can be followed
// (wal_level = logical, and Owner may replicate). It is started when a test first asks for it.
func Elsewhere(t testing.TB, name string, build func(ctx context.Context, conn *pgx.Conn) error, inputs ...string) *DB {
	t.Helper()
	requireMain(t)
	second.once.Do(func() {
		second.cluster, second.err = start(context.Background(), dir()+"-logical", logical(), "login createdb replication")
	})
	require.NoError(t, second.err, "start another server")
	return second.cluster.database(t, name, build, inputs)
}

func (c *cluster) database(t testing.TB, name string, build func(context.Context, *pgx.Conn) error, inputs []string) *DB {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), setupTimeout)
	defer cancel()
	program, err := programHash()
	require.NoError(t, err, "hash the test program")
	key, err := templateKey(program, name, inputs)
	require.NoError(t, err)
	template, err := c.template(ctx, key, build)
	require.NoError(t, err, "build the template database %s", key)
	db := &DB{Name: c.newName(""), cluster: c}
	require.NoError(t, c.create(ctx, db.Name, template))
	t.Cleanup(func() { db.finish(t) })
	return db
}

func requireMain(t testing.TB) {
	t.Helper()
	require.NotNil(t, current, "the package needs func TestMain(m *testing.M) { pgtest.Main(m) }")
}

// Role makes a role that may log in, with further attributes (as in "bypassrls
// in role test_owner"), and returns its name. It is dropped when the process
// ends, after the databases in which it may own something.
func Role(t testing.TB, attributes string) string {
	t.Helper()
	requireMain(t)
	ctx, cancel := context.WithTimeout(context.Background(), setupTimeout)
	defer cancel()
	name := current.newName("role")
	_, err := current.admin.Exec(ctx, `create role `+ident(name)+` login `+attributes)
	require.NoError(t, err)
	return name
}

func (db *DB) finish(t testing.TB) {
	ctx, cancel := context.WithTimeout(context.Background(), setupTimeout)
	defer cancel()
	db.AssertQuiet(t)
	if err := db.cluster.drop(ctx, db.Name); err != nil {
		t.Errorf("drop the test's database: %v", err)
	}
	if err := db.cluster.dropAll(ctx, db.Name+"_"); err != nil {
		t.Errorf("drop the test's databases: %v", err)
	}
}

// DSN is a connection string for the database as role.
func (db *DB) DSN(role string) string {
	if db.citus != "" {
		return citusDSN(db.citus, role)
	}
	return db.cluster.dsn(db.Name, role)
}

// Config is a new configuration for connecting to the database as role.
func (db *DB) Config(role string) *pgx.ConnConfig {
	config, err := pgx.ParseConfig(db.DSN(role))
	if err != nil {
		panic(err) // a DSN of our own making, or one that has been parsed before
	}
	return config
}

// Connect opens a connection as role, which is closed when the test ends.
func (db *DB) Connect(t testing.TB, role string) *pgx.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), setupTimeout)
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, db.Config(role))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// Exec runs SQL as role: one statement with arguments, or several without.
func (db *DB) Exec(t testing.TB, role, sql string, args ...any) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), setupTimeout)
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, db.Config(role))
	require.NoError(t, err)
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, sql, args...)
	require.NoError(t, err)
}

// AssertQuiet fails the test if a connection to the database stays in the
// middle of a statement or transaction. The server learns of a cancelled query
// or closed connection a little later than the client, so it looks again for
// a while.
func (db *DB) AssertQuiet(t testing.TB) {
	t.Helper()
	var busy []string
	for end := time.Now().Add(quietWithin); ; time.Sleep(pollPause) {
		var err error
		if busy, err = db.busy(); err != nil {
			t.Errorf("look for busy connections: %v", err)
			return
		}
		if len(busy) == 0 {
			return
		}
		if time.Now().After(end) {
			break
		}
	}
	t.Errorf("connections left in the middle of something:\n%s", strings.Join(busy, "\n"))
}

func (db *DB) busy() ([]string, error) {
	if db.citus != "" {
		return db.busyOnCitus()
	}
	ctx, cancel := context.WithTimeout(context.Background(), setupTimeout)
	defer cancel()
	return db.cluster.names(ctx, `
		select format('%s (process %s) is %s: %s', usename, pid, state, query) from pg_stat_activity
		where (datname = $1 or starts_with(datname, $1 || '_')) and backend_type = 'client backend' and state <> 'idle'`, db.Name)
}
