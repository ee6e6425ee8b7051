package present

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"tenanted/app/talk"
	"tenanted/scopes/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// newSite serves the slides over a lab of the test's own.
func newSite(t testing.TB) *httptest.Server {
	t.Helper()
	db := pgtest.Database(t, "empty", func(context.Context, *pgx.Conn) error { return nil })
	lab, err := talk.Open(t.Context(), talk.Server{Database: db.Name + "_lab", Owner: db.Config(pgtest.Owner), Runtime: db.Config(pgtest.Runtime),
		Superuser: db.Config(pgtest.Superuser)}, func(string) {})
	require.NoError(t, err)
	server := httptest.NewServer(New(lab, slog.New(slog.DiscardHandler)))
	t.Cleanup(server.Close)
	return server
}

// away is a lab whose server does not answer.
type away struct{}

func (away) Run(context.Context, talk.Experiment, talk.Layers) (talk.Result, error) {
	return talk.Result{}, io.ErrUnexpectedEOF
}

func ask(t testing.TB, handler http.Handler, method, path string, form url.Values, headers ...string) (int, string) {
	t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(form.Encode()))
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

// TestEveryExperimentHasASlide and one only.
func TestEveryExperimentHasASlide(t *testing.T) {
	t.Parallel()
	var shown, all []string
	for _, c := range Chapters() {
		require.NotEmpty(t, c.Notes, c.Name)
		require.NotEmpty(t, c.Points, c.Name)
		require.Positive(t, c.Seconds, c.Name)
		shown = append(shown, c.Experiments...)
	}
	for _, e := range talk.Experiments() {
		all = append(all, e.Name)
	}
	require.ElementsMatch(t, all, shown)
	require.GreaterOrEqual(t, len(all), 20)
}

func TestPagesNeedNoInlineCode(t *testing.T) {
	t.Parallel()
	handler := New(away{}, slog.New(slog.DiscardHandler))
	for _, path := range []string{"/", "/?plain", "/notes", "/experiments/raw-sql"} {
		status, html := ask(t, handler, "GET", path, nil)
		require.Equal(t, 200, status, path)
		require.NotContains(t, html, "style=")
		require.NotContains(t, html, "<style")
		require.NotRegexp(t, `<script[^>]*>[^<]|\son[a-z]+=`, html)
		for _, file := range strings.Split(html, `"/static/`)[1:] {
			name, _, _ := strings.Cut(file, `"`)
			status, _ := ask(t, handler, "GET", "/static/"+name, nil)
			require.Equal(t, 200, status, name)
		}
	}
	for _, path := range []string{"/nope", "/experiments/nope", "/static/nope", "/static/..%2fdoc.go"} {
		status, html := ask(t, handler, "GET", path, nil)
		require.Equal(t, 404, status, path)
		require.Contains(t, html, "There is no such page")
	}
	status, license := ask(t, handler, "GET", "/static/reveal.LICENSE.txt", nil)
	require.Equal(t, 200, status)
	require.Contains(t, license, "Hakim El Hattab")
}

func TestServerIsAway(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	handler := New(away{}, slog.New(slog.NewTextHandler(&log, nil)))
	status, html := ask(t, handler, "POST", "/experiments/raw-sql", url.Values{"rls": {"on"}})
	require.Equal(t, 503, status)
	require.Contains(t, html, "The experiment could not run: unexpected EOF")
	require.Contains(t, html, "<form", "it can be sent again")
	require.Contains(t, log.String(), "experiment=raw-sql")
	status, _ = ask(t, handler, "POST", "/experiments/raw-sql", url.Values{}, "Sec-Fetch-Site: cross-site")
	require.Equal(t, 403, status)
}

// TestStrategiesDocument compares the document with what the slides show. To write it anew: go test ./app/present -run Strategies -update
func TestStrategiesDocument(t *testing.T) {
	t.Parallel()
	const path = "../../docs/strategies.md"
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	begin, rest, ok := strings.Cut(string(content), "| | SingleSchema |")
	require.True(t, ok)
	_, end, ok := strings.Cut(rest, "|\n\n")
	require.True(t, ok)
	table, err := Markdown()
	require.NoError(t, err)
	want := begin + table + "\n" + end
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(want), 0o644))
		return
	}
	require.Equal(t, want, string(content))
}
