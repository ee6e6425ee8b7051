package models_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"tenanted/migrations"
	"tenanted/models"
	"tenanted/scopes"
	"tenanted/scopes/pgtest"
	"tenanted/scopes/registry"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

const (
	small = 237                       // subtasks of tenant 1
	large = models.CountLimit + 5_000 // of tenant 2
)

// fill makes two tenants. Every seventh name is the same, and every third subtask is done.
func fill(ctx context.Context, conn *pgx.Conn) error {
	runner := migrations.Runner{Owner: conn.Config(), Runtime: pgtest.Runtime}
	placement := scopes.Placement{Database: conn.Config().Database, Schema: "public"}
	for _, set := range []migrations.Set{migrations.Tenant, migrations.Shared} {
		if err := runner.Up(ctx, migrations.Target{Set: set, Placement: placement}).Err; err != nil {
			return err
		}
	}
	for account, subtasks := range map[int]int{1: small, 2: large} {
		_, err := conn.Exec(ctx, fmt.Sprintf(`
			insert into accounts (id) values (%[1]d);
			insert into projects (account_id, id, name) select %[1]d, n, 'project-' || n from generate_series(1, 12) n;
			insert into tasks (account_id, id, project_id, name) select %[1]d, n, n %% 12 + 1, 'Task' from generate_series(1, 24) n;
			insert into subtasks (account_id, id, task_id, name, complete)
				select %[1]d, n, n %% 24 + 1, case n %% 7 when 0 then 'same' else 'step ' || (n * 7919 %% 10007) end, n %% 3 = 0 from generate_series(1, %[2]d) n`,
			account, subtasks))
		if err != nil {
			return err
		}
	}
	_, err := conn.Exec(ctx, `select setval(pg_get_serial_sequence(t, 'id'), 1000000) from unnest(array['projects', 'tasks', 'subtasks']) t`)
	return err
}

type fixture struct {
	models.Models
	db *pgtest.DB
}

func open(t testing.TB) fixture {
	t.Helper()
	db := pgtest.Database(t, "models", fill)
	pools, err := registry.Open(registry.Config{Runtime: db.Config(pgtest.Runtime), Owner: db.Config(pgtest.Owner)})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, pools.Close()) })
	g, err := pools.OpenGORM(&gorm.Config{Logger: logger.Discard}, scopes.NewPlugin(scopes.Config{}))
	require.NoError(t, err)
	t.Cleanup(func() { require.Zero(t, pools.Stats().InUse) })
	return fixture{models.New(g), db}
}

func (f fixture) as(t testing.TB, id scopes.TenantID) context.Context {
	return scopes.WithTenant(t.Context(), scopes.Tenant{ID: id, Placement: scopes.Placement{Database: f.db.Name, Schema: "public"}})
}

// pages reads a list page by page, and returns the keys of its rows.
func pages(t *testing.T, m models.SubtaskManager, order models.SubtaskOrder, size int) (keys []string) {
	t.Helper()
	for number, last := 1, 1; number <= last; number++ {
		rows, page, err := m.Page(order, number, size)
		require.NoError(t, err)
		last = page.Pages
		for _, row := range rows {
			keys = append(keys, fmt.Sprintf("%d/%d", row.AccountID, row.ID))
			require.Equal(t, row.AccountID, row.Task.AccountID)
			require.Equal(t, row.AccountID, row.Task.Project.AccountID)
		}
	}
	return keys
}

// Whatever the order, the filter and the size, pages hold every row once and in one order, the last page included.
func TestPagesHoldEveryRowOnce(t *testing.T) {
	t.Parallel()
	m := open(t)
	for _, order := range []models.SubtaskOrder{models.ByName, models.ByTask, models.Newest} {
		for _, filter := range []models.SubtaskFilter{{}, {Status: models.Done}, {Project: 3}, {Search: "SAME"}, {Search: "step", Status: models.Open}, {Search: "nobody"}} {
			list := m.Subtasks(m.as(t, 1)).Filter(filter)
			whole := pages(t, list, order, 1000)
			for _, size := range []int{7, 100} {
				require.Equal(t, whole, pages(t, list, order, size), "%s %+v", order, filter)
			}
			requireProgress(t, list, filter, order)
			require.Len(t, slices.Compact(slices.Sorted(slices.Values(whole))), len(whole))
			rows, page, err := list.Page(order, models.LastPage, 7)
			require.NoError(t, err)
			require.Equal(t, page.Pages, page.Number)
			require.Len(t, rows, (max(len(whole), 1)-1)%7+min(len(whole), 1))
			if len(whole) > 0 {
				require.Equal(t, whole[len(whole)-1], fmt.Sprintf("1/%d", rows[len(rows)-1].ID))
			}
			var missing *models.PageError
			_, _, err = list.Page(order, page.Pages+1, 7)
			require.ErrorAs(t, err, &missing)
			require.Equal(t, page.Pages, missing.Pages)
		}
	}
}

// requireProgress checks that each page tells how many rows are open and done, whichever of them it shows.
func requireProgress(t *testing.T, list models.SubtaskManager, filter models.SubtaskFilter, order models.SubtaskOrder) {
	t.Helper()
	var want models.Progress
	for _, status := range []models.Status{models.Open, models.Done} {
		filter.Status = status
		n := int64(len(pages(t, list.Filter(filter), order, 100)))
		want.Subtasks += n
		if status == models.Done {
			want.Done = n
		}
	}
	for _, number := range []int{1, models.LastPage} {
		_, page, err := list.Page(order, number, 7)
		require.NoError(t, err)
		require.Equal(t, &want, page.Of, "%+v", filter)
	}
}

// A list of more than CountLimit rows has numbers for the first of them, and one last page.
func TestLongListIsCountedAndNumberedUpToTheLimit(t *testing.T) {
	t.Parallel()
	m := open(t)
	all := scopes.AllTenants(t.Context(), "test")
	for name, list := range map[string]models.SubtaskManager{"tenant": m.Subtasks(m.as(t, 2)), "all": m.Subtasks(all)} {
		_, page, err := list.Page(models.ByName, 2, 100)
		require.NoError(t, err, name)
		require.Equal(t, models.Page{Number: 2, Pages: 1000, Size: 100, Count: models.CountLimit, More: true}, page, name)
		_, page, err = list.Filter(models.SubtaskFilter{Status: models.Open}).Page(models.ByName, 2, 100)
		require.NoError(t, err)
		require.Equal(t, map[string]int64{"tenant": large - large/3, "all": large - large/3 + small - small/3}[name], page.Count)
		require.Nil(t, page.Of, "not all are counted")
		rows, page, err := list.Page(models.ByName, 1000, 100)
		require.NoError(t, err)
		require.Len(t, rows, 100)
		last, page, err := list.Page(models.ByName, models.LastPage, 100)
		require.NoError(t, err)
		require.Equal(t, models.LastPage, page.Number)
		require.Len(t, last, 100)
		require.Less(t, rows[99].Name, last[0].Name)
		var missing *models.PageError
		_, _, err = list.Page(models.ByName, 1001, 100)
		require.ErrorAs(t, err, &missing)
		require.True(t, missing.More)
	}
}

// Far pages: from the beginning, and in the second half from the end.
func TestFarPages(t *testing.T) {
	t.Parallel()
	m := open(t)
	list := m.Subtasks(m.as(t, 2)).Filter(models.SubtaskFilter{Status: models.Done})
	for _, number := range []int{11, 176, 300, 350} {
		rows, page, err := list.Page(models.Newest, number, 100)
		require.NoError(t, err)
		require.Equal(t, models.Page{Number: number, Pages: 350, Size: 100, Count: large / 3}, page)
		require.Len(t, rows, 100)
		for i, row := range rows {
			require.EqualValues(t, large-3*(page.Offset()+i), row.ID)
		}
	}
}

// A search that more than SearchLimit rows match has numbers for the first of them in the list's order, and one last page.
func TestASearchThatManyRowsMatch(t *testing.T) {
	t.Parallel()
	m := open(t)
	list := m.Subtasks(m.as(t, 2)).Filter(models.SubtaskFilter{Search: "same"}) // every seventh, 15,000
	for _, number := range []int{1, 2, 100} {
		rows, page, err := list.Page(models.ByName, number, 100)
		require.NoError(t, err)
		require.Equal(t, models.Page{Number: number, Pages: 100, Size: 100, Count: models.SearchLimit, More: true}, page)
		require.Len(t, rows, 100)
		for i, row := range rows {
			require.EqualValues(t, 7*(page.Offset()+i+1), row.ID)
		}
	}
	rows, page, err := list.Page(models.ByName, models.LastPage, 100)
	require.NoError(t, err)
	require.Equal(t, models.LastPage, page.Number)
	require.EqualValues(t, large, rows[99].ID)
	var missing *models.PageError
	_, _, err = list.Page(models.ByName, 101, 100)
	require.ErrorAs(t, err, &missing)
	require.True(t, missing.More)
	_, page, err = m.Subtasks(m.as(t, 2)).Filter(models.SubtaskFilter{Search: "step same"}).Page(models.ByName, 1, 10)
	require.NoError(t, err)
	require.Zero(t, page.Count, "all words must match")
}

func TestManagersKeepToTheTenant(t *testing.T) {
	t.Parallel()
	m := open(t)
	_, err := m.Subtasks(m.as(t, 1)).Get(small + 1)
	require.ErrorIs(t, err, models.ErrNotFound)
	member := models.WithActor(m.as(t, 1), models.Actor{Role: models.Member})
	require.ErrorIs(t, m.Subtasks(member).SetComplete(small+1, true), models.ErrNotFound)
	require.NoError(t, m.Subtasks(member).SetComplete(1, true))
	require.ErrorIs(t, m.Subtasks(m.as(t, 1)).SetComplete(1, false), models.ErrSignInRequired)
	other, err := m.Subtasks(m.as(t, 2)).Get(1)
	require.NoError(t, err)
	require.False(t, other.Complete)
	require.Panics(t, func() { _, _, _ = m.Subtasks(t.Context()).Page(models.ByName, 1, 10) })
	counts, err := m.Accounts(m.as(t, 1)).Counts()
	require.NoError(t, err)
	require.Equal(t, models.AccountCounts{Projects: 12, Tasks: 24, Progress: models.Progress{Subtasks: small, Done: small/3 + 1}}, counts)
}

func TestProjectsAddUpTheirSubtasks(t *testing.T) {
	t.Parallel()
	m := open(t)
	rows, page, err := m.Projects(m.as(t, 1)).Page(models.ProjectsByOpen, 1, 100)
	require.NoError(t, err)
	require.Equal(t, int64(12), page.Count)
	var sum models.Progress
	for _, row := range rows {
		require.Equal(t, int64(2), row.Tasks)
		require.Equal(t, models.Progress{Subtasks: small, Done: small / 3}, row.Total)
		sum.Subtasks += row.Subtasks
		sum.Done += row.Done
	}
	require.Equal(t, rows[0].Total, sum)
	projects, more, err := m.Projects(m.as(t, 1)).Names(11)
	require.NoError(t, err)
	require.Len(t, projects, 11)
	require.True(t, more)
	for i, project := range projects {
		require.Equal(t, fmt.Sprintf("project-%d", i+1), project.Name, "numbers in names count")
	}
}
