package chi

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/examples/databasesql"
	"example.com/examples/notesdb"

	"tenanted/scopes/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func TestSite(t *testing.T) {
	t.Parallel()
	db := notesdb.New(t, notesdb.Schema)
	notes := databasesql.Open(db.Runtime)
	defer notes.Close()
	site, err := site(notes, notesdb.Tenants)
	require.NoError(t, err)
	notesdb.VerifyHTTP(t, site, func(slug string) string { return "http://" + slug + ".example.com/notes" })

	w := httptest.NewRecorder()
	site.ServeHTTP(w, httptest.NewRequest("GET", "http://example.com/healthz", nil))
	require.Equal(t, http.StatusOK, w.Code)
}

func TestHandlerOutsideTheMiddleware(t *testing.T) {
	t.Parallel()
	db := notesdb.New(t, notesdb.Schema)
	notes := databasesql.Open(db.Runtime)
	defer notes.Close()
	db.VerifyForgotten(t, list(notes))
}
