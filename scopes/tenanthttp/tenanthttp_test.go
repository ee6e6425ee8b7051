package tenanthttp_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"tenanted/scopes"
	"tenanted/scopes/tenanthttp"
)

// directory is a map of slugs to tenants; the slug "away" cannot be looked up.
type directory map[string]scopes.Tenant

func (d directory) Lookup(_ context.Context, slug string) (scopes.Tenant, error) {
	if slug == "away" {
		return scopes.Tenant{}, fmt.Errorf("look up: %w", scopes.ErrUnavailable)
	}
	if slug == "asleep" {
		return scopes.Tenant{}, &scopes.TenantUnavailableError{Slug: slug, State: "suspended"}
	}
	tenant, found := d[slug]
	if !found {
		return scopes.Tenant{}, &scopes.TenantUnknownError{Slug: slug}
	}
	return tenant, nil
}

var acme = directory{"acme": {ID: 7, Slug: "acme"}}

// tell answers with the path and the tenant that the handler behind the middleware sees.
var tell = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	tenant, err := scopes.FromContext(r.Context())
	if err != nil {
		fmt.Fprintf(w, "%s nobody", r.URL.EscapedPath())
		return
	}
	fmt.Fprintf(w, "%s %d", r.URL.EscapedPath(), tenant.ID)
})

func ask(m tenanthttp.Middleware, change func(*http.Request)) (int, string) {
	r := httptest.NewRequest("GET", "http://example.com/x%2Fy/", nil)
	change(r)
	w := httptest.NewRecorder()
	m.Wrap(tell).ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

func TestSources(t *testing.T) {
	t.Parallel()
	subdomain, err := tenanthttp.Subdomain("example.com")
	require.NoError(t, err)
	byQuery := func(r *http.Request) (string, *http.Request, error) { return r.URL.Query().Get("tenant"), r, nil }
	host := func(h string) func(*http.Request) { return func(r *http.Request) { r.Host = h } }
	url := func(u string) func(*http.Request) {
		return func(r *http.Request) { *r = *httptest.NewRequest("GET", u, nil) }
	}
	header := func(v ...string) func(*http.Request) { return func(r *http.Request) { r.Header["X-Tenant"] = v } }
	for name, c := range map[string]struct {
		source tenanthttp.Source
		change func(*http.Request)
		status int
		body   string
	}{
		"subdomain":            {subdomain, host("acme.example.com"), 200, "/x%2Fy/ 7"},
		"subdomain, unknown":   {subdomain, host("other.example.com"), 404, "no tenant is called \"other\"\n"},
		"subdomain, no slug":   {subdomain, host("a.acme.example.com"), 404, "no tenant is called \"a.acme\"\n"},
		"subdomain, suspended": {subdomain, host("asleep.example.com"), 503, "Service Unavailable\n"},
		"subdomain, away":      {subdomain, host("away.example.com"), 503, "Service Unavailable\n"},
		"subdomain, bare":      {subdomain, host("example.com"), 400, "the request names no tenant\n"},
		"header":               {tenanthttp.Header("X-Tenant"), header("acme"), 200, "/x%2Fy/ 7"},
		"header, twice":        {tenanthttp.Header("X-Tenant"), header("acme", "acme"), 400, "the request names no tenant: header X-Tenant is there 2 times, send it once\n"},
		"header, none":         {tenanthttp.Header("X-Tenant"), header(), 400, "the request names no tenant\n"},
		"header, upper case":   {tenanthttp.Header("X-Tenant"), header("ACME"), 404, "no tenant is called \"ACME\"\n"},
		"prefix":               {tenanthttp.PathPrefix("/t/"), url("/t/acme/x%2Fy/"), 200, "/x%2Fy/ 7"},
		"prefix, only":         {tenanthttp.PathPrefix("/t/"), url("/t/acme"), 200, "/ 7"},
		"prefix, escaped":      {tenanthttp.PathPrefix("/t/"), url("/t/%61cme/x/"), 200, "/x/ 7"},
		"prefix, slash":        {tenanthttp.PathPrefix("/t/"), url("/t/acme%2Fx"), 200, "/x 7"},
		"prefix, none":         {tenanthttp.PathPrefix("/t/"), url("/u/acme/"), 400, "the request names no tenant\n"},
		"prefix, empty":        {tenanthttp.PathPrefix("/t/"), url("/t//x"), 400, "the request names no tenant\n"},
		"function":             {byQuery, url("/x/?tenant=acme"), 200, "/x/ 7"},
	} {
		status, body := ask(tenanthttp.Middleware{Source: c.source, Directory: acme}, c.change)
		require.Equal(t, c.status, status, name)
		require.Equal(t, c.body, body, name)
	}
	require.Panics(t, func() { tenanthttp.PathPrefix("t") })
}

func TestOptionalRunsWithoutTenant(t *testing.T) {
	t.Parallel()
	subdomain, err := tenanthttp.Subdomain("example.com")
	require.NoError(t, err)
	m := tenanthttp.Middleware{Source: subdomain, Directory: acme, Optional: true}
	status, body := ask(m, func(*http.Request) {})
	require.Equal(t, 200, status)
	require.Equal(t, "/x%2Fy/ nobody", body)

	status, _ = ask(m, func(r *http.Request) { r.Host = "other.example.com" })
	require.Equal(t, 404, status, "a slug that no tenant has is not a request without a tenant")
}

func TestOnErrorAnswers(t *testing.T) {
	t.Parallel()
	failing := func(r *http.Request) (string, *http.Request, error) { return "", r, errors.New("boom") }
	m := tenanthttp.Middleware{Source: failing, Directory: acme, OnError: func(w http.ResponseWriter, _ *http.Request, err error) {
		w.WriteHeader(tenanthttp.Status(err))
		fmt.Fprint(w, "mine: ", err)
	}}
	status, body := ask(m, func(*http.Request) {})
	require.Equal(t, 500, status)
	require.Equal(t, "mine: boom", body)
}
