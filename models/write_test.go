package models_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"tenanted/models"
	"tenanted/scopes"
	"tenanted/scopes/pgtest"
)

// by is the fixture's context for somebody of a tenant.
func (f fixture) by(t *testing.T, id scopes.TenantID, role models.Role) context.Context {
	t.Helper()
	return models.WithActor(f.as(t, id), models.Actor{UserID: 1, Role: role})
}

// rows counts what a tenant has.
func (f fixture) rows(t *testing.T, id scopes.TenantID) models.AccountCounts {
	t.Helper()
	counts, err := f.Accounts(f.as(t, id)).Counts()
	require.NoError(t, err)
	return counts
}

func requireInvalid(t *testing.T, err error, field, says string) {
	t.Helper()
	var invalid *models.InvalidError
	require.ErrorAs(t, err, &invalid)
	require.Contains(t, invalid.Fields[field], says)
}

// everyWrite calls each writing method, as somebody of a context.
func everyWrite(m models.Models, ctx context.Context) map[string]error {
	_, createProject := m.Projects(ctx).Create(models.ProjectInput{Name: "x"}, "")
	_, updateProject := m.Projects(ctx).Update(1, 1, models.ProjectInput{Name: "x"})
	_, createTask := m.Tasks(ctx).Create(models.TaskInput{Name: "x", Project: 1}, "")
	_, updateTask := m.Tasks(ctx).Update(1, 1, models.TaskInput{Name: "x", Project: 1})
	_, createSubtask := m.Subtasks(ctx).Create(models.SubtaskInput{Name: "x", Task: 1}, "")
	_, updateSubtask := m.Subtasks(ctx).Update(1, 1, models.SubtaskInput{Name: "x", Task: 1})
	return map[string]error{
		"create project": createProject, "update project": updateProject, "delete project": m.Projects(ctx).Delete(2, 1, models.Removal{MoveTo: 1}),
		"create task": createTask, "update task": updateTask, "delete task": m.Tasks(ctx).Delete(2, 1, models.Removal{MoveTo: 1}),
		"create subtask": createSubtask, "update subtask": updateSubtask, "delete subtask": m.Subtasks(ctx).Delete(2, 1),
	}
}

func TestWhoMayWrite(t *testing.T) {
	t.Parallel()
	f := open(t)
	before := f.rows(t, 1)
	nobodies := map[string]context.Context{
		"nobody":                     f.as(t, 1),
		"somebody of another tenant": scopes.WithTenant(f.by(t, 2, models.Admin), scopes.Tenant{ID: scopes.TenantID(1), Placement: scopes.Placement{Database: f.db.Name, Schema: "public"}}),
	}
	for who, ctx := range nobodies {
		for what, err := range everyWrite(f.Models, ctx) {
			require.ErrorIs(t, err, models.ErrSignInRequired, "%s: %s", who, what)
		}
	}
	for what, err := range everyWrite(f.Models, f.by(t, 1, "guest")) {
		require.ErrorAs(t, err, new(*models.NotAllowedError), what)
	}
	require.Equal(t, before, f.rows(t, 1))
	for what, err := range everyWrite(f.Models, f.by(t, 1, models.Member)) {
		if what == "delete project" {
			require.ErrorAs(t, err, new(*models.NotAllowedError), what)
		} else {
			require.NoError(t, err, what)
		}
	}
	for what, err := range everyWrite(f.Models, f.by(t, 2, models.Admin)) {
		require.NoError(t, err, what)
	}
}

func TestWhatIsWrongWithAnInput(t *testing.T) {
	t.Parallel()
	f := open(t)
	ctx, before := f.by(t, 1, models.Admin), f.rows(t, 1)
	for name, says := range map[string]string{
		"": "needed", " \t\n": "needed", "\u200b\u2060": "needed", "a\x00b": "one line", "a\nb": "one line", "a\u0085b": "one line",
		"a\xffb": "one line", strings.Repeat("ä", 201): "at most 200 letters",
	} {
		_, err := f.Projects(ctx).Create(models.ProjectInput{Name: name}, "")
		requireInvalid(t, err, models.FieldName, says)
		_, err = f.Projects(ctx).Update(1, 1, models.ProjectInput{Name: name})
		requireInvalid(t, err, models.FieldName, says)
	}
	for details, says := range map[string]string{"a\x00b": "control", "\xff": "UTF-8", strings.Repeat("ä", 10_001): "10001 letters"} {
		_, err := f.Subtasks(ctx).Create(models.SubtaskInput{Name: "x", Task: 1, Details: details}, "")
		requireInvalid(t, err, models.FieldDetails, says)
	}
	_, err := f.Subtasks(ctx).Create(models.SubtaskInput{Assignee: 7}, "")
	for field, says := range map[string]string{models.FieldName: "needed", models.FieldTask: "Choose a task", models.FieldAssignee: "no user #7"} {
		requireInvalid(t, err, field, says)
	}
	require.Equal(t, before, f.rows(t, 1), "nothing was written")

	s, err := f.Subtasks(ctx).Create(models.SubtaskInput{Name: "  " + strings.Repeat("ä", 200) + " ", Task: 1, Details: "one\r\n\ttwo\n"}, "")
	require.NoError(t, err)
	require.Equal(t, strings.Repeat("ä", 200), s.Name)
	require.Equal(t, "one\n\ttwo", s.Details)
	require.Equal(t, 1, s.Version)
	require.Equal(t, "project-2", s.Task.Project.Name)
}

// Another tenant's rows are as none, to read, to write, to point at and to move to.
func TestWritingKeepsToTheTenant(t *testing.T) {
	t.Parallel()
	f := open(t)
	f.db.Exec(t, pgtest.Owner, `insert into users (account_id, id, email, first_name, last_name, password_hash) values (2, 70, 'a@b', 'A', 'B', '');
		insert into projects (account_id, id, name) values (2, 70, 'theirs'); insert into tasks (account_id, id, project_id, name) values (2, 70, 70, 'theirs')`)
	ctx, theirs := f.by(t, 1, models.Admin), f.rows(t, 2)
	_, err := f.Projects(ctx).Update(70, 1, models.ProjectInput{Name: "mine"})
	require.ErrorIs(t, err, models.ErrNotFound)
	_, err = f.Tasks(ctx).Update(70, 1, models.TaskInput{Name: "mine", Project: 1})
	require.ErrorIs(t, err, models.ErrNotFound)
	_, err = f.Subtasks(ctx).Update(small+1, 1, models.SubtaskInput{Name: "mine", Task: 1})
	require.ErrorIs(t, err, models.ErrNotFound)
	require.ErrorIs(t, f.Projects(ctx).Delete(70, 1, models.Removal{MoveTo: 1}), models.ErrNotFound)
	require.ErrorIs(t, f.Tasks(ctx).Delete(70, 1, models.Removal{With: &models.Dependents{}}), models.ErrNotFound)
	require.ErrorIs(t, f.Subtasks(ctx).Delete(small+1, 1), models.ErrNotFound)

	_, err = f.Tasks(ctx).Create(models.TaskInput{Name: "x", Project: 70}, "")
	requireInvalid(t, err, models.FieldProject, "There is no project #70 here.")
	_, err = f.Tasks(ctx).Update(1, 1, models.TaskInput{Name: "x", Project: 70})
	requireInvalid(t, err, models.FieldProject, "There is no project #70 here.")
	for _, in := range []models.SubtaskInput{{Name: "x", Task: 70}, {Name: "x", Task: 1, Assignee: 70}} {
		field := map[bool]string{true: models.FieldTask, false: models.FieldAssignee}[in.Task == 70]
		_, err = f.Subtasks(ctx).Create(in, "")
		requireInvalid(t, err, field, "#70 here.")
		_, err = f.Subtasks(ctx).Update(1, 1, in)
		requireInvalid(t, err, field, "#70 here.")
	}
	requireInvalid(t, f.Projects(ctx).Delete(1, 1, models.Removal{MoveTo: 70}), models.FieldMoveTo, "There is no project #70 here.")
	requireInvalid(t, f.Tasks(ctx).Delete(1, 1, models.Removal{MoveTo: 70}), models.FieldMoveTo, "There is no task #70 here.")
	requireInvalid(t, f.Tasks(ctx).Delete(1, 1, models.Removal{MoveTo: 1}), models.FieldMoveTo, "another task")
	require.Equal(t, theirs, f.rows(t, 2))
	people, more, err := f.Users(f.as(t, 2)).Assignees(10)
	require.NoError(t, err)
	require.False(t, more)
	require.Len(t, people, 1)
	require.Equal(t, "A B", people[0].Name())
	people, _, err = f.Users(f.as(t, 1)).Assignees(10)
	require.NoError(t, err)
	require.Empty(t, people)
}

func TestOfTwoEditsOfOneVersionOneWins(t *testing.T) {
	t.Parallel()
	f := open(t)
	ctx := f.by(t, 1, models.Member)
	names := []string{"a", "b", "c", "d", "e", "f"}
	errs := make([]error, len(names))
	var edits sync.WaitGroup
	for i, name := range names {
		edits.Go(func() { _, errs[i] = f.Subtasks(ctx).Update(1, 1, models.SubtaskInput{Name: name, Task: 1}) })
	}
	edits.Wait()
	now, err := f.Subtasks(ctx).Get(1)
	require.NoError(t, err)
	require.Equal(t, 2, now.Version)
	won := 0
	for i, err := range errs {
		if err == nil {
			won++
			require.Equal(t, names[i], now.Name)
			continue
		}
		var conflict *models.ConflictError
		require.ErrorAs(t, err, &conflict)
		require.Equal(t, now.Name, conflict.Now.(models.Subtask).Name)
	}
	require.Equal(t, 1, won)
	require.ErrorAs(t, f.Subtasks(ctx).Delete(1, 1), new(*models.ConflictError))
	require.ErrorAs(t, f.Tasks(ctx).Delete(1, 9, models.Removal{}), new(*models.ConflictError))
	require.NoError(t, f.Subtasks(ctx).SetComplete(1, true), "is no edit")
	require.NoError(t, f.Subtasks(ctx).Delete(1, 2))
}

func TestDeletingWithWhatBelongsToIt(t *testing.T) {
	t.Parallel()
	f := open(t)
	ctx := f.by(t, 1, models.Admin)
	before := f.rows(t, 1)
	has, err := f.Projects(ctx).Dependents(1)
	require.NoError(t, err)
	require.Equal(t, int64(2), has.Tasks)
	requireRefused := func(err error, has models.Dependents) {
		t.Helper()
		var refused *models.DependentsError
		require.ErrorAs(t, err, &refused)
		require.Equal(t, has, refused.Dependents)
		require.Equal(t, before, f.rows(t, 1))
	}
	requireRefused(f.Projects(ctx).Delete(1, 1, models.Removal{}), has)
	requireRefused(f.Projects(ctx).Delete(1, 1, models.Removal{With: &models.Dependents{Tasks: 2, Subtasks: has.Subtasks - 1}}), has)
	ofTask, err := f.Tasks(ctx).Dependents(2)
	require.NoError(t, err)
	requireRefused(f.Tasks(ctx).Delete(2, 1, models.Removal{}), ofTask)
	requireRefused(f.Tasks(ctx).Delete(2, 1, models.Removal{With: &models.Dependents{}}), ofTask)

	require.NoError(t, f.Tasks(ctx).Delete(2, 1, models.Removal{MoveTo: 3}))
	after := f.rows(t, 1)
	require.Equal(t, before.Progress, after.Progress)
	require.Equal(t, before.Tasks-1, after.Tasks)
	moved, err := f.Subtasks(ctx).Get(1) // of task 2 in fill
	require.NoError(t, err)
	require.Equal(t, []int64{3, 2}, []int64{moved.TaskID, int64(moved.Version)}, "whoever has its form open is told")

	require.NoError(t, f.Projects(ctx).Delete(1, 1, models.Removal{With: &has}))
	require.Equal(t, before.Progress.Subtasks-has.Subtasks, f.rows(t, 1).Subtasks)
	require.NoError(t, f.Projects(ctx).Delete(5, 1, models.Removal{MoveTo: 4}))
	tasks, _, err := f.Tasks(ctx).Page(4, 1, 10)
	require.NoError(t, err)
	require.Len(t, tasks, 4)
	require.Positive(t, tasks[0].Progress.Subtasks)
}

// Two projects, each deleted with its tasks moved to the other: one goes first, and neither waits forever.
func TestDeletingTwoIntoEachOther(t *testing.T) {
	t.Parallel()
	f := open(t)
	ctx := f.by(t, 1, models.Admin)
	for _, pair := range [][2]int64{{1, 2}, {3, 4}, {5, 6}, {7, 8}} {
		var errs [2]error
		var both sync.WaitGroup
		for i := range pair {
			both.Go(func() { errs[i] = f.Projects(ctx).Delete(pair[i], 1, models.Removal{MoveTo: pair[1-i]}) })
		}
		both.Wait()
		require.NotEqual(t, errs[0] == nil, errs[1] == nil, "%v", errs)
		requireInvalid(t, errors.Join(errs[0], errs[1]), models.FieldMoveTo, "There is no project")
	}
	require.EqualValues(t, 24, f.rows(t, 1).Tasks)
}

func TestARequestSentTwiceCreatesOnce(t *testing.T) {
	t.Parallel()
	f := open(t)
	ctx, before := f.by(t, 1, models.Member), f.rows(t, 1)
	create := func(ctx context.Context, name, key string) (int64, error) {
		s, err := f.Subtasks(ctx).Create(models.SubtaskInput{Name: name, Task: 1}, key)
		return s.ID, err
	}
	ids, errs := make([]int64, 6), make([]error, 6)
	var requests sync.WaitGroup
	for i := range ids {
		requests.Go(func() { ids[i], errs[i] = create(ctx, "twice", "key") })
	}
	requests.Wait()
	require.NoError(t, errors.Join(errs...))
	for _, id := range ids {
		require.Equal(t, ids[0], id)
	}
	require.Equal(t, before.Subtasks+1, f.rows(t, 1).Subtasks)

	_, err := create(ctx, "something else", "key")
	require.ErrorIs(t, err, models.ErrKeyUsed)
	_, err = f.Projects(ctx).Create(models.ProjectInput{Name: "twice"}, "key")
	require.ErrorIs(t, err, models.ErrKeyUsed)
	another, err := create(models.WithActor(f.as(t, 1), models.Actor{UserID: 2, Role: models.Member}), "twice", "key")
	require.NoError(t, err)
	require.NotEqual(t, ids[0], another, "a key is one user's")
	_, err = create(f.by(t, 2, models.Member), "twice", "key")
	require.NoError(t, err, "a key is one tenant's")

	f.db.Exec(t, pgtest.Owner, "update request_keys set created_at = created_at - interval '25 hours'")
	_, err = create(ctx, "something else", "key")
	require.NoError(t, err, "keys are forgotten")
}
