package cli_test

import (
	"context"
	"html"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tenanted/app/config"
	"tenanted/scopes/pgtest"
	"tenanted/seed"
)

// person is somebody at a browser, which keeps cookies as browsers do: each for the host that set it.
type person struct {
	client *http.Client
	port   string
}

func (s *server) person(t *testing.T) *person {
	t.Helper()
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	_, port, err := net.SplitHostPort(s.addr)
	require.NoError(t, err)
	transport := &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, s.addr)
	}}
	t.Cleanup(transport.CloseIdleConnections)
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &person{&http.Client{Jar: jar, Transport: transport, CheckRedirect: stay}, port}
}

// answer is what a page says.
type answer struct {
	status   int
	location string
	body     string
}

// get and post ask for what is at an address, "acme.localhost/subtasks/".
func (p *person) get(t *testing.T, address string, headers ...string) answer {
	t.Helper()
	return p.do(t, http.MethodGet, address, nil, headers...)
}

func (p *person) post(t *testing.T, address string, form url.Values, headers ...string) answer {
	t.Helper()
	return p.do(t, http.MethodPost, address, form, append(headers, "Content-Type: application/x-www-form-urlencoded")...)
}

func (p *person) do(t *testing.T, method, address string, form url.Values, headers ...string) answer {
	t.Helper()
	host, path, _ := strings.Cut(address, "/")
	request, err := http.NewRequestWithContext(t.Context(), method, "http://"+host+":"+p.port+"/"+path, strings.NewReader(form.Encode()))
	require.NoError(t, err)
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		request.Header.Set(name, value)
	}
	response, err := p.client.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return answer{response.StatusCode, response.Header.Get("Location"), string(body)}
}

// cookie returns what a browser has of a cookie at a host.
func (p *person) cookie(t *testing.T, host, name string) string {
	t.Helper()
	for _, cookie := range p.client.Jar.Cookies(&url.URL{Scheme: "http", Host: host + ":" + p.port, Path: "/"}) {
		if cookie.Name == name {
			return cookie.Value
		}
	}
	return ""
}

// signedIn is an operator who has signed in at the bare domain.
func (s *server) signedIn(t *testing.T, w *fixture, name string) *person {
	t.Helper()
	password := strings.TrimSpace(strings.SplitAfter(w.ok(t, "operators", "add", name), "password: ")[1])
	p := s.person(t)
	form := url.Values{"name": {name}, "password": {"wrong " + password}, "next": {"/tenants/?sort=slug"}}
	refused := p.post(t, "localhost/sign-in/", form)
	require.Equal(t, 422, refused.status)
	require.Contains(t, refused.body, "The name or the password is wrong.")
	form.Set("password", password)
	entered := p.post(t, "localhost/sign-in/", form)
	require.Equal(t, []any{303, "/tenants/?sort=slug"}, []any{entered.status, entered.location}, entered.body)
	return p
}

// userOf returns the email of a tenant's first user of a role.
func (w *fixture) userOf(t *testing.T, tenant, role string) user {
	t.Helper()
	for _, u := range w.users(t, tenant) {
		if u.Role == role {
			return u
		}
	}
	require.Fail(t, "no user", role)
	return user{}
}

func required(t *testing.T, w *fixture) (*fixture, *server) {
	t.Helper()
	w = w.with("SIGN_IN=required")
	w.ok(t, "migrate")
	w.ok(t, "seed", "--accounts", "2", "--min-users", "3", "--max-users", "3")
	return w, w.serve(t, "--access-log", "json")
}

// Nobody gets anything of the tenants at the bare domain, by whatever way, and nothing that a tenant's user or a browser elsewhere has
// makes them an operator.
func TestTheBareDomainIsTheOperators(t *testing.T) {
	t.Parallel()
	eachStrategy(t, func(t *testing.T, w *fixture) {
		w, s := required(t, w)
		ann := s.signedIn(t, w, "ann")
		require.Contains(t, ann.get(t, "localhost/tenants/").body, "tenant-1")
		user := s.person(t)
		u := w.userOf(t, "tenant-0", "admin")
		require.Equal(t, 303, user.post(t, "tenant-0.localhost/sign-in/", url.Values{"email": {u.Email}, "password": {seed.Password}}).status)
		require.Equal(t, 200, user.get(t, "tenant-0.localhost/subtasks/").status)
		session, operator := user.cookie(t, "tenant-0.localhost", "session"), ann.cookie(t, "localhost", "operator")
		require.NotEmpty(t, session)
		require.NotEmpty(t, operator)
		require.Empty(t, ann.cookie(t, "tenant-0.localhost", "operator"), "a cookie of its host alone")

		nobodies := map[string][]string{
			"without a cookie": nil, "a user's session": {"Cookie: session=" + session}, "a user's session as an operator's": {"Cookie: operator=" + session},
			"a made up session": {"Cookie: operator=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}, "an API token": {"Authorization: Bearer " + w.token(t, "tenant-0")},
			"the operator's as another": {"Cookie: session=" + operator},
		}
		before := w.ok(t, "tenants", "list")
		for who, headers := range nobodies {
			for _, path := range []string{"", "tenants/", "subtasks/", "subtasks/1/", "tenants/tenant-0/", "tenants/nobody/", "openapi.json"} {
				page := s.person(t).get(t, "localhost/"+path, headers...)
				if path == "openapi.json" {
					require.Equal(t, 401, page.status, "%s: %s", who, path)
				} else {
					require.Equal(t, 303, page.status, "%s: %s: %s", who, path, page.body)
					require.True(t, strings.HasPrefix(page.location, "/sign-in/"), page.location)
				}
				require.NotContains(t, page.body, "tenant-1", path)
			}
			for _, path := range []string{"tenants.json", "subtasks.json", "subtasks/1.json"} {
				page := s.person(t).get(t, "localhost/"+path, headers...)
				require.Equal(t, 401, page.status, "%s: %s", who, path)
				require.Contains(t, page.body, "This is for operators.")
				require.NotContains(t, page.body, "tenant-")
			}
			for path, form := range map[string]url.Values{
				"tenants/": {"slug": {"acme"}}, "tenants/tenant-0/suspend": {}, "tenants/tenant-0/resume": {},
				"tenants/tenant-0/sign-in-as": {"user": {"1"}, "reason": {"x"}}, "subtask/1/complete": {"complete": {"true"}},
			} {
				page := s.person(t).post(t, "localhost/"+path, form, headers...)
				require.Equal(t, 303, page.status, "%s: %s", who, path)
				require.True(t, strings.HasPrefix(page.location, "/sign-in/"), page.location)
			}
		}
		require.Equal(t, before, w.ok(t, "tenants", "list"))
		require.Zero(t, w.count(t, "select count(*) from control.sign_in_links"))

		for _, cookie := range []string{"session=", "operator="} { // the operator's at a tenant's address
			page := s.person(t).get(t, "tenant-0.localhost/subtasks/", "Cookie: "+cookie+operator)
			require.Equal(t, []any{303, "/sign-in/?next=%2Fsubtasks%2F"}, []any{page.status, page.location})
		}
		for _, path := range []string{"tenants/", "tenants/tenant-0/"} {
			require.Equal(t, 404, user.get(t, "tenant-0.localhost/"+path).status, "not at a tenant's address")
		}
		require.Equal(t, 404, user.post(t, "tenant-0.localhost/tenants/tenant-1/suspend", nil).status)

		cross := ann.post(t, "localhost/tenants/tenant-0/suspend", nil, "Sec-Fetch-Site: same-site", "Origin: http://tenant-1.localhost:"+ann.port)
		require.Equal(t, 403, cross.status, "from a tenant's page")
		require.Equal(t, 303, ann.post(t, "localhost/sign-out", nil).status)
		require.Equal(t, 303, ann.get(t, "localhost/tenants/").status)
		require.Equal(t, 303, s.person(t).get(t, "localhost/tenants/", "Cookie: operator="+operator).status, "the session has ended on the server too")
		require.Equal(t, before, w.ok(t, "tenants", "list"))
		require.Zero(t, s.end(t))
	})
}

func TestAnOperatorLooksAfterTenants(t *testing.T) {
	t.Parallel()
	eachStrategy(t, func(t *testing.T, w *fixture) {
		w, s := required(t, w)
		ann := s.signedIn(t, w, "ann")
		form := url.Values{"slug": {"acme"}, "name": {"Acme <Ltd>"}}
		if w.strategy == config.Mixed {
			require.Contains(t, ann.get(t, "localhost/tenants/").body, `<option value="schema">`)
			form.Set("place", "schema")
		}
		made := ann.post(t, "localhost/tenants/", form)
		require.Equal(t, []any{303, "/tenants/acme/"}, []any{made.status, made.location}, made.body)
		page := ann.get(t, "localhost"+made.location)
		require.Contains(t, page.body, "Acme &lt;Ltd&gt;")
		require.Contains(t, page.body, "(No users)")
		require.Equal(t, "/sign-in/?next=%2Fsubtasks%2F", ann.get(t, "acme.localhost/subtasks/").location, "it is served")

		again := ann.post(t, "localhost/tenants/", form)
		require.Equal(t, 422, again.status)
		require.Contains(t, html.UnescapeString(again.body), `Tenant "acme" exists, in state "active": choose another slug.`)
		require.Contains(t, again.body, `value="Acme &lt;Ltd&gt;"`, "what was written is kept")
		for _, wrong := range []url.Values{{"slug": {"www"}}, {"slug": {"Ac me"}}, {"slug": {""}}, {"slug": {"bolt"}, "place": {"moon"}}, {"slug": {"bolt"}, "server": {"eu"}}} {
			require.Equal(t, 422, ann.post(t, "localhost/tenants/", wrong).status, wrong)
		}

		require.Equal(t, "/tenants/acme/", ann.post(t, "localhost/tenants/acme/suspend", nil).location)
		s.becomes(t, "acme", 503)
		require.Contains(t, ann.get(t, "localhost/tenants/acme/").body, "Resume acme")
		require.Equal(t, 409, ann.post(t, "localhost/tenants/acme/sign-in-as", url.Values{"user": {"1"}, "reason": {"x"}}).status)
		require.Equal(t, 303, ann.post(t, "localhost/tenants/acme/resume", nil).status)
		s.becomes(t, "acme", 303)
		w.db.Exec(t, pgtest.Owner, "update control.tenants set state = 'dropping' where slug = 'acme'")
		stuck := ann.post(t, "localhost/tenants/acme/resume", nil)
		require.Equal(t, 409, stuck.status)
		require.Contains(t, html.UnescapeString(stuck.body), `Tenant "acme" is in state "dropping"`)
		for _, nobody := range []string{"nobody", "%00", "a%2Fb", "Acme"} {
			require.Equal(t, 404, ann.post(t, "localhost/tenants/"+nobody+"/suspend", nil).status, nobody)
			require.Equal(t, 404, ann.get(t, "localhost/tenants/"+nobody+"/").status, nobody)
		}

		log := w.ok(t, "tenants", "log", "acme")
		for _, action := range []string{"create", "suspend", "resume"} {
			require.Regexp(t, `ann +`+action+` +acme +done`, log)
		}
		require.Regexp(t, `ann +resume +acme +failed`, log)
		require.Zero(t, s.end(t))
		require.Regexp(t, `"path":"/tenants/acme/suspend".*"operator":"ann"`, s.errs.String(), "the access log names who it was")
	})
}

var signInLink = regexp.MustCompile(`href="//([^"]*/sign-in-as/\?link=[A-Z2-7]+)"`)

// linkAs makes a link by which an operator is signed in as a user, and returns its address and its secret.
func (p *person) linkAs(t *testing.T, w *fixture, tenant string, as user) (address, secret string) {
	t.Helper()
	form := url.Values{"user": {fmtID(as.ID)}, "reason": {"ticket <12>"}}
	page := p.post(t, "localhost/tenants/"+tenant+"/sign-in-as", form)
	require.Equal(t, 201, page.status, page.body)
	link := signInLink.FindStringSubmatch(page.body)
	require.NotNil(t, link, page.body)
	address = strings.Replace(link[1], ":"+p.port, "", 1)
	_, secret, _ = strings.Cut(address, "link=")
	return address, secret
}

func TestAnOperatorIsSignedInAsAUser(t *testing.T) {
	t.Parallel()
	eachStrategy(t, func(t *testing.T, w *fixture) {
		w, s := required(t, w)
		ann := s.signedIn(t, w, "ann")
		admin, member := w.userOf(t, "tenant-0", "admin"), w.userOf(t, "tenant-0", "member")
		for _, wrong := range []url.Values{{"user": {fmtID(admin.ID)}}, {"reason": {"x"}}, {"user": {"999999"}, "reason": {"x"}}, {"user": {fmtID(admin.ID)}, "reason": {strings.Repeat("x", 201)}}} {
			require.Equal(t, 422, ann.post(t, "localhost/tenants/tenant-0/sign-in-as", wrong).status, wrong)
		}
		address, secret := ann.linkAs(t, w, "tenant-0", admin)
		form := url.Values{"link": {secret}}
		require.Equal(t, 404, ann.get(t, strings.Replace(address, "tenant-0", "tenant-1", 1)).status, "at another tenant")
		require.Equal(t, 404, ann.post(t, "tenant-1.localhost/sign-in-as/", form).status)
		for range 2 { // looking uses nothing up
			page := ann.get(t, address)
			require.Equal(t, 200, page.status)
			require.Contains(t, page.body, "ticket &lt;12&gt;")
		}
		require.Equal(t, 303, ann.post(t, "tenant-0.localhost/sign-in-as/", form).status)
		require.Equal(t, 404, s.person(t).post(t, "tenant-0.localhost/sign-in-as/", form).status, "a second time")
		require.Equal(t, 404, s.person(t).get(t, address).status)

		for _, path := range []string{"subtasks/", "projects/", "users/", "nothing/"} {
			require.Regexp(t, `(?s)<strong><bdi>ann</bdi></strong> is signed in as <strong><bdi>.*</bdi></strong> until \d\d:\d\d UTC`, ann.get(t, "tenant-0.localhost/"+path).body, path)
		}
		for _, path := range []string{"account/password/", "account/tokens/"} {
			require.Equal(t, 403, ann.get(t, "tenant-0.localhost/"+path).status, path)
		}
		refused := map[string]url.Values{
			"account/password/": {"old": {seed.Password}, "password": {"a new password"}}, "account/tokens/": {"name": {"later"}},
			"users/":                                {"email": {"new@example.com"}, "first_name": {"N"}, "last_name": {"W"}, "role": {"admin"}},
			"users/" + fmtID(member.ID) + "/role":   {"role": {"admin"}},
			"users/" + fmtID(member.ID) + "/active": {"active": {"false"}},
			"users/" + fmtID(member.ID) + "/link":   {},
		}
		for path, form := range refused {
			require.Equal(t, 403, ann.post(t, "tenant-0.localhost/"+path, form).status, path)
		}
		require.Equal(t, w.users(t, "tenant-0")[0].Role, "admin")

		user := s.person(t)
		require.Equal(t, 303, user.post(t, "tenant-0.localhost/sign-in/", url.Values{"email": {admin.Email}, "password": {seed.Password}}).status)
		seen := user.get(t, "tenant-0.localhost/users/")
		require.Contains(t, seen.body, "The operator <bdi>ann</bdi> is signed in as <bdi>"+admin.Email+"</bdi>")
		require.NotContains(t, seen.body, "signed-in-as", "the user is not the operator")

		session := ann.cookie(t, "tenant-0.localhost", "session")
		require.Equal(t, 303, ann.post(t, "tenant-0.localhost/sign-out", nil).status)
		require.Equal(t, 303, s.person(t).get(t, "tenant-0.localhost/subtasks/", "Cookie: session="+session).status, "it has ended")
		log := w.ok(t, "tenants", "log", "tenant-0")
		require.Regexp(t, `ann +sign in as: end +tenant-0 +done +`+admin.Email+`\n(?s).*ann +sign in as +tenant-0 +done +`+admin.Email+` until \d\d:\d\d UTC: ticket <12>\n`, log)
		require.Zero(t, s.end(t))
	})
}

// A session as a user ends by itself, and with its operator; a link ends with the operator too.
func TestSignedInAsAUserEnds(t *testing.T) {
	t.Parallel()
	w, s := required(t, newFixture(t, config.SingleSchema))
	ann := s.signedIn(t, w, "ann")
	member := w.userOf(t, "tenant-0", "member")
	begin := func() {
		t.Helper()
		_, secret := ann.linkAs(t, w, "tenant-0", member)
		require.Equal(t, 303, ann.post(t, "tenant-0.localhost/sign-in-as/", url.Values{"link": {secret}}).status)
		require.Equal(t, 200, ann.get(t, "tenant-0.localhost/subtasks/").status)
	}
	begin()
	require.Equal(t, 1, w.count(t, "select count(*) from sessions where operator = 'ann' and expires_at - now() between interval '29 minutes' and interval '30 minutes'"))
	w.db.Exec(t, pgtest.Owner, "update sessions set expires_at = now()")
	require.Equal(t, 303, ann.get(t, "tenant-0.localhost/subtasks/").status)

	begin()
	address, secret := ann.linkAs(t, w, "tenant-0", member)
	w.ok(t, "operators", "remove", "ann")
	require.Equal(t, 303, ann.get(t, "tenant-0.localhost/subtasks/").status)
	require.Equal(t, 404, s.person(t).get(t, address).status)
	require.Equal(t, 404, s.person(t).post(t, "tenant-0.localhost/sign-in-as/", url.Values{"link": {secret}}).status)
	require.Equal(t, 303, ann.get(t, "localhost/tenants/").status)
	w.ok(t, "operators", "add", "ann")
	require.Equal(t, 303, ann.get(t, "localhost/tenants/").status, "a session of the former one")
	require.Zero(t, s.end(t))

	without := w.with("PGOWNER=").serve(t) // which cannot know whether the operator is still one
	bob := without.person(t)
	require.Equal(t, 404, bob.get(t, "localhost/sign-in/").status)
	require.Equal(t, 404, bob.get(t, address).status)
	require.Equal(t, 501, bob.get(t, "localhost/tenants/").status)
	require.Equal(t, 303, bob.get(t, "tenant-0.localhost/subtasks/", "Cookie: session="+ann.cookie(t, "tenant-0.localhost", "session")).status)
	require.Zero(t, without.end(t))
}

// On one's own server reading may be open, as SIGN_IN says, and what changes something asks who it is all the same.
func TestOnlyOperatorsChangeTenantsWhereReadingIsOpen(t *testing.T) {
	t.Parallel()
	w := newFixture(t, config.SingleSchema)
	w.ok(t, "migrate")
	w.ok(t, "seed")
	s := w.serve(t)
	p := s.person(t)
	for _, path := range []string{"tenants/", "tenants.json", "subtasks/"} {
		require.Equal(t, 200, p.get(t, "localhost/"+path).status, path)
	}
	require.NotContains(t, p.get(t, "localhost/tenants/").body, "Create a tenant")
	require.Equal(t, 303, p.get(t, "localhost/tenants/tenant-0/").status)
	for _, path := range []string{"tenants/", "tenants/tenant-0/suspend", "tenants/tenant-0/sign-in-as"} {
		require.Equal(t, 303, p.post(t, "localhost/"+path, url.Values{"slug": {"acme"}}).status, path)
	}
	require.Equal(t, 1, w.count(t, "select count(*) from control.tenants where state = 'active'"))
	require.Zero(t, s.end(t))
}

// In the demo everybody looks after the tenants, in the name of who runs it.
func TestTheDemoIsOpen(t *testing.T) {
	t.Parallel()
	w := private(t, config.SingleSchema)
	s := w.serve(t)
	p := s.person(t)
	require.Equal(t, "/tenants/acme/", p.post(t, "localhost/tenants/", url.Values{"slug": {"acme"}}).location)
	require.Equal(t, 303, p.post(t, "localhost/tenants/acme/suspend", nil).status)
	_, secret := p.linkAs(t, w, "tenant-0", w.userOf(t, "tenant-0", "admin"))
	require.Equal(t, 303, p.post(t, "tenant-0.localhost/sign-in-as/", url.Values{"link": {secret}}).status)
	require.Contains(t, p.get(t, "tenant-0.localhost/subtasks/").body, "is signed in as")
	require.Equal(t, 403, p.post(t, "localhost/tenants/tenant-0/suspend", nil, "Sec-Fetch-Site: cross-site", "Origin: https://example.com").status)
	require.Regexp(t, `\S+@\S+ +suspend +acme +done`, w.ok(t, "tenants", "log"))
	require.Zero(t, s.end(t))
}

func fmtID(id int64) string { return strconv.FormatInt(id, 10) }
