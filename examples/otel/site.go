// Package otel shows OpenTelemetry: the tenant is an attribute of the span of each request and each statement. Statements are
// traced by otelpgx, through pgx's own hook, which scopes/session and scopes/registry call with the context of the statement.
package otel

import (
	"encoding/json"
	"io"
	"net/http"

	"github.com/exaring/otelpgx"
	"github.com/jackc/pgx/v5"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/trace"

	"example.com/examples/databasesql"

	"tenanted/scopes/tenanthttp"
)

// openTraced opens the notes. Each statement in a request that is traced has a span; otelpgx begins none of its own.
func openTraced(config *pgx.ConnConfig, spans trace.TracerProvider) databasesql.Notes {
	config = config.Copy()
	config.Tracer = otelpgx.NewTracer(otelpgx.WithTracerProvider(spans))
	return databasesql.Open(config)
}

// site returns the site at acme.example.com and so on; each request has a span.
func site(notes databasesql.Notes, directory tenanthttp.Directory, spans trace.TracerProvider) (http.Handler, error) {
	bySubdomain, err := tenanthttp.Subdomain("example.com")
	if err != nil {
		return nil, err
	}
	tenant := tenanthttp.Middleware{Source: bySubdomain, Directory: directory}
	return otelhttp.NewHandler(tenant.Wrap(mark(handler(notes))), "notes", otelhttp.WithTracerProvider(spans)), nil
}

// handler adds a note by POST and lists them otherwise.
func handler(notes databasesql.Notes) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /notes", func(w http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<16))
		if err == nil {
			err = notes.Add(r.Context(), string(text))
		}
		if err != nil {
			fail(w, err)
			return
		}
		w.WriteHeader(http.StatusCreated)
	})
	mux.HandleFunc("GET /notes", func(w http.ResponseWriter, r *http.Request) {
		texts, err := notes.List(r.Context())
		if err != nil {
			fail(w, err)
			return
		}
		json.NewEncoder(w).Encode(texts)
	})
	return mux
}

// fail says nothing of what went wrong inside.
func fail(w http.ResponseWriter, err error) {
	status := tenanthttp.Status(err)
	http.Error(w, http.StatusText(status), status)
}
