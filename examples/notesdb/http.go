package notesdb

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"tenanted/scopes/pgtest"
)

// VerifyHTTP proves that a site with GET and POST at url(slug), the address of a tenant's notes, keeps tenants apart.
func VerifyHTTP(t *testing.T, site http.Handler, url func(slug string) string) {
	for slug, text := range map[string]string{"acme": "anvil", "umbrella": "leaks"} {
		status, body := request(t, site, "POST", url(slug), text)
		require.Equal(t, http.StatusCreated, status, body)
	}
	status, _ := request(t, site, "GET", url("nobody"), "")
	require.Equal(t, http.StatusNotFound, status, "an unknown tenant")

	var requests sync.WaitGroup // at once, since what they share would not show one after the other
	for range 25 {
		for slug, want := range map[string]string{"acme": `["anvil"]`, "umbrella": `["leaks"]`} {
			requests.Go(func() {
				status, body := request(t, site, "GET", url(slug), "")
				assert.Equal(t, http.StatusOK, status)
				assert.JSONEq(t, want, body)
			})
		}
	}
	requests.Wait()
}

// VerifyForgotten proves that a handler of notes that stands outside the middleware is answered with an error, and that
// nothing is sent to the database for it.
func (db *DB) VerifyForgotten(t *testing.T, handler http.Handler) {
	db.RequireNothingSent(t, func() {
		status, body := request(t, handler, "GET", "/notes", "")
		require.Equal(t, http.StatusInternalServerError, status, body)
	})
}

func request(t *testing.T, site http.Handler, method, url, body string) (int, string) {
	w := httptest.NewRecorder()
	site.ServeHTTP(w, httptest.NewRequestWithContext(pgtest.Context(t), method, url, strings.NewReader(body)))
	return w.Code, w.Body.String()
}
