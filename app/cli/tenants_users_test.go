package cli_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// user is what tenants users list says of one.
type user struct {
	ID                int64
	Email, Name, Role string
	Active            bool
}

func (w *fixture) users(t *testing.T, tenant string) (users []user) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(w.ok(t, "tenants", "users", "list", tenant, "--format", "json")), &users))
	return users
}

// token returns a new API token of a tenant's first user.
func (w *fixture) token(t *testing.T, tenant string) string {
	t.Helper()
	return strings.TrimSpace(w.ok(t, "tenants", "users", "token", tenant, w.users(t, tenant)[0].Email))
}

// A tenant that was just made gets its first admin, who chooses a password by the link, and signs in.
func TestTheFirstAdminOfATenant(t *testing.T) {
	t.Parallel()
	eachStrategy(t, func(t *testing.T, w *fixture) {
		w = w.with("SIGN_IN=required")
		w.ok(t, "migrate")
		w.ok(t, "tenants", "create", "acme")
		require.Empty(t, w.users(t, "acme"))
		s := w.serve(t)
		out := w.ok(t, "tenants", "users", "invite", "acme", "Ann@Example.com", "--first-name", "Ann", "--last-name", "Arbor", "--role", "admin")
		require.Contains(t, out, "ann@example.com chooses a password, once, at\nhttp://acme.localhost:8080/reset/?link=")
		require.Equal(t, []user{{w.users(t, "acme")[0].ID, "ann@example.com", "Ann Arbor", "admin", true}}, w.users(t, "acme"))
		link, err := url.Parse(strings.TrimSpace(strings.Split(out, "\n")[1]))
		require.NoError(t, err)

		b := &browser{addr: s.addr, host: "acme.localhost"}
		require.Equal(t, "/sign-in/?next=%2Fsubtasks%2F", b.get(t, "/subtasks/").Header.Get("Location"))
		require.Equal(t, 200, b.get(t, link.RequestURI()).StatusCode)
		answer := b.post(t, link.Path, url.Values{"link": {link.Query().Get("link")}, "password": {"ann's password"}})
		require.Equal(t, 303, answer.StatusCode)
		require.Equal(t, 200, b.get(t, "/subtasks/").StatusCode)
		require.Equal(t, 404, b.get(t, link.RequestURI()).StatusCode, "the link was used")
		require.Equal(t, 303, b.at("localhost").get(t, "/tenants/").StatusCode, "no list of tenants for a tenant's user")
		require.Zero(t, s.end(t))
	})
}

func TestTenantsUsers(t *testing.T) {
	t.Parallel()
	eachUnmixed(t, func(t *testing.T, w *fixture) {
		w.ok(t, "migrate")
		w.ok(t, "seed", "--accounts", "2", "--min-users", "3", "--max-users", "3")
		before := w.users(t, "tenant-1")
		users := w.users(t, "tenant-0")
		require.Len(t, users, 3)
		admin, member := users[0].Email, users[1].Email
		if users[0].Role != "admin" {
			admin, member = member, admin
		}
		require.Contains(t, w.ok(t, "tenants", "users", "reset", "tenant-0", member), "/reset/?link=")
		w.fails(t, 1, "an account needs an active admin", "tenants", "users", "role", "tenant-0", admin, "member")
		require.Contains(t, w.ok(t, "tenants", "users", "role", "tenant-0", member, "admin"), member+" is admin of tenant-0")
		w.ok(t, "tenants", "users", "role", "tenant-0", admin, "member")
		require.Regexp(t, `^tnd_[A-Z2-7]{26}\n$`, w.ok(t, "tenants", "users", "token", "tenant-0", member, "--name", "backup"))
		for want, args := range map[string]string{
			"role: A user is a member or an admin.":              "role tenant-0 " + member + " owner",
			"email: There is a user with this email":             "invite tenant-0 " + member + " --first-name A --last-name B",
			"first-name: A first name is needed.":                "invite tenant-0 x@example.com --last-name B",
			"email: This is not an email address":                "invite tenant-0 x --first-name A --last-name B",
			"takes the tenant and a user's email, and was given": "reset tenant-0",
		} {
			w.fails(t, 2, want, append([]string{"tenants", "users"}, strings.Fields(args)...)...)
		}
		w.fails(t, 1, `tenant tenant-0 has no user "nobody@example.com": see`, "tenants", "users", "reset", "tenant-0", "nobody@example.com")
		w.fails(t, 1, "tenant-7", "tenants", "users", "list", "tenant-7")
		require.Equal(t, before, w.users(t, "tenant-1"), "another tenant's users")
		log := w.ok(t, "tenants", "log", "tenant-0")
		for _, action := range []string{"reset password", "role admin", "token backup"} {
			require.Contains(t, log, action)
		}
	})
}

// browser keeps the cookies of one host, as a person's does.
type browser struct {
	addr, host string
	cookies    []*http.Cookie
}

func (b *browser) at(host string) *browser { return &browser{addr: b.addr, host: host} }

func (b *browser) get(t *testing.T, path string) *http.Response {
	return b.do(t, http.MethodGet, path, "")
}

func (b *browser) post(t *testing.T, path string, form url.Values) *http.Response {
	return b.do(t, http.MethodPost, path, form.Encode())
}

func (b *browser) do(t *testing.T, method, path, body string) *http.Response {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, "http://"+b.addr+path, strings.NewReader(body))
	require.NoError(t, err)
	request.Host = b.host
	if body != "" {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for _, cookie := range b.cookies {
		request.AddCookie(cookie)
	}
	response, err := http.DefaultTransport.RoundTrip(request)
	require.NoError(t, err)
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	require.NoError(t, err)
	b.cookies = append(b.cookies, response.Cookies()...)
	return response
}
