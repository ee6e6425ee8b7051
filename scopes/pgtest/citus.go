package pgtest

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"strings"
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

// Citus returns the database of the cluster that CITUS_DSN leads to, emptied, for this test alone: others wait. Owner and
// Superuser are the role of the connection string; Runtime is made there, with the same password, if it is missing. Without
// CITUS_DSN the test is skipped. A database with tables that no test made is refused.
func Citus(t testing.TB) *DB {
	t.Helper()
	if !HasCitus() {
		t.Skip("not run on a Citus cluster: " + CitusDSN + " is not set")
	}
	config, err := pgx.ParseConfig(os.Getenv(CitusDSN))
	require.NoError(t, err)
	db := &DB{Name: config.Database, citus: os.Getenv(CitusDSN)}
	held := db.Connect(t, Owner)
	_, err = held.Exec(context.Background(), "select pg_advisory_lock($1)", citusLock)
	require.NoError(t, err)
	require.NoError(t, emptyCitus(t.Context(), held))
	t.Cleanup(func() { db.AssertQuiet(t) })
	return db
}

// emptyCitus drops what a test left, and makes the role.
func emptyCitus(ctx context.Context, conn *pgx.Conn) error {
	var mark string
	var tables []string
	const look = `
		select coalesce(obj_description('public'::regnamespace, 'pg_namespace'), ''),
			array(select format('%I.%I', schemaname, tablename) from pg_tables where schemaname = 'public')`
	if err := conn.QueryRow(ctx, look).Scan(&mark, &tables); err != nil {
		return err
	}
	if mark != citusMark && len(tables) > 0 {
		return fmt.Errorf("%s: the database has tables, as %s, that no test made: give an empty one", CitusDSN, tables[0])
	}
	drop := "drop schema if exists control cascade; drop collation if exists public.names; comment on schema public is '" + citusMark + "'"
	if len(tables) > 0 {
		drop = "drop table " + strings.Join(tables, ", ") + " cascade; " + drop
	}
	for statement := range strings.SplitSeq(drop, "; ") {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	create := "do $$ begin if not exists (select from pg_roles where rolname = '" + Runtime + "') then create role " + Runtime + " login"
	if password := conn.Config().Password; password != "" {
		create += " password " + quoteSQL(password)
	}
	_, err := conn.Exec(ctx, create+"; end if; end $$")
	return err
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
		where datname = $1 and backend_type = 'client backend' and state <> 'idle' and application_name !~ '^citus' and pid <> pg_backend_pid()`, db.Name)
	return pgx.CollectRows(rows, pgx.RowTo[string])
}
