package pgtest

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// CitusDSN is the variable of the environment that leads to a Citus cluster for tests: a connection string for a database with
// the extension on a coordinator, as the role that owns the database and may create roles.
const CitusDSN = "CITUS_DSN"

// citusMark is the comment of the schema public of a database that tests may empty.
const citusMark = "the tests of tenanted empty this database"

const citusLock = 7305 // one test at a time, over all processes

// HasCitus reports whether tests are to run on a Citus cluster too.
func HasCitus() bool { return os.Getenv(CitusDSN) != "" }

// Citus returns the database of the cluster that CITUS_DSN leads to, for this test alone: others wait. build fills it, as
// [Database] has it done; since that takes seconds on a cluster, what it made is kept for the next test that asks for the same name,
// without the rows of distributed tables. Without a build the database is empty.
//
// Owner and Superuser are the role of the connection string; Runtime is made there, with the same password, if it is missing.
// Without CITUS_DSN the test is skipped. A database with tables that no test made is refused.
func Citus(t testing.TB, name string, build func(ctx context.Context, conn *pgx.Conn) error) *DB {
	t.Helper()
	if !HasCitus() {
		t.Skip("not run on a Citus cluster: " + CitusDSN + " is not set")
	}
	config, err := pgx.ParseConfig(os.Getenv(CitusDSN))
	require.NoError(t, err)
	db := &DB{Name: config.Database, citus: os.Getenv(CitusDSN)}
	require.NotEqual(t, t.Name(), oneOnCitus.holder.Load(), "a test that has the cluster cannot ask for it again: make it a subtest")
	oneOnCitus.Lock()
	oneOnCitus.holder.Store(t.Name())
	t.Cleanup(func() {
		oneOnCitus.holder.Store("")
		oneOnCitus.Unlock()
	})
	held := db.Connect(t, Owner)
	_, err = held.Exec(context.Background(), "select pg_advisory_lock($1)", citusLock)
	require.NoError(t, err)
	require.NoError(t, prepareCitus(t.Context(), held, name, build))
	t.Cleanup(func() { db.AssertQuiet(t) })
	return db
}

// oneOnCitus keeps the tests of this process from holding connections while they wait.
var oneOnCitus struct {
	sync.Mutex
	holder atomic.Value // the name of the test
}

// prepareCitus has the database built, or emptied of rows if it was built by the same before.
func prepareCitus(ctx context.Context, conn *pgx.Conn, name string, build func(context.Context, *pgx.Conn) error) error {
	mark := citusMark
	if build != nil {
		program, err := programHash()
		if err != nil {
			return err
		}
		key, err := templateKey(program, name, nil)
		if err != nil {
			return err
		}
		mark += ": " + key
	}
	var has string
	var tables, distributed []string
	const look = `
		select coalesce(obj_description('public'::regnamespace, 'pg_namespace'), ''),
			array(select format('%I.%I', schemaname, tablename) from pg_tables where schemaname = 'public'),
			array(select logicalrelid::text from pg_dist_partition)`
	if err := conn.QueryRow(ctx, look).Scan(&has, &tables, &distributed); err != nil {
		return err
	}
	switch {
	case !strings.HasPrefix(has, citusMark) && len(tables) > 0:
		return fmt.Errorf("%s: the database has tables, as %s, that no test made: give an empty one", CitusDSN, tables[0])
	case has == mark && build != nil:
		if len(distributed) == 0 {
			return nil
		}
		return execEach(ctx, conn, "truncate "+strings.Join(distributed, ", "))
	}
	if err := emptyCitus(ctx, conn, tables); err != nil || build == nil {
		return err
	}
	if err := build(ctx, conn); err != nil {
		return err
	}
	return execEach(ctx, conn, "comment on schema public is "+quoteSQL(mark))
}

// emptyCitus drops what a test left, and makes the role.
func emptyCitus(ctx context.Context, conn *pgx.Conn, tables []string) error {
	role := "do $$ begin if not exists (select from pg_roles where rolname = '" + Runtime + "') then create role " + Runtime + " login"
	if password := conn.Config().Password; password != "" {
		role += " password " + quoteSQL(password)
	}
	statements := []string{"comment on schema public is " + quoteSQL(citusMark)}
	if len(tables) > 0 {
		statements = append(statements, "drop table "+strings.Join(tables, ", ")+" cascade")
	}
	return execEach(ctx, conn, append(statements, "drop schema if exists control cascade", "drop collation if exists public.names", role+"; end if; end $$")...)
}

func execEach(ctx context.Context, conn *pgx.Conn, statements ...string) error {
	for _, sql := range statements {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return fmt.Errorf("%s: %w", sql, err)
		}
	}
	return nil
}

func quoteSQL(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }

// citusDSN is the connection string for a role.
func citusDSN(dsn, role string) string {
	if role != Runtime {
		return dsn
	}
	u, err := url.Parse(dsn)
	if err != nil || u.Scheme == "" {
		return dsn + " user=" + Runtime
	}
	if password, has := u.User.Password(); has {
		u.User = url.UserPassword(Runtime, password)
	} else {
		u.User = url.User(Runtime)
	}
	return u.String()
}

// busyOnCitus is [DB.busy] there, as far as the owner may see.
func (db *DB) busyOnCitus() ([]string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), setupTimeout)
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, db.Config(Owner))
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx)
	rows, _ := conn.Query(ctx, `
		select format('%s (process %s) is %s: %s', usename, pid, state, query) from pg_stat_activity
		where datname = $1 and backend_type = 'client backend' and state <> 'idle' and application_name !~ '^citus' and query <> 'select pg_advisory_lock($1)' and pid <> pg_backend_pid()`, db.Name)
	return pgx.CollectRows(rows, pgx.RowTo[string])
}
