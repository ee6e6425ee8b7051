package web

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

type projectListJSON struct {
	Count   int64
	Results []projectJSON
}

func (w *fixture) projectsOfList(t testing.TB, host, query string) projectListJSON {
	t.Helper()
	var l projectListJSON
	require.NoError(t, json.Unmarshal([]byte(w.page(t, "GET "+host+" /projects.json"+query)), &l))
	return l
}

func TestProjectsShowTheirProgress(t *testing.T) {
	t.Parallel()
	for _, configuration := range configurations {
		w := newFixture(t, configuration, nil)
		w.send(t, "POST tenant-0.localhost /subtask/36/complete", "complete=true", form) // of project 2
		l := w.projectsOfList(t, "tenant-0.localhost", "")
		require.Equal(t, int64(3), l.Count)
		require.Equal(t, projectJSON{labelJSON{2, "Project #2", "project-2"}, 5, 35, 12, 23, "http://tenant-0.localhost/subtasks/?project=2"}, l.Results[1])
		require.Equal(t, int64(35), w.list(t, "tenant-0.localhost", "/subtasks.json?project=2").Count)
		require.Equal(t, int64(1), w.projectsOfList(t, "tenant-1.localhost", "").Count)
		page := w.page(t, "GET tenant-0.localhost /projects/")
		require.Contains(t, page, "All together: 36 of 105 done, 69 open.")
		require.Contains(t, page, `<rect class="done" width="34" height="8"></rect>`)
	}
}

func TestProjectsOrderAndSearch(t *testing.T) {
	t.Parallel()
	w := newFixture(t, single, nil)
	ids := func(query string) (ids []int64) {
		for _, r := range w.projectsOfList(t, "tenant-0.localhost", query).Results {
			ids = append(ids, r.ID)
		}
		return ids
	}
	require.Equal(t, []int64{1, 2, 3}, ids(""))
	require.Equal(t, []int64{2, 1, 3}, ids("?sort=open"))
	require.Equal(t, []int64{1, 3, 2}, ids("?sort=done"))
	require.Equal(t, []int64{3}, ids("?q=PROJECT-3"))
	require.Empty(t, ids("?q=_"))
	require.Contains(t, w.page(t, "GET tenant-2.localhost /projects/"), "This account has no projects yet")
}
