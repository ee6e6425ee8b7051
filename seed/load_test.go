package seed_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"tenanted/models"
	"tenanted/scopes/pgtest"
	"tenanted/seed"
)

func load(t testing.TB, conn *pgx.Conn, o seed.Options, number int) seed.Totals {
	t.Helper()
	result, err := seed.Load(t.Context(), on(conn), o, number)
	require.NoError(t, err)
	return result
}

func TestLoadedRowsAreThePlansRows(t *testing.T) {
	t.Parallel()
	conn := database(t).Connect(t, pgtest.Owner)
	want := plan(t, options(), 3)
	result := load(t, conn, options(), 3)
	require.Equal(t, want.Totals, result)

	var account models.Account
	err := conn.QueryRow(t.Context(), `select id, created_at from accounts`).Scan(&account.ID, &account.CreatedAt)
	require.NoError(t, err)
	account.CreatedAt = account.CreatedAt.UTC()
	require.Equal(t, want.Account, account)
	require.Equal(t, rowsOf(want), stored(t, conn))
}

// stored reads back all tables but accounts. Each query names every column, and the rows are of one account.
func stored(t *testing.T, conn *pgx.Conn) (r rows) {
	t.Helper()
	r.Users = collect(t, conn, `select account_id, id, email, first_name, last_name, password_hash, date_joined, role from users`,
		func(u *models.User) []any {
			return []any{&u.AccountID, &u.ID, &u.Email, &u.FirstName, &u.LastName, &u.PasswordHash, &u.DateJoined, &u.Role}
		})
	for i := range r.Users {
		r.Users[i].DateJoined = r.Users[i].DateJoined.UTC()
	}
	r.Projects = collect(t, conn, `select account_id, id, name from projects`,
		func(p *models.Project) []any { return []any{&p.AccountID, &p.ID, &p.Name} })
	r.Tasks = collect(t, conn, `select account_id, id, project_id, name from tasks`,
		func(r *models.Task) []any { return []any{&r.AccountID, &r.ID, &r.ProjectID, &r.Name} })
	r.Subtasks = collect(t, conn, `select account_id, id, task_id, name, complete, details, assignee_id from subtasks`,
		func(s *models.Subtask) []any {
			return []any{&s.AccountID, &s.ID, &s.TaskID, &s.Name, &s.Complete, &s.Details, &s.AssigneeID}
		})
	return r
}

func collect[T any](t *testing.T, conn *pgx.Conn, query string, fields func(*T) []any) []T {
	t.Helper()
	found, err := conn.Query(t.Context(), query+` order by id`)
	require.NoError(t, err)
	all, err := pgx.CollectRows(found, func(row pgx.CollectableRow) (value T, err error) {
		return value, row.Scan(fields(&value)...)
	})
	require.NoError(t, err)
	return all
}

// fingerprints returns a digest of each account's rows in the tables that conn's search_path finds.
func fingerprints(t *testing.T, conn *pgx.Conn) map[int]string {
	t.Helper()
	const sql = `
		select id, md5(concat(a,
			(select string_agg(u::text, ',' order by id) from users u where account_id = a.id),
			(select string_agg(p::text, ',' order by id) from projects p where account_id = a.id),
			(select string_agg(t::text, ',' order by id) from tasks t where account_id = a.id),
			(select string_agg(s::text, ',' order by id) from subtasks s where account_id = a.id)))
		from accounts a`
	found, err := conn.Query(t.Context(), sql)
	require.NoError(t, err)
	prints := map[int]string{}
	var id int
	var print string
	_, err = pgx.ForEachRow(found, []any{&id, &print}, func() error {
		prints[id] = print
		return nil
	})
	require.NoError(t, err)
	return prints
}

func TestSameRowsInAnyOrderAndCompany(t *testing.T) {
	t.Parallel()
	many, few := database(t), database(t)
	totals, err := loadAll(t.Context(), many, options(), 8, 4, nil)
	require.NoError(t, err)
	conn := many.Connect(t, pgtest.Owner)
	require.Equal(t, count(t, conn), totals)
	all := fingerprints(t, conn)
	require.Len(t, all, 8)

	conn = few.Connect(t, pgtest.Owner)
	for _, number := range []int{6, 0, 3} {
		load(t, conn, options(), number)
	}
	want := map[int]string{1: all[1], 4: all[4], 7: all[7]}
	require.Equal(t, want, fingerprints(t, conn))
}

func TestExistingAccountIsLeftAlone(t *testing.T) {
	t.Parallel()
	conn := database(t).Connect(t, pgtest.Owner)
	_, err := conn.Exec(t.Context(), `insert into accounts (id) values (1)`)
	require.NoError(t, err)
	before := fingerprints(t, conn)
	found := load(t, conn, options(), 0)
	require.Equal(t, seed.Totals{Existing: 1}, found)
	require.Equal(t, before, fingerprints(t, conn))
	require.Equal(t, seed.Totals{Accounts: 1}, count(t, conn))
}

func TestLoadInARolledBackTransactionLeavesNothing(t *testing.T) {
	t.Parallel()
	conn := database(t).Connect(t, pgtest.Owner)
	for range 2 {
		tx, err := conn.Begin(t.Context())
		require.NoError(t, err)
		result, err := seed.LoadIn(t.Context(), tx, options(), 0)
		require.NoError(t, err)
		require.Equal(t, plan(t, options(), 0).Totals, result)
		require.NoError(t, tx.Rollback(t.Context()))
		require.Equal(t, seed.Totals{}, count(t, conn))
	}
	require.Equal(t, plan(t, options(), 0).Totals, load(t, conn, options(), 0))
}

func TestTwoSeedersMakeAnAccountOnce(t *testing.T) {
	t.Parallel()
	db := database(t)
	var mutex sync.Mutex
	var sum seed.Totals
	var group sync.WaitGroup
	for range 4 {
		conn := db.Connect(t, pgtest.Owner)
		group.Go(func() {
			result, err := seed.Load(t.Context(), on(conn), options(), 0)
			mutex.Lock()
			defer mutex.Unlock()
			if err != nil {
				t.Errorf("load: %v", err)
			}
			sum.Accounts += result.Accounts
			sum.Existing += result.Existing
		})
	}
	group.Wait()
	require.Equal(t, seed.Totals{Accounts: 1, Existing: 3}, sum)
	require.Equal(t, plan(t, options(), 0).Totals, count(t, db.Connect(t, pgtest.Owner)))
}

// The connection is cut while subtasks, the last table, are being copied.
func TestKilledLoadLeavesNothingAndIsResumed(t *testing.T) {
	t.Parallel()
	db := database(t)
	conn, watcher := db.Connect(t, pgtest.Owner), db.Connect(t, pgtest.Superuser)
	big := options()
	big.Projects = seed.Range{Min: 1000, Max: 1000}
	failed := make(chan error, 1)
	go func() {
		_, err := seed.Load(t.Context(), on(conn), big, 0)
		failed <- err
	}()
	require.Eventually(t, func() bool { return terminate(t, watcher) }, time.Minute, time.Millisecond)
	err := <-failed
	require.ErrorContains(t, err, "seed tenant-0: copy subtasks: ")
	owner := db.Connect(t, pgtest.Owner)
	require.Eventually(t, func() bool { return count(t, owner) == seed.Totals{} }, time.Minute, 5*time.Millisecond)
	require.Equal(t, plan(t, options(), 0).Totals, load(t, owner, options(), 0))
}

// terminate ends the connection that has copied a thousand subtasks, and reports whether there was one.
func terminate(t *testing.T, conn *pgx.Conn) bool {
	const sql = `select pg_terminate_backend(pid) from pg_stat_progress_copy
		where datid = (select oid from pg_database where datname = current_database())
		and relid = 'subtasks'::regclass and tuples_processed > 1000`
	tag, err := conn.Exec(t.Context(), sql)
	return err == nil && tag.RowsAffected() == 1
}

func TestCancelledRunKeepsWholeAccountsAndIsResumed(t *testing.T) {
	t.Parallel()
	db := database(t)
	ctx, cancel := context.WithCancel(t.Context())
	partial, err := loadAll(ctx, db, options(), 12, 2, cancel)
	require.ErrorIs(t, err, context.Canceled)
	require.Positive(t, partial.Accounts)
	require.Less(t, partial.Accounts, int64(12))

	rest, err := loadAll(t.Context(), db, options(), 12, 2, nil)
	require.NoError(t, err)
	require.Equal(t, int64(12), rest.Accounts+rest.Existing)
	require.GreaterOrEqual(t, rest.Existing, partial.Accounts, "what was reported as made is there")
	conn := db.Connect(t, pgtest.Owner)
	for number := range 12 {
		require.Equal(t, plan(t, options(), number).Totals, countOf(t, conn, number))
	}
}

// countOf returns the number of account number's rows in each table.
func countOf(t *testing.T, conn *pgx.Conn, number int) (n seed.Totals) {
	t.Helper()
	const sql = `select (select count(*) from accounts where id = $1),
		(select count(*) from users where account_id = $1), (select count(*) from projects where account_id = $1),
		(select count(*) from tasks where account_id = $1), (select count(*) from subtasks where account_id = $1)`
	err := conn.QueryRow(t.Context(), sql, number+1).Scan(&n.Accounts, &n.Users, &n.Projects, &n.Tasks, &n.Subtasks)
	require.NoError(t, err)
	return n
}

func TestErrorsNameTheAccountInOneLine(t *testing.T) {
	t.Parallel()
	db := database(t)
	conn := db.Connect(t, pgtest.Owner)
	_, err := seed.Load(t.Context(), on(db.Connect(t, pgtest.Runtime)), options(), 4)
	require.ErrorContains(t, err, "seed tenant-4: ")
	require.NotContains(t, err.Error(), "\n")

	db.Exec(t, pgtest.Owner, `alter table subtasks add check (id < 3)`)
	_, err = seed.Load(t.Context(), on(conn), options(), 4)
	require.ErrorContains(t, err, "seed tenant-4: copy subtasks: ")
	require.NotContains(t, err.Error(), "\n")
	require.ErrorAs(t, err, new(*pgconn.PgError))
	require.Equal(t, seed.Totals{}, count(t, conn), "the connection is usable, and nothing is left")
}

func TestSearchPathChoosesThePlacement(t *testing.T) {
	t.Parallel()
	db := database(t)
	schema(t, db, "tenant-1")
	conn := db.Connect(t, pgtest.Owner)
	load(t, conn, options(), 1)
	shared := fingerprints(t, conn)
	_, err := conn.Exec(t.Context(), `set search_path = "tenant-1"`)
	require.NoError(t, err)
	require.Equal(t, plan(t, options(), 1).Totals, load(t, conn, options(), 1))
	require.Equal(t, shared, fingerprints(t, conn))
	_, err = conn.Exec(t.Context(), `set search_path = nowhere`)
	require.NoError(t, err)
	_, err = seed.Load(t.Context(), on(conn), options(), 2)
	require.ErrorContains(t, err, "seed tenant-2: ")
	require.False(t, strings.Contains(err.Error(), "\n"))
}

// Without statistics (the test server has no autovacuum) the check of a foreign key, planned for small tables, would
// scan them for every row, and the time of a load grow with the square of the rows.
func TestForeignKeysAreCheckedByIndex(t *testing.T) {
	t.Parallel()
	db := database(t)
	_, err := loadAll(t.Context(), db, options(), 5, 1, nil)
	require.NoError(t, err)
	watcher := db.Connect(t, pgtest.Owner)
	const referenced = `relname in ('accounts', 'projects', 'tasks')`
	require.Eventually(t, func() bool { // the server publishes the counts when the loader's session has ended
		var used int
		err := watcher.QueryRow(t.Context(), `select count(*) from pg_stat_user_tables where idx_scan > 0 and `+referenced).Scan(&used)
		return err == nil && used == 3
	}, time.Minute, 5*time.Millisecond)
	var scans int
	err = watcher.QueryRow(t.Context(), `select sum(seq_scan) from pg_stat_user_tables where `+referenced).Scan(&scans)
	require.NoError(t, err)
	require.Zero(t, scans)
}
