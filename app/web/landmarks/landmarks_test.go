package landmarks

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"tenanted/internal/testpg"
	"tenanted/scopes"
	"tenanted/scopes/registry"
)

func TestMain(m *testing.M) { testpg.Main(m) }

func open(t *testing.T) (*testpg.DB, *gorm.DB, context.Context) {
	t.Parallel()
	pg := testpg.Database(t, "landmarks", func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, `
			create table subtasks (account_id bigint, id bigint, name text not null, primary key (account_id, id));
			create index subtasks_all on subtasks (name, account_id, id)`)
		return err
	})
	r, err := registry.Open(registry.Config{Runtime: pg.Config(testpg.Runtime), Owner: pg.Config(testpg.Owner)})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, r.Close()) })
	db, err := r.OpenGORM(&gorm.Config{Logger: logger.Discard}, scopes.NewPlugin(scopes.Config{}))
	require.NoError(t, err)
	return pg, db, scopes.AllTenants(t.Context(), "test")
}

// pages reads the whole list page by page.
func pages(t *testing.T, n Numbering, tx *gorm.DB, size int) (all []key) {
	for offset := 0; offset < int(n.Count); offset += size {
		all = append(all, page(t, n, tx, offset, size)...)
	}
	return all
}

func page(t *testing.T, n Numbering, tx *gorm.DB, offset, size int) (rows []key) {
	err := tx.Raw(`select s.name, s.account_id, s.id from subtasks s join (?) p using (account_id, id) order by name, account_id, id`,
		n.Page(tx, offset, size)).Scan(&rows).Error
	require.NoError(t, err)
	return rows
}

func TestPagesMakeUpTheList(t *testing.T) {
	pg, db, ctx := open(t)
	for _, n := range []int{0, 1, Step - 1, 1, 1, Step, 3 * Step} { // and so many more each time
		add(t, pg, n)
		var want []key
		require.NoError(t, db.WithContext(ctx).Raw(`select name, account_id, id from subtasks order by name, account_id, id`).Scan(&want).Error)
		numbering, err := new(List).Number(ctx, db)
		require.NoError(t, err)
		require.EqualValues(t, len(want), numbering.Count)
		require.Equal(t, want, pages(t, numbering, db.WithContext(ctx), 50))
		require.Empty(t, page(t, numbering, db.WithContext(ctx), (len(want)/10+1)*10, 10))
	}
}

// add adds n rows to those that are there, of seven tenants; names repeat.
func add(t *testing.T, pg *testpg.DB, n int) {
	pg.Exec(t, testpg.Owner, `insert into subtasks (account_id, id, name)
		select 1 + i % 7, i, 'name ' || i * 7919 % 600
		from (select count(*) as had from subtasks) s, generate_series(had + 1, had + $1::int) i`, n)
}

func TestRowsAreReadLive(t *testing.T) {
	pg, db, ctx := open(t)
	add(t, pg, 3*Step)
	list := new(List)
	before, err := list.Number(ctx, db)
	require.NoError(t, err)

	pg.Exec(t, testpg.Owner, `insert into subtasks values (8, 1, 'a'), (8, 2, 'z')`)
	require.Equal(t, key{"a", 8, 1}, page(t, before, db.WithContext(ctx), 0, 10)[0])
	after, err := list.Number(ctx, db)
	require.NoError(t, err)
	require.EqualValues(t, before.Count+1, after.Count, "the row at the end counts at once, the other with the next walk")
}

func TestShortListIsNeverOff(t *testing.T) {
	pg, db, ctx := open(t)
	list := new(List)
	add(t, pg, 2)
	for want := range int64(20) {
		add(t, pg, 1)
		n, err := list.Number(ctx, db)
		require.NoError(t, err)
		require.Equal(t, want+3, n.Count)
	}
}

func TestNumberingIsRenewed(t *testing.T) {
	pg, db, ctx := open(t)
	add(t, pg, 2*Step)
	list := new(List)
	_, err := list.Number(ctx, db)
	require.NoError(t, err)
	add(t, pg, 3*Step)

	due := *list.current.Load()
	due.ended = due.ended.Add(-time.Hour)
	list.current.Store(&due)
	n, err := list.Number(ctx, db)
	require.NoError(t, err)
	require.EqualValues(t, 5*Step, n.Count, "too old to be used: it waits")

	add(t, pg, Step)
	due = *list.current.Load()
	due.ended = due.ended.Add(-time.Second - 20*due.took)
	list.current.Store(&due)
	require.Eventually(t, func() bool {
		n, err := list.Number(ctx, db)
		return err == nil && n.Count == 6*Step
	}, time.Minute, time.Millisecond, "renewed behind the requests")
}

func TestNumberFails(t *testing.T) {
	_, db, ctx := open(t)
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	_, err := new(List).Number(ctx, db)
	require.ErrorIs(t, err, context.Canceled)
}

func TestPageRefusesOtherSizes(t *testing.T) {
	t.Parallel()
	n := Numbering{Count: 1}
	for _, at := range [][2]int{{0, 30}, {0, 0}, {5, 10}, {-10, 10}} {
		require.Panics(t, func() { n.Page(nil, at[0], at[1]) }, "%v", at)
	}
}
