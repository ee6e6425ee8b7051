package archive_test

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"tenanted/scopes"
	"tenanted/scopes/archive"
	"tenanted/scopes/pgtest"
)

const followIndexes = "create index on items (org_id, parent_id); create index on item_labels (org_id, label_id);"

// followed is a place on a server whose log can be followed, and one on another server.
func followed(t *testing.T) (db *pgtest.DB, from, to place) {
	build := func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, itemTables(inOrder)+followIndexes+holdRows)
		return err
	}
	db = pgtest.Elsewhere(t, "archive-followed", build, itemTables(inOrder)+followIndexes+holdRows)
	other := pgtest.Database(t, "archive-follower", func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, itemTables(otherOrder)+followIndexes)
		return err
	}, itemTables(otherOrder))
	return db, place{db.Connect(t, pgtest.Owner), "public"}, place{other.Connect(t, pgtest.Owner), "public"}
}

// follow waits for the transactions of other tests, as long as they may take.
func follow(t *testing.T, db *pgtest.DB, m *archive.Models) *archive.Changes {
	t.Helper()
	config := db.Config(pgtest.Owner)
	config.RuntimeParams["lock_timeout"] = "0"
	changes, err := archive.Follow(t.Context(), config, m, scopes.Tenant{ID: 1}, "test_follow")
	require.NoError(t, err)
	return changes
}

// begin copies the rows of tenant 1 as they were when following them began.
func begin(t *testing.T, db *pgtest.DB, m *archive.Models, to place) *archive.Changes {
	t.Helper()
	changes := follow(t, db, m)
	t.Cleanup(func() { require.NoError(t, changes.Close(context.Background())) })
	conn := db.Connect(t, pgtest.Owner)
	var file bytes.Buffer
	require.NoError(t, pgx.BeginTxFunc(t.Context(), conn, pgx.TxOptions{IsoLevel: pgx.RepeatableRead}, func(tx pgx.Tx) error {
		_, err := tx.Exec(t.Context(), "set transaction snapshot '"+changes.Snapshot+"'")
		require.NoError(t, err)
		_, err = archive.Export(t.Context(), tx, m, scopes.Tenant{ID: 1}, archive.ExportOptions{}, &file)
		return err
	}))
	require.NoError(t, to.load(t, m, file.Bytes(), 1, archive.ImportOptions{}))
	return changes
}

// into begins transactions for [archive.Changes.Apply].
func into(t *testing.T, to place) func(context.Context, func(pgx.Tx) error) error {
	return func(_ context.Context, work func(pgx.Tx) error) error { return to.in(t, pgx.ReadCommitted, work) }
}

// writer changes rows of a tenant in all ways until it is stopped, and returns how many transactions were acknowledged.
func writer(ctx context.Context, config *pgx.ConnConfig, tenant, number int) (acknowledged int, err error) {
	conn, err := pgx.ConnectConfig(context.Background(), config)
	if err != nil {
		return 0, err
	}
	defer conn.Close(context.Background())
	for n := 0; ctx.Err() == nil; n++ {
		id := 1000 + number + n*10
		_, err := conn.Exec(context.Background(), fmt.Sprintf(`
			begin;
			insert into labels (org_id, id, text) values (%[1]d, %[2]d, 'it''s "%[2]d", \N');
			insert into items (org_id, id, title, raw, amount, numbers, doc, at, span, ratio, done) overriding system value
				values (%[1]d, %[2]d, null, '\x00ff', 12.50, '{1,null}', '{"a": [1]}', now(), '-1 day 2 hours', 0.1, true);
			insert into items (org_id, id, parent_id, title) overriding system value values (%[1]d, %[2]d + 100000, %[2]d, repeat(md5(random()::text), 300)), (%[1]d, %[2]d + 200000, %[2]d + 100000, '');
			insert into item_labels select org_id, id, id from labels where org_id = %[1]d and id = %[2]d;
			savepoint a; delete from item_labels where org_id = %[1]d; rollback to a;
			update items set done = not coalesce(done, false), at = null where org_id = %[1]d and id > %[2]d - 50 and id %% 3 = %[2]d %% 3;
			update labels set id = id + 500000 where org_id = %[1]d and id = %[2]d - 10 and not exists (select from item_labels l where l.org_id = labels.org_id and l.label_id = labels.id);
			delete from item_labels where org_id = %[1]d and item_id = %[2]d - 10;
			delete from items where org_id = %[1]d and id = %[2]d + 200000 - 10;
			update orgs set name = '%[2]d' where id = %[1]d;
			commit`, tenant, id), pgx.QueryExecModeSimpleProtocol)
		if err != nil {
			return acknowledged, err
		}
		acknowledged++
		time.Sleep(20 * time.Millisecond) // or it would be the machine that is measured
	}
	return acknowledged, nil
}

// While a tenant's rows and another's are changed without a pause, they are copied and followed to another server; behind Hold they
// are the same there, value by value.
func TestFollow(t *testing.T) {
	t.Parallel()
	db, from, to := followed(t)
	m := parse(t, &Org{}, &Item{}, &Label{})
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var writers sync.WaitGroup
	var mutex sync.Mutex
	acknowledged := map[int]int{}
	for i, tenant := range []int{1, 2} {
		writers.Go(func() {
			config := db.Config(pgtest.Owner)
			n, err := writer(ctx, config, tenant, i)
			mutex.Lock()
			defer mutex.Unlock()
			acknowledged[tenant] = n
			if err != nil {
				t.Error(err)
			}
		})
	}
	written := func() (n int) {
		require.NoError(t, from.conn.QueryRow(t.Context(), "select count(*) from items where org_id = 1").Scan(&n))
		return n
	}
	more := func() {
		before := written()
		require.Eventually(t, func() bool { return written() > before+20 }, 30*time.Second, time.Millisecond)
	}
	more()
	changes := begin(t, db, m, to)
	for range 3 {
		more()
		applied, err := changes.Apply(t.Context(), into(t, to))
		require.NoError(t, err)
		require.Greater(t, applied, int64(20))
	}
	reader := place{db.Connect(t, pgtest.Owner), "public"}
	require.NoError(t, from.in(t, pgx.ReadCommitted, func(tx pgx.Tx) error {
		require.NoError(t, archive.Hold(t.Context(), tx, m, scopes.Tenant{ID: 1}, false))
		_, err := changes.Apply(t.Context(), into(t, to))
		require.NoError(t, err)
		_, here := reader.export(t, m, 1)
		_, there := to.export(t, m, 1)
		require.Equal(t, here.Checksums.Tables, there.Checksums.Tables)
		stop()
		return nil
	}))
	writers.Wait()
	require.Greater(t, acknowledged[1], 10)
	require.Greater(t, acknowledged[2], 10)
	require.NotContains(t, to.text(t, "orgs"), ",2)")

	require.NoError(t, to.in(t, pgx.ReadCommitted, func(tx pgx.Tx) error { return archive.RaiseSequences(t.Context(), tx, m, scopes.Tenant{ID: 1}) }))
	_, err := to.conn.Exec(t.Context(), "insert into items (org_id) values (1); insert into labels (org_id, text) values (1, '')")
	require.NoError(t, err, "the next keys are free")
	require.NoError(t, changes.Close(t.Context()))
	require.Equal(t, "", from.text(t, "pg_publication", "pg_publication_rel"))
}

func TestFollowTruncate(t *testing.T) {
	t.Parallel()
	db, from, to := followed(t)
	m := parse(t, &Org{}, &Item{}, &Label{})
	changes := begin(t, db, m, to)
	_, err := from.conn.Exec(t.Context(), "begin; update items set title = 'x'; truncate items, item_labels, labels; insert into labels (org_id, text) values (1, 'new'); commit")
	require.NoError(t, err)
	_, err = changes.Apply(t.Context(), into(t, to))
	require.NoError(t, err)
	require.Equal(t, "orgs\n(one,1)\nlabels\n(1,1,new)\n", to.text(t, "orgs", "items", "labels"))
}

// Whatever is not as it was left at the second place is told.
func TestFollowedRowsThatSomebodyElseChanged(t *testing.T) {
	t.Parallel()
	db, from, to := followed(t)
	m := parse(t, &Org{}, &Item{}, &Label{})
	changes := begin(t, db, m, to)
	_, err := to.conn.Exec(t.Context(), "delete from items where id = 1")
	require.NoError(t, err)
	_, err = from.conn.Exec(t.Context(), "update items set title = 'x'")
	require.NoError(t, err)
	_, err = changes.Apply(t.Context(), into(t, to))
	require.EqualError(t, err, "apply changes: table items has not the row that was changed")
}

// A connection that is lost, as that of a killed program, leaves no slot behind, and a publication that the next one replaces.
func TestFollowIsNothingThatStays(t *testing.T) {
	t.Parallel()
	db, from, _ := followed(t)
	m := parse(t, &Org{}, &Item{}, &Label{})
	slots := func() (n int) {
		require.NoError(t, from.conn.QueryRow(t.Context(), "select count(*) from pg_replication_slots where database = current_database()").Scan(&n))
		return n
	}
	for range 2 {
		follow(t, db, m)
		require.Equal(t, 1, slots())
		db.Exec(t, pgtest.Superuser, "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'walsender'")
		require.Eventually(t, func() bool { return slots() == 0 }, 10*time.Second, time.Millisecond)
		require.Contains(t, from.text(t, "(select pubname from pg_publication)"), "test_follow")
	}
	require.NoError(t, from.in(t, pgx.ReadCommitted, func(tx pgx.Tx) error { return archive.Unfollow(t.Context(), tx, "test_follow") }))
	require.Empty(t, from.text(t, "pg_publication"))
	_, err := from.conn.Exec(t.Context(), "update items set title = 'x'")
	require.NoError(t, err)
}

func TestChangesThatCannotBeFollowed(t *testing.T) {
	t.Parallel()
	m := parse(t, &Org{}, &Item{}, &Label{})
	refused := func(config *pgx.ConnConfig) error {
		_, err := archive.Follow(t.Context(), config, m, scopes.Tenant{ID: 1}, "test_refused")
		require.ErrorAs(t, err, new(*archive.UnfollowableError))
		require.NotContains(t, err.Error(), "\n")
		return err
	}
	p := itemPlaces(t).shared
	require.ErrorContains(t, refused(p.conn.Config()), "changes cannot be followed: wal_level is minimal: set it to logical")

	db, from, _ := followed(t)
	role := db.Config(pgtest.Superuser)
	_, err := db.Connect(t, pgtest.Superuser).Exec(t.Context(), "create role "+db.Name+"_plain login in role "+pgtest.Owner+"; grant create on database "+pgx.Identifier{db.Name}.Sanitize()+" to "+db.Name+"_plain")
	require.NoError(t, err)
	t.Cleanup(func() {
		conn, err := pgx.ConnectConfig(context.Background(), db.Config(pgtest.Superuser))
		require.NoError(t, err)
		defer conn.Close(context.Background())
		_, err = conn.Exec(context.Background(), "drop owned by "+db.Name+"_plain; drop role "+db.Name+"_plain")
		require.NoError(t, err)
	})
	role.User = db.Name + "_plain"
	require.Regexp(t, "replication.*: give the owner REPLICATION", refused(role).Error())
	require.Empty(t, from.text(t, "pg_publication"), "nothing is left")

	long, err := db.Connect(t, pgtest.Owner).Begin(t.Context())
	require.NoError(t, err)
	_, err = long.Exec(t.Context(), "insert into orgs (id, name) values (9, 'x')")
	require.NoError(t, err)
	impatient := db.Config(pgtest.Owner)
	impatient.RuntimeParams["lock_timeout"] = "100"
	require.Regexp(t, `a transaction of role ".*" in database ".*" \(process \d+\) did not end in time`, refused(impatient).Error())
	given, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err = archive.Follow(given, db.Config(pgtest.Owner), m, scopes.Tenant{ID: 1}, "test_refused")
	require.Error(t, err)
	require.Empty(t, from.text(t, "(select slot_name from pg_replication_slots where database = current_database())"), "also where it was still waited for")
	require.NoError(t, long.Rollback(t.Context()))
	require.Empty(t, from.text(t, "pg_publication"))

	_, err = from.conn.Exec(t.Context(), "alter table labels replica identity full")
	require.NoError(t, err)
	require.ErrorContains(t, refused(db.Config(pgtest.Owner)), "the rows of table labels are not known by a primary key with the tenant's column")
}
