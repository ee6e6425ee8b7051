package cli_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tenanted/app/config"
	"tenanted/scopes/audit"
	"tenanted/scopes/pgtest"
)

// location returns where a request is redirected to.
func (s *server) location(t *testing.T, method, host, path string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, "http://"+s.addr+path, nil)
	require.NoError(t, err)
	request.Host = host
	response, err := http.DefaultTransport.RoundTrip(request)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusTemporaryRedirect, response.StatusCode)
	require.Equal(t, "no-store", response.Header.Get("Cache-Control"))
	return response.Header.Get("Location")
}

func TestATenantIsRenamedWhileServing(t *testing.T) {
	t.Parallel()
	eachUnmixed(t, func(t *testing.T, w *fixture) {
		w.ok(t, "migrate")
		w.ok(t, "tenants", "create", "acme")
		s := w.serve(t)
		s.becomes(t, "acme", 200)
		s.becomes(t, "bolt", 404)
		require.Regexp(t, `^tenant acme is bolt now; acme is redirected until `, w.ok(t, "tenants", "rename", "acme", "bolt"))
		s.becomes(t, "bolt", 200)
		s.becomes(t, "acme", 307)
		for _, method := range []string{"GET", "POST"} {
			require.Equal(t, "http://bolt.localhost:8080/subtasks/2/?q=a%2Fb", s.location(t, method, "ACME.localhost:8080", "/subtasks/2/?q=a%2Fb"))
		}
		require.Equal(t, "http://bolt.localhost//evil.com/", s.location(t, "GET", "acme.localhost", "//evil.com/"))

		w.fails(t, 1, `slug "acme" still leads to the tenant that had it`, "tenants", "create", "acme")
		w.ok(t, "tenants", "create", "coil")
		w.fails(t, 1, `slug "acme" still leads to the tenant that had it`, "tenants", "rename", "coil", "acme")
		w.fails(t, 1, `tenant "bolt" exists, in state "active"`, "tenants", "rename", "coil", "bolt")
		w.fails(t, 1, "reserved", "tenants", "rename", "coil", "www")

		w.ok(t, "tenants", "rename", "1000001", "dynamo", "--redirect-for", "0")
		s.becomes(t, "bolt", 404)
		require.Equal(t, "http://dynamo.localhost/", s.location(t, "GET", "acme.localhost", "/"), "of several former slugs each leads there")
		w.ok(t, "tenants", "rename", "dynamo", "acme", "--name", "Acme again") // its own former slug
		s.becomes(t, "acme", 200)
		require.Contains(t, w.ok(t, "tenants", "list"), "Acme again")
		s.becomes(t, "dynamo", 307)

		// Whoever has the slug next gets a placement of its own.
		w.ok(t, "tenants", "create", "bolt", "--name", "Another one")
		s.becomes(t, "bolt", 200)
		require.Equal(t, 3, w.count(t, "select count(*) from control.tenants where state = 'active'"))
		require.Empty(t, w.check(t, 0).ids(audit.Defect))
		require.Zero(t, s.end(t))
	})
}

func TestMistakesInRenaming(t *testing.T) {
	t.Parallel()
	w := newFixture(t, config.SingleSchema)
	w.ok(t, "migrate")
	w.ok(t, "tenants", "create", "acme")
	for _, args := range []string{"", "acme", "acme bolt coil"} {
		w.fails(t, 2, "rename takes the tenant, and its new slug or --name", append([]string{"tenants", "rename"}, strings.Fields(args)...)...)
	}
	w.fails(t, 2, "is not a slug", "tenants", "rename", "acme", "Bolt")
	w.fails(t, 2, "--redirect-for -1s is below zero", "tenants", "rename", "acme", "bolt", "--redirect-for", "-1s")
	w.fails(t, 2, "invalid argument", "tenants", "rename", "acme", "bolt", "--redirect-for", "a month")
	w.fails(t, 1, `no tenant is called "nobody"`, "tenants", "rename", "nobody", "bolt")
	w.db.Exec(t, pgtest.Owner, "insert into control.tenants (id, slug, name, schema) values (7, '1000001', 'x', 'public')")
	w.fails(t, 1, "use the id of the one you mean", "tenants", "suspend", "1000001")
	w.ok(t, "tenants", "rename", "7", "seven")
	w.ok(t, "tenants", "rename", "acme", "acme") // to what it is called already
	require.Zero(t, w.count(t, "select count(*) from control.former_slugs where slug = 'acme'"))
}

func TestATenantHasHostNamesOfItsOwn(t *testing.T) {
	t.Parallel()
	eachUnmixed(t, func(t *testing.T, w *fixture) {
		w.ok(t, "migrate")
		w.ok(t, "tenants", "create", "acme", "--name", "Acme Inc.")
		w.ok(t, "tenants", "create", "bolt")
		s := w.with("TRUSTED_PROXIES=127.0.0.1,::1").serve(t)
		status := func(host string) (code int) { code, _ = s.get(t, host, "/subtasks/"); return code }
		require.Equal(t, 400, status("app.acme.com"))
		require.Equal(t, "tenant acme is served at app.acme.com\n", w.ok(t, "tenants", "domains", "add", "acme", "App.Acme.com."))
		w.ok(t, "tenants", "domains", "add", "acme", "app.acme.com") // again
		w.ok(t, "tenants", "domains", "add", "1000001", "acme.org")
		require.Equal(t, "acme.org\napp.acme.com\n", w.ok(t, "tenants", "domains", "list", "acme"))
		require.Eventually(t, func() bool { return status("app.acme.com") == 200 && status("ACME.org:8080") == 200 }, eventually, tick)
		_, page := s.get(t, "app.acme.com", "/subtasks/")
		require.Contains(t, page, "<title>Subtasks · acme")
		require.Equal(t, 200, status("acme.localhost"))
		require.Equal(t, 400, status("www.acme.com"))

		w.fails(t, 1, `domain "acme.org" is tenant "acme"'s`, "tenants", "domains", "add", "bolt", "acme.org")
		w.fails(t, 1, `tenant "bolt" has no domain "acme.org"`, "tenants", "domains", "remove", "bolt", "acme.org")
		for _, domain := range []string{"acme", "bolt.localhost", "localhost", "10.0.0.1", "[::1]", "acme.com:80", "a_b.com", "ä.com", "a..b", "https://a.com", ".", ""} {
			w.fails(t, 1, "is not a host name of a tenant's own", "tenants", "domains", "add", "bolt", domain)
		}
		w.ok(t, "tenants", "rename", "acme", "apex")
		require.Eventually(t, func() bool { return status("apex.localhost") == 200 }, eventually, tick)
		require.Equal(t, 200, status("app.acme.com"), "its host names stay")
		w.ok(t, "tenants", "suspend", "apex")
		require.Eventually(t, func() bool { return status("app.acme.com") == 503 }, eventually, tick)
		w.ok(t, "tenants", "resume", "apex")
		w.ok(t, "tenants", "domains", "remove", "apex", "app.acme.com")
		require.Eventually(t, func() bool { return status("app.acme.com") == 400 }, eventually, tick)
		require.Empty(t, w.check(t, 0).ids(audit.Defect))
		require.Zero(t, s.end(t))
	})
}

// Of a proxy that is trusted, X-Forwarded-Host names the host, for links too; of anybody else it says nothing.
func TestForwardedHost(t *testing.T) {
	t.Parallel()
	w := newFixture(t, config.SingleSchema)
	w.ok(t, "migrate")
	w.ok(t, "tenants", "create", "acme")
	ask := func(s *server) (int, http.Header) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.addr+"/subtasks/", nil)
		require.NoError(t, err)
		request.Header.Set("X-Forwarded-Host", "acme.localhost")
		response, err := http.DefaultTransport.RoundTrip(request)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		return response.StatusCode, response.Header
	}
	alone := w.with("PGOWNER=") // so that the bare domain has no list
	trusting, strict := alone.with("TRUSTED_PROXIES=::1, 127.0.0.0/8").serve(t), alone.serve(t)
	code, _ := ask(trusting)
	require.Equal(t, 200, code)
	code, _ = ask(strict)
	require.Equal(t, 404, code)
	w.ok(t, "tenants", "rename", "acme", "bolt")
	require.Eventually(t, func() bool { code, _ = ask(trusting); return code == 307 }, eventually, tick)
	_, header := ask(trusting)
	require.Equal(t, "http://bolt.localhost/subtasks/", header.Get("Location"))
	w.with("TRUSTED_PROXIES=proxy").fails(t, 2, `TRUSTED_PROXIES=proxy: "proxy" is neither an address nor a network`, "check")
}

func TestWhatIsKnownOfATenant(t *testing.T) {
	t.Parallel()
	eachStrategy(t, func(t *testing.T, w *fixture) {
		w.ok(t, "migrate")
		w.ok(t, "seed", "--accounts", "2")
		w.ok(t, "tenants", "suspend", "tenant-0")
		w.ok(t, "tenants", "rename", "tenant-0", "acme")
		w.ok(t, "tenants", "domains", "add", "acme", "acme.org")
		w.fails(t, 1, "has no domain", "tenants", "domains", "remove", "acme", "acme.com")

		var shown struct {
			ID      int64
			Slug    string
			State   string
			Domains []string
			Former  []struct{ Slug string } `json:"former_slugs"`
			Version int64
			Rows    map[string]int
			Bytes   int64
			Log     []struct{ Operator, Action, Outcome, Detail, Error string }
		}
		require.NoError(t, json.Unmarshal([]byte(w.ok(t, "tenants", "show", "1", "--format", "json")), &shown))
		require.Equal(t, "acme", shown.Slug)
		require.Equal(t, "suspended", shown.State)
		require.Equal(t, []string{"acme.org"}, shown.Domains)
		require.Equal(t, "tenant-0", shown.Former[0].Slug)
		require.Positive(t, shown.Version)
		require.Equal(t, 1, shown.Rows["accounts"])
		require.Positive(t, shown.Rows["subtasks"])
		require.Equal(t, !w.sharesTables(), shown.Bytes > 0)
		var actions []string
		for _, e := range shown.Log {
			actions = append(actions, e.Action+" "+e.Outcome)
			require.Contains(t, e.Operator, "@")
		}
		require.Equal(t, []string{"domains remove failed", "domains add done", "rename done", "suspend done", "create done"}, actions)

		text := w.ok(t, "tenants", "show", "acme")
		for _, want := range []string{"acme.org", "tenant-0 until 20", "rename", "has no domain"} {
			require.Contains(t, text, want)
		}
		require.Regexp(t, `state +suspended`, text)
		for _, tenant := range []string{"acme", "tenant-0", "1"} {
			require.Equal(t, 6, strings.Count(w.ok(t, "tenants", "log", tenant), "\n"), tenant)
		}
		require.Equal(t, 7, strings.Count(w.ok(t, "tenants", "log"), "\n"), "tenant-1's creation too")
		require.Equal(t, "[]\n", w.ok(t, "tenants", "log", "nobody", "--format", "json"))
		require.Equal(t, 2, strings.Count(w.ok(t, "tenants", "log", "--limit", "1"), "\n"))
		w.fails(t, 1, `no tenant is called "nobody"`, "tenants", "show", "nobody")
		w.fails(t, 2, "--limit 0 is below one", "tenants", "log", "--limit", "0")
	})
}

func TestAPlacementThatCannotBeLookedAtIsShown(t *testing.T) {
	t.Parallel()
	w := newFixture(t, config.MultipleDb)
	w.ok(t, "migrate")
	w.ok(t, "tenants", "create", "acme")
	w.db.Exec(t, pgtest.Superuser, "drop database \""+w.db.Name+"_acme\" with (force)")
	require.Regexp(t, `problem +.*database ".*_acme" does not exist`, w.ok(t, "tenants", "show", "acme"))
}
