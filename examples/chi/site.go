// Package chi shows chi: tenanthttp's middleware finds the tenant of a request by its subdomain, and every handler behind it
// works for that tenant. chi's middleware is net/http's, so that it fits as it is.
package chi

import (
	"encoding/json"
	"io"
	"net/http"

	"github.com/go-chi/chi/v5"

	"example.com/examples/databasesql"

	"tenanted/scopes/tenanthttp"
)

// site returns the site at acme.example.com, umbrella.example.com and so on.
func site(notes databasesql.Notes, directory tenanthttp.Directory) (http.Handler, error) {
	bySubdomain, err := tenanthttp.Subdomain("example.com")
	if err != nil {
		return nil, err
	}
	tenant := tenanthttp.Middleware{Source: bySubdomain, Directory: directory}

	r := chi.NewRouter()
	r.Get("/healthz", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") }) // asks for no tenant
	r.Group(func(r chi.Router) {
		r.Use(tenant.Wrap)
		r.Get("/notes", list(notes))
		r.Post("/notes", add(notes))
	})
	return r, nil
}

func list(notes databasesql.Notes) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		texts, err := notes.List(r.Context())
		if err != nil {
			fail(w, err)
			return
		}
		json.NewEncoder(w).Encode(texts)
	}
}

func add(notes databasesql.Notes) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<16))
		if err == nil {
			err = notes.Add(r.Context(), string(text))
		}
		if err != nil {
			fail(w, err)
			return
		}
		w.WriteHeader(http.StatusCreated)
	}
}

// fail says nothing of what went wrong inside.
func fail(w http.ResponseWriter, err error) {
	status := tenanthttp.Status(err)
	http.Error(w, http.StatusText(status), status)
}
