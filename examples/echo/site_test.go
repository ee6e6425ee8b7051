package echo

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/labstack/echo/v5"
	"github.com/stretchr/testify/require"

	"example.com/examples/databasesql"
	"example.com/examples/notesdb"

	"tenanted/scopes"
	"tenanted/scopes/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// directory has tenants whose ids are texts.
var directory = notesdb.Directory{
	"acme":     {ID: "org_2Kx9", Slug: "acme"},
	"umbrella": {ID: "org_7Qm1", Slug: "umbrella"},
}

func TestSite(t *testing.T) {
	t.Parallel()
	db := notesdb.New(t, notesdb.SchemaText)
	notes := databasesql.Open(db.Runtime)
	defer notes.Close()
	notesdb.VerifyHTTP(t, site(notes, directory), func(slug string) string { return "/t/" + slug + "/notes" })

	w := httptest.NewRecorder()
	site(notes, directory).ServeHTTP(w, httptest.NewRequest("GET", "/notes", nil))
	require.Equal(t, http.StatusBadRequest, w.Code, "no tenant in the path")
}

func TestHandlerOutsideTheMiddleware(t *testing.T) {
	t.Parallel()
	db := notesdb.New(t, notesdb.SchemaText)
	notes := databasesql.Open(db.Runtime)
	defer notes.Close()
	e := echo.New()
	e.GET("/notes", list(notes))
	db.VerifyForgotten(t, e)
	c := echo.New().NewContext(httptest.NewRequest("GET", "/notes", nil), httptest.NewRecorder())
	require.ErrorAs(t, list(notes)(c), new(*scopes.TenantMissingError))
}
