package seed_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"tenanted/migrations"
	"tenanted/scopes"
	"tenanted/scopes/pgtest"
	"tenanted/seed"
)

// schema makes another placement in the database.
func schema(t *testing.T, db *pgtest.DB, name string) {
	t.Helper()
	runner := migrations.Runner{Owner: db.Config(pgtest.Owner), Runtime: pgtest.Runtime}
	placement := scopes.Placement{Database: db.Name, Schema: name}
	require.NoError(t, runner.Up(t.Context(), migrations.Target{Set: migrations.Tenant, Placement: placement}).Err)
}

// insertOne has the application add a row to each table of account 1, and returns the ids that it got.
func insertOne(t *testing.T, db *pgtest.DB) (ids [4]int64) {
	t.Helper()
	conn := db.Connect(t, pgtest.Runtime)
	_, err := conn.Exec(t.Context(), `set app.tenant_id = 1`)
	require.NoError(t, err)
	for i, insert := range []string{
		`insert into users (account_id, email, first_name, last_name, password_hash) values (1, 'new@example.com', 'N', 'N', '')`,
		`insert into projects (account_id, name) values (1, 'new')`,
		`insert into tasks (account_id, project_id, name) values (1, 1, 'new')`,
		`insert into subtasks (account_id, task_id, name) values (1, 1, 'new')`,
	} {
		require.NoError(t, conn.QueryRow(t.Context(), insert+` returning id`).Scan(&ids[i]))
	}
	return ids
}

// The options fix every number, so that the account's largest ids are the largest possible ones.
func TestApplicationsRowsComeAfterSeededOnes(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 2, 5} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			db := database(t)
			each := seed.Range{Min: n, Max: n}
			load(t, db.Connect(t, pgtest.Owner), seed.Options{Users: each, Projects: each, Tasks: each, Subtasks: each}, 0)
			n := int64(n)
			require.Equal(t, [4]int64{n + 1, n + 1, n*n + 1, n*n*n + 1}, insertOne(t, db))
		})
	}
}

func TestApplicationsRowsComeAfterAccountsSeededLater(t *testing.T) {
	t.Parallel()
	db := database(t)
	conn := db.Connect(t, pgtest.Owner)
	small := seed.Range{Min: 1, Max: 1}
	load(t, conn, seed.Options{Users: small, Projects: small, Tasks: small, Subtasks: small}, 0)
	load(t, conn, options(), 1)
	o := options()
	tasks := int64(o.Projects.Max * o.Tasks.Max)
	require.Equal(t, [4]int64{int64(o.Users.Max) + 1, int64(o.Projects.Max) + 1, tasks + 1, tasks*int64(o.Subtasks.Max) + 1},
		insertOne(t, db))
}

func TestSequencesAreNeverLowered(t *testing.T) {
	t.Parallel()
	db := database(t)
	db.Exec(t, pgtest.Owner, `select setval('users_id_seq', 1000), setval('projects_id_seq', 1000),
		setval('tasks_id_seq', 100000), setval('subtasks_id_seq', 100000)`)
	load(t, db.Connect(t, pgtest.Owner), options(), 0)
	require.Equal(t, [4]int64{1001, 1001, 100001, 100001}, insertOne(t, db))
}

// The application takes the sequence past the seeder's reach after the seeder looked at it: in an open
// transaction, for whose end the seeder must wait, lest it set the sequence back.
func TestSequenceIsNotSetBackByASeederThatLookedEarlier(t *testing.T) {
	t.Parallel()
	db := database(t)
	db.Exec(t, pgtest.Owner, `insert into accounts (id) values (1)`)
	application, seeder := db.Connect(t, pgtest.Owner), db.Connect(t, pgtest.Owner)
	const insert = `insert into users (account_id, email, first_name, last_name, password_hash)
		select 1, gen_random_uuid(), '', '', '' from generate_series(1, $1::int)`
	tx, err := application.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), insert, 1)
	require.NoError(t, err)

	seeded := make(chan error, 1)
	go func() {
		_, err := seed.Load(t.Context(), on(seeder), seed.Options{Users: seed.Range{Min: 50, Max: 50}}, 7)
		seeded <- err
	}()
	watcher := db.Connect(t, pgtest.Owner)
	require.Eventually(t, func() bool { return waits(t, watcher, `relation = 'users'::regclass`) }, time.Minute, time.Millisecond)
	_, err = tx.Exec(t.Context(), insert, 99)
	require.NoError(t, err)
	require.NoError(t, tx.Commit(t.Context()))
	require.NoError(t, <-seeded)
	var id int64
	require.NoError(t, watcher.QueryRow(t.Context(), `select nextval('users_id_seq')`).Scan(&id))
	require.Equal(t, int64(101), id)
}

// Another seeder is ahead of ours: it raises the sequence between our look and our lock, and is in the middle of a
// long account by the time that we come to the table.
func TestSeedersDoNotWaitForEachOthersAccounts(t *testing.T) {
	t.Parallel()
	db := database(t)
	other, ours := db.Connect(t, pgtest.Owner), db.Connect(t, pgtest.Owner)
	users := seed.Options{Users: seed.Range{Min: 50, Max: 50}}
	raising, err := other.Begin(t.Context())
	require.NoError(t, err)
	_, err = raising.Exec(t.Context(), `select pg_advisory_xact_lock(hashtext('tenanted seed'), 'users'::regclass::oid::int)`)
	require.NoError(t, err)
	seeded := make(chan error, 1)
	go func() {
		_, err := seed.Load(t.Context(), on(ours), users, 7)
		seeded <- err
	}()
	watcher := db.Connect(t, pgtest.Owner)
	require.Eventually(t, func() bool { return waits(t, watcher, `locktype = 'advisory'`) }, time.Minute, time.Millisecond)
	_, err = watcher.Exec(t.Context(), `select setval('users_id_seq', 50)`)
	require.NoError(t, err)
	loading, err := watcher.Begin(t.Context())
	require.NoError(t, err)
	_, err = loading.Exec(t.Context(), `insert into accounts (id) values (1);
		insert into users (account_id, email, first_name, last_name, password_hash) values (1, '', '', '', '')`)
	require.NoError(t, err)
	require.NoError(t, raising.Commit(t.Context()))
	require.NoError(t, <-seeded, "and it did not meet the time limit of the table's lock")
	require.NoError(t, loading.Commit(t.Context()))
}

// waits reports whether a session waits for such a lock in the database.
func waits(t *testing.T, conn *pgx.Conn, lock string) (waiting bool) {
	t.Helper()
	sql := `select exists (select from pg_locks where not granted and ` + lock + `
		and database = (select oid from pg_database where datname = current_database()))`
	require.NoError(t, conn.QueryRow(t.Context(), sql).Scan(&waiting))
	return waiting
}
