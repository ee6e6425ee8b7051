package cli_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tenanted/app/config"
	"tenanted/app/web"
	"tenanted/internal/browsertest"
	"tenanted/scopes/pgtest"
)

// explained is the page /isolation/ for programs.
type explained struct {
	web.Explanation
	Attacks []web.Attack
	Tried   *web.Attempt
}

func isolation(t *testing.T, s *server, method, path string, form url.Values) (page explained) {
	t.Helper()
	status, body := s.send(t, method, "tenant-1.localhost", path, form)
	require.Equal(t, 200, status, body)
	require.NoError(t, json.Unmarshal([]byte(body), &page))
	return page
}

func TestIsolationIsExplained(t *testing.T) {
	t.Parallel()
	eachStrategy(t, func(t *testing.T, w *fixture) {
		w.ok(t, "migrate")
		w.ok(t, "seed", "--accounts", "2")
		s := w.serve(t, "--explain")
		before := isolation(t, s, "GET", "/isolation/", nil)
		require.Empty(t, before.Page)
		s.get(t, "tenant-1.localhost", "/subtasks/?status=open")
		page := isolation(t, s, "GET", "/isolation/", nil)
		require.Equal(t, "/subtasks/?status=open", page.Page)
		require.Equal(t, string(w.strategy), page.Configuration)
		require.Equal(t, w.count(t, `select count(*) - 1 from control.tenants t join control.tenants own using (schema)
			where own.slug = 'tenant-1' and t.database is not distinct from own.database`), page.Others)
		require.Len(t, page.Statements, 2)
		var sql strings.Builder
		for _, p := range page.Statements[0].Pieces {
			if p.Tenant {
				sql.WriteString(p.Text + "\n")
			}
		}
		require.Contains(t, sql.String(), `"subtasks"."account_id" = 2`)
		for _, layer := range page.Layers {
			require.Positive(t, layer.Checks, layer.Name)
			require.Empty(t, layer.Problems, layer.Name)
		}
		changes := w.changes(t)
		for _, attack := range page.Attacks {
			tried := isolation(t, s, "POST", "/isolation/attack", url.Values{"attack": {attack.Name}}).Tried
			require.NotEmpty(t, tried.Stopped, tried)
			require.Equal(t, attack.Title, tried.Title)
		}
		require.Equal(t, changes, w.changes(t))
		status, _ := s.send(t, "POST", "tenant-1.localhost", "/isolation/attack", url.Values{"attack": {"none"}})
		require.Equal(t, 400, status)
		status, _ = s.get(t, "localhost", "/isolation/")
		require.Equal(t, 404, status)
		require.Zero(t, s.end(t))
	})
}

// changes is how many subtasks of the first tenant are done.
func (w *fixture) changes(t *testing.T) string {
	t.Helper()
	return w.ok(t, "dbshell", "--tenant", "tenant-0", "--", "-XAtc", "select count(*) from subtasks where complete")
}

// TestMissingLayerIsSeen: the page and its attacks find out that a layer is not there.
func TestMissingLayerIsSeen(t *testing.T) {
	t.Parallel()
	w := newFixture(t, config.SingleSchema)
	w.ok(t, "migrate")
	w.ok(t, "seed", "--accounts", "2")
	s := w.serve(t, "--explain")
	isolation(t, s, "GET", "/isolation/", nil) // it is served while all is in order, and for some seconds after
	w.db.Exec(t, pgtest.Owner, "alter table subtasks disable row level security")
	page := isolation(t, s, "POST", "/isolation/attack", url.Values{"attack": {"raw"}})
	require.Empty(t, page.Tried.Stopped)
	require.Regexp(t, "[1-9][0-9]* are others’", page.Tried.Came)
	require.Contains(t, strings.Join(page.Layers[3].Problems, " "), "row-level security is off")
	page = isolation(t, s, "POST", "/isolation/attack", url.Values{"attack": {"read"}})
	require.Equal(t, "scope", page.Tried.Stopped, "the scope still holds, and nothing below it")
	require.Zero(t, s.end(t))
}

func TestIsolationIsNotShownUnasked(t *testing.T) {
	t.Parallel()
	w := newFixture(t, config.SingleSchema)
	w.ok(t, "migrate")
	w.ok(t, "seed", "--accounts", "1")
	s := w.serve(t)
	status, _ := s.get(t, "tenant-0.localhost", "/isolation/")
	require.Equal(t, 404, status)
	_, html := s.get(t, "tenant-0.localhost", "/subtasks/")
	require.NotContains(t, html, "isolation")
	require.Zero(t, s.end(t))
}

// TestIsolationInTheBrowser goes from a page to its explanation, tries an attack, and goes on to another tenant, without scripts.
func TestIsolationInTheBrowser(t *testing.T) {
	t.Parallel()
	chromium := browsertest.Start(t)
	w := newFixture(t, config.SingleSchema)
	w.ok(t, "migrate")
	w.ok(t, "seed", "--accounts", "3")
	s := w.serve(t, "--explain")
	_, port, _ := strings.Cut(s.addr, ":")
	at := func(slug, path string) string { return "http://" + slug + ".localhost:" + port + path }
	b := browsertest.NewTab(t, chromium)
	b.Look(1200, 900, "light")
	b.Load(at("tenant-1", "/subtasks/"))
	b.Click(`nav a[href="/isolation/"]`)
	require.Equal(t, "How tenant-1 is kept apart", b.Text("h1"))
	b.Click(`button[value="raw"]`)
	require.Contains(t, b.Text(".attempt"), "Stopped by: row-level security")
	for _, width := range []int64{1200, 390} {
		for _, scheme := range []string{"light", "dark"} {
			name := fmt.Sprintf("isolation-%d-%s", width, scheme)
			b.Look(width, 1100, scheme)
			b.RequireFits(name)
			b.RequireAccessible(name, "html")
			b.Picture(name)
		}
	}
	b.Look(1200, 900, "light")
	require.Equal(t, 3, browsertest.Evaluate[int](b, `document.querySelector(".switch").open = true, document.querySelectorAll(".switch a").length`))
	b.Picture("switch")
	b.Click(".switch li:nth-child(3) a")
	require.Contains(t, b.Text(".switch summary"), "tenant-2")
	require.Zero(t, s.end(t))
}
