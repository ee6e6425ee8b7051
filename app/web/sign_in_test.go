package web

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tenanted/models"
	"tenanted/scopes/pgtest"
)

const adminEmail = "u1@example.com"

// eachConfiguration runs a test in each, beside one another.
func eachConfiguration(t *testing.T, change func(*Options), test func(t *testing.T, w *fixture)) {
	t.Parallel()
	for _, configuration := range configurations {
		t.Run(configuration, func(t *testing.T) {
			t.Parallel()
			test(t, newFixture(t, configuration, change))
		})
	}
}

// signIn sends the form, and returns the answer.
func (w *fixture) signIn(t testing.TB, tenant int, email, password string, headers ...string) *http.Response {
	t.Helper()
	if !slices.ContainsFunc(headers, saysWho) {
		headers = append(headers, nobody)
	}
	body := url.Values{"email": {email}, "password": {password}, "next": {"/projects/?q=x"}}.Encode()
	return w.send(t, fmt.Sprintf("POST tenant-%d.localhost %s", tenant, signInPath), body, append(headers, form)...)
}

// cookieOf returns the session's cookie that an answer sets.
func cookieOf(t testing.TB, response *http.Response) *http.Cookie {
	t.Helper()
	for _, cookie := range response.Cookies() {
		if strings.HasSuffix(cookie.Name, "session") {
			return cookie
		}
	}
	t.Fatalf("status %d sets no session's cookie: %v", response.StatusCode, response.Header)
	return nil
}

// isSignedIn reports who reads a page of the tenant with a header, "" for nobody.
func (w *fixture) isSignedIn(t testing.TB, tenant int, headers ...string) string {
	t.Helper()
	_, rest, _ := strings.Cut(w.page(t, fmt.Sprintf("GET tenant-%d.localhost /subtasks/?size=10", tenant), headers...), `class="switch reader"`)
	_, rest, _ = strings.Cut(rest, "<bdi>")
	name, _, _ := strings.Cut(rest, "</bdi>")
	return name
}

func TestSignInAndOut(t *testing.T) {
	eachConfiguration(t, nil, func(t *testing.T, w *fixture) {
		for tenant := range 2 { // the same email in both
			answer := w.signIn(t, tenant, adminEmail, passwordOf(tenant))
			require.Equal(t, 303, answer.StatusCode)
			require.Equal(t, "/projects/?q=x", answer.Header.Get("Location"))
			require.Equal(t, "no-store", answer.Header.Get("Cache-Control"))
			cookie := cookieOf(t, answer)
			require.Equal(t, []any{"session", "/", "", true, false, http.SameSiteLaxMode},
				[]any{cookie.Name, cookie.Path, cookie.Domain, cookie.HttpOnly, cookie.Secure, cookie.SameSite})
			header := "Cookie: session=" + cookie.Value
			require.Equal(t, fmt.Sprintf("U1 of %d", tenant), w.isSignedIn(t, tenant, header))
			require.Empty(t, w.isSignedIn(t, 1-tenant, header), "at the other tenant's address")

			out := w.send(t, fmt.Sprintf("POST tenant-%d.localhost /sign-out", tenant), "", header)
			require.Equal(t, 303, out.StatusCode)
			require.Negative(t, cookieOf(t, out).MaxAge)
			require.Empty(t, w.isSignedIn(t, tenant, header), "the cookie that a thief has kept")
		}
	})
}

// To be somebody costs one statement a page, and to be nobody none.
func TestStatementsOfAPage(t *testing.T) {
	eachConfiguration(t, nil, func(t *testing.T, w *fixture) {
		statements := func(header string) int64 {
			before := w.sent.count.Load()
			w.page(t, "GET tenant-0.localhost /subtasks/", header)
			return w.sent.count.Load() - before
		}
		ofNobody := statements(nobody)
		require.Positive(t, ofNobody)
		require.Equal(t, ofNobody+1, statements(w.as(t, 0, memberID)))
		secret, err := w.site.Models.APITokens(models.WithActor(w.tenantContext(t, 0), models.Actor{UserID: memberID})).Create(memberID, "x")
		require.NoError(t, err)
		require.Equal(t, ofNobody+1, statements("Authorization: Bearer "+secret))
	})
}

func TestCookieOverTLS(t *testing.T) {
	t.Parallel()
	w := newFixture(t, single, nil)
	const tls = "X-Forwarded-Proto: https"
	cookie := cookieOf(t, w.signIn(t, 0, adminEmail, passwordOf(0), tls))
	require.Equal(t, []any{"__Host-session", "/", "", true, true}, []any{cookie.Name, cookie.Path, cookie.Domain, cookie.HttpOnly, cookie.Secure})
	page := func(name string) string {
		return w.page(t, "GET tenant-0.localhost /subtasks/", tls, "Cookie: "+name+"="+cookie.Value)
	}
	require.Contains(t, page("__Host-session"), "U1 of 0")
	require.NotContains(t, page("session"), "U1 of 0", "another host below the same domain may have set that one")
}

// What the browser was given before is not the session afterwards, whether it is nobody's or the attacker's own.
func TestSessionFixation(t *testing.T) {
	eachConfiguration(t, nil, func(t *testing.T, w *fixture) {
		attackers := w.newSession(t, 0, memberID)
		for _, planted := range []string{"planted", attackers} {
			header := "Cookie: session=" + planted
			mine := cookieOf(t, w.signIn(t, 0, adminEmail, passwordOf(0), header)).Value
			require.NotEqual(t, planted, mine)
			require.Equal(t, "U1 of 0", w.isSignedIn(t, 0, "Cookie: session="+mine))
			require.Empty(t, w.isSignedIn(t, 0, header), "whoever planted it is signed in by it")
		}
	})
}

// A session ends with the password, the user's right to sign in, and its time. A role counts from the next request on.
func TestSessionsEnd(t *testing.T) {
	eachConfiguration(t, nil, func(t *testing.T, w *fixture) {
		here, there, admin := w.as(t, 0, memberID), w.as(t, 0, memberID), w.as(t, 0, adminID)
		elsewhere := w.as(t, 1, memberID)
		change := func(old string) *http.Response {
			return w.send(t, "POST tenant-0.localhost /account/password/", url.Values{"old": {old}, "password": {"a new password"}, "role": {"admin"}}.Encode(), form, here)
		}
		wrong := change("wrong")
		require.Equal(t, 422, wrong.StatusCode)
		require.Contains(t, bodyOf(t, wrong), `aria-describedby="problem-old"`)
		changed := change(passwordOf(0))
		require.Equal(t, 303, changed.StatusCode)
		require.Empty(t, w.isSignedIn(t, 0, here))
		require.Empty(t, w.isSignedIn(t, 0, there), "another browser")
		renewed := "Cookie: session=" + cookieOf(t, changed).Value
		require.Equal(t, "U2 of 0", w.isSignedIn(t, 0, renewed))
		require.Equal(t, 403, w.send(t, "POST tenant-0.localhost /users/1/role", "role=member", form, renewed).StatusCode, "a role from a form about something else")

		require.Equal(t, 303, w.send(t, "POST tenant-0.localhost /users/2/role", "role=admin", form, admin).StatusCode)
		require.Equal(t, 303, w.send(t, "POST tenant-0.localhost /users/1/role", "role=member", form, renewed).StatusCode, "by the one who is an admin now")
		require.Equal(t, 403, w.send(t, "POST tenant-0.localhost /users/2/active", "active=false", form, admin).StatusCode, "by the one who is not")
		require.Equal(t, 303, w.send(t, "POST tenant-0.localhost /users/1/active", "active=false", form, renewed).StatusCode)
		require.Empty(t, w.isSignedIn(t, 0, admin), "deactivated")
		require.Equal(t, 422, w.signIn(t, 0, adminEmail, passwordOf(0)).StatusCode)
		require.Equal(t, 409, w.send(t, "POST tenant-0.localhost /users/2/active", "active=false", form, renewed).StatusCode, "the last admin")
		require.Equal(t, "U2 of 1", w.isSignedIn(t, 1, elsewhere), "the other tenant's user of that id")
	})
}

func TestSuspendedTenantsSignNobodyIn(t *testing.T) {
	t.Parallel()
	w := newFixture(t, single, nil)
	require.Equal(t, 503, w.ask(t, "GET asleep.localhost /subtasks/", w.as(t, 0, adminID)).StatusCode)
	require.Equal(t, 503, w.send(t, "POST asleep.localhost /sign-in/", "email=u1@example.com&password=x", form).StatusCode)
}

// Who may do what, in each tenant, by a session and by a token: role × operation × tenant.
func TestPermissions(t *testing.T) {
	eachConfiguration(t, nil, func(t *testing.T, w *fixture) {
		tokenOf := func(tenant int, user int64) string {
			ctx := models.WithActor(w.tenantContext(t, tenant), models.Actor{UserID: user, Role: models.Member})
			secret, err := w.site.Models.APITokens(ctx).Create(user, "test")
			require.NoError(t, err)
			return "Authorization: Bearer " + secret
		}
		for tenant := range 2 {
			who := map[string]string{"nobody": nobody,
				"member": w.as(t, tenant, memberID), "admin": w.as(t, tenant, adminID), "the other tenant's admin": w.as(t, 1-tenant, adminID),
				"member's token": tokenOf(tenant, memberID), "admin's token": tokenOf(tenant, adminID), "the other tenant's token": tokenOf(1-tenant, adminID)}
			for _, test := range []struct {
				line, body string
				want       map[string]int
			}{
				{"POST /subtask/1/complete", "complete=true", map[string]int{"nobody": 303, "member": 200, "admin": 200, "the other tenant's admin": 303,
					"member's token": 200, "admin's token": 200, "the other tenant's token": 401}},
				{"GET /users/", "", map[string]int{"nobody": 303, "member": 200, "admin": 200, "the other tenant's admin": 303,
					"member's token": 200, "admin's token": 200, "the other tenant's token": 401}},
				{"POST /users/2/role", "role=member", map[string]int{"nobody": 303, "member": 403, "admin": 200, "the other tenant's admin": 303,
					"member's token": 403, "admin's token": 403, "the other tenant's token": 401}},
				{"POST /users/2/link", "", map[string]int{"nobody": 303, "member": 403, "admin": 201, "the other tenant's admin": 303,
					"member's token": 403, "admin's token": 403, "the other tenant's token": 401}},
				{"GET /account/tokens/", "", map[string]int{"nobody": 303, "member": 200, "admin": 200, "the other tenant's admin": 303,
					"member's token": 403, "admin's token": 403, "the other tenant's token": 401}},
			} {
				for name, header := range who {
					method, path, _ := strings.Cut(test.line, " ")
					answer := w.send(t, fmt.Sprintf("%s tenant-%d.localhost %s", method, tenant, path), test.body, form, header)
					status := answer.StatusCode
					if led := answer.Header.Get("Location"); status == 303 && !strings.HasPrefix(led, signInPath) {
						status = 200 // done, and led back
					}
					require.Equal(t, test.want[name], status, "%s at tenant-%d: %s", name, tenant, test.line)
				}
			}
		}
	})
}

// Another host below the same domain is the same site for a browser, which sends cookies along. Nothing is changed from there.
func TestForgedRequestsFromSiblings(t *testing.T) {
	t.Parallel()
	w := newFixture(t, single, nil)
	admin := w.as(t, 0, adminID)
	posts := 0
	for _, route := range w.site.router().Routes() {
		if route.Method != http.MethodPost {
			continue
		}
		posts++
		path := strings.Replace(route.Path, ":id", "2", 1)
		for _, from := range [][]string{{"Sec-Fetch-Site: same-site"}, {"Sec-Fetch-Site: cross-site"}, {"Origin: http://tenant-1.localhost"},
			{"Origin: null"}, {"Origin: http://localhost"}, {"Sec-Fetch-Site: same-site", "Origin: http://tenant-1.localhost"}} {
			headers := append([]string{admin, form}, from...)
			answer := w.send(t, "POST tenant-0.localhost "+path, "role=admin&active=false&complete=true&name=x&email=u1@example.com&password="+passwordOf(0), headers...)
			require.Equal(t, 403, answer.StatusCode, "%s %v", path, from)
			require.Empty(t, answer.Cookies(), path)
		}
	}
	require.Greater(t, posts, 8)
	var changed int
	require.NoError(t, w.db.Connect(t, pgtest.Owner).QueryRow(t.Context(), `select count(*) from users where role = 'admin' and id = 2 or deactivated_at is not null`).Scan(&changed))
	require.Zero(t, changed)
}

// An email that nobody has is answered as one that somebody has, with the same text and after the same work.
func TestEmailsCannotBeFoundOut(t *testing.T) {
	t.Parallel()
	w := newFixture(t, single, nil)
	w.db.Exec(t, pgtest.Owner, `insert into users (account_id, id, email, first_name, last_name, password_hash, deactivated_at)
		select 1, 50, 'gone@example.com', 'G', 'One', password_hash, now() from users where account_id = 1 and id = 1`)
	w.db.Exec(t, pgtest.Owner, `insert into users (account_id, id, email, first_name, last_name, password_hash) values (1, 51, 'invited@example.com', 'I', 'N', '')`)
	emails := []string{adminEmail, "nobody@example.com", "gone@example.com", "invited@example.com"}
	least, text := map[string]time.Duration{}, ""
	took := func(what string, begin time.Time) {
		if took := time.Since(begin); least[what] == 0 || took < least[what] {
			least[what] = took
		}
	}
	for range 8 { // in turn, so that what else the machine does is the same for all
		begin := time.Now()
		models.HashPassword("wrong", []byte("any salt will do"))
		took("a hash", begin)
		for _, email := range emails {
			begin := time.Now()
			answer := w.signIn(t, 0, email, "wrong")
			took(email, begin)
			require.Equal(t, 422, answer.StatusCode)
			body := strings.ReplaceAll(bodyOf(t, answer), email, "EMAIL")
			require.Contains(t, body, "EMAIL")
			require.True(t, text == "" || text == body, "%s is answered otherwise: %s", email, body)
			text = body
		}
	}
	for _, email := range emails { // without a hash it takes a twentieth; a busy machine makes each least a matter of luck
		require.Greater(t, least[email], least["a hash"]/5, "%s is answered without trying a hash", email)
	}
}

func TestTooManyAttempts(t *testing.T) {
	eachConfiguration(t, nil, func(t *testing.T, w *fixture) {
		for range 10 {
			require.Equal(t, 422, w.signIn(t, 0, "nobody@example.com", "wrong").StatusCode)
		}
		answer := w.signIn(t, 0, "nobody@example.com", "wrong")
		require.Equal(t, 429, answer.StatusCode)
		require.Contains(t, bodyOf(t, answer), "Too many attempts. Try again in 15 minutes.")
		require.Equal(t, 303, w.signIn(t, 0, adminEmail, passwordOf(0)).StatusCode, "somebody else")
		require.Equal(t, 422, w.signIn(t, 1, "nobody@example.com", "wrong").StatusCode, "elsewhere")
	})
}

// Fields that a form does not have change nothing, and ids of another tenant's rows are nobody's.
func TestFieldsThatAreNotTheirs(t *testing.T) {
	eachConfiguration(t, nil, func(t *testing.T, w *fixture) {
		admin0, admin1, member0 := w.as(t, 0, adminID), w.as(t, 1, adminID), w.as(t, 0, memberID)
		users := func(tenant int) (emails []string) {
			found, _, err := w.site.Models.Users(w.tenantContext(t, tenant)).Page("", 1, 100)
			require.NoError(t, err)
			for _, u := range found {
				require.Equal(t, models.AccountID(w.tenants[tenant]), u.AccountID)
				emails = append(emails, fmt.Sprintf("%s %s", u.Email, u.Role))
			}
			return emails
		}
		before := users(1)
		invite := url.Values{"email": {"eve@example.com"}, "first_name": {"Eve"}, "last_name": {"E"}, "role": {"member"}, "account_id": {"2"}, "AccountID": {"2"}, "id": {"1"}, "password_hash": {"x"}}
		require.Equal(t, 403, w.send(t, "POST tenant-0.localhost /users/", invite.Encode(), form, member0).StatusCode)
		require.Equal(t, 201, w.send(t, "POST tenant-0.localhost /users/?account_id=2", invite.Encode(), form, admin0).StatusCode)
		require.Equal(t, before, users(1))
		require.Equal(t, []string{"eve@example.com member", "u1@example.com admin", "u2@example.com member"}, users(0))
		invite.Set("role", "owner")
		require.Equal(t, 422, w.send(t, "POST tenant-0.localhost /users/", invite.Encode(), form, admin0).StatusCode)

		// A user, a token and a link that tenant-1 alone has.
		ctx := models.WithActor(w.tenantContext(t, 1), models.Actor{UserID: adminID, Role: models.Admin})
		theirs := models.User{ID: 5000, Email: "theirs@example.com", Role: models.Member}
		require.NoError(t, w.gorm.WithContext(ctx).Create(&theirs).Error)
		_, err := w.site.Models.APITokens(ctx).Create(adminID, "theirs")
		require.NoError(t, err)
		_, link, err := w.site.Models.Users(ctx).NewReset(theirs.ID)
		require.NoError(t, err)
		before = users(1)
		for _, action := range []string{"role", "active", "link"} {
			line := fmt.Sprintf("POST tenant-0.localhost /users/%d/%s", theirs.ID, action)
			require.Equal(t, 404, w.send(t, line, "role=admin&active=false", form, admin0).StatusCode, action)
		}
		tokens, err := w.site.Models.APITokens(ctx).Of(adminID)
		require.NoError(t, err)
		w.send(t, fmt.Sprintf("POST tenant-0.localhost /account/tokens/%d/revoke", tokens[0].ID), "", form, admin0)
		require.Equal(t, 404, w.ask(t, "GET tenant-0.localhost "+ResetPath(link)).StatusCode)
		require.Equal(t, 404, w.send(t, "POST tenant-0.localhost /reset/", url.Values{"link": {link}, "password": {"a new password"}}.Encode(), form, nobody).StatusCode)
		require.Equal(t, before, users(1))
		tokens, err = w.site.Models.APITokens(ctx).Of(adminID)
		require.NoError(t, err)
		require.Len(t, tokens, 1)
		require.Equal(t, 200, w.ask(t, "GET tenant-1.localhost "+ResetPath(link)).StatusCode, "it is still good where it belongs")
		require.Equal(t, 201, w.send(t, fmt.Sprintf("POST tenant-1.localhost /users/%d/link", theirs.ID), "", form, admin1).StatusCode)
	})
}

// A page of somebody's is never another one's from a cache.
func TestPagesOfPeopleAreTheirOwn(t *testing.T) {
	eachConfiguration(t, nil, func(t *testing.T, w *fixture) {
		for _, path := range []string{"/subtasks/", "/subtasks.json", "/projects/", "/users/"} {
			line := "GET tenant-0.localhost " + path
			tags := map[string]bool{}
			for _, who := range []string{w.as(t, 0, adminID), w.as(t, 0, memberID), nobody} {
				answer := w.ask(t, line, who)
				if answer.StatusCode == 303 { // to the sign-in
					require.Equal(t, "no-store", answer.Header.Get("Cache-Control"))
					continue
				}
				require.Equal(t, 200, answer.StatusCode)
				require.Equal(t, "private, no-cache", answer.Header.Get("Cache-Control"), path)
				for _, name := range []string{"Cookie", "Authorization", "Accept"} {
					require.Contains(t, strings.Join(answer.Header.Values("Vary"), ", "), name)
				}
				tag := answer.Header.Get("ETag")
				require.False(t, tags[tag], "%s has one ETag for two people", path)
				tags[tag] = true
				require.Equal(t, 304, w.ask(t, line, who, "If-None-Match: "+tag).StatusCode)
				require.Equal(t, 200, w.ask(t, line, w.as(t, 0, memberID), "If-None-Match: W/\"x\"").StatusCode)
			}
		}
	})
}

// Where reading needs somebody, there is no page for nobody: each route is asked for.
func TestSignInRequired(t *testing.T) {
	change := func(o *Options) {
		o.SignInRequired, o.List, o.AllTenants, o.WithIDs = true, nil, false, nil
		o.Explain = explained{}
	}
	eachConfiguration(t, change, func(t *testing.T, w *fixture) {
		open := []string{"/healthz", "/readyz", "/metrics", staticPrefix + ":name", "/sign-in", signInPath, "/sign-out", resetPath, signInAsPath}
		asked := 0
		for _, route := range w.site.router().Routes() {
			if route.Method == http.MethodOptions || slices.Contains(open, route.Path) {
				continue
			}
			asked++
			path := strings.NewReplacer(":id", "1", ":number", "1").Replace(route.Path)
			answer := w.send(t, route.Method+" tenant-0.localhost "+path, "", nobody)
			if strings.HasSuffix(path, ".json") {
				require.Equal(t, 401, answer.StatusCode, route.Path)
				require.Equal(t, "Bearer", answer.Header.Get("WWW-Authenticate"))
				continue
			}
			require.Equal(t, 303, answer.StatusCode, "%s %s", route.Method, route.Path)
			require.True(t, strings.HasPrefix(answer.Header.Get("Location"), signInPath), route.Path)
			require.Empty(t, bodyOf(t, w.ask(t, "HEAD tenant-0.localhost "+path)))
		}
		require.Greater(t, asked, 20)
		require.Equal(t, "/sign-in/?next=%2Fsubtasks%2F2%2F%3Fq%3Dx", w.ask(t, "GET tenant-0.localhost /subtasks/2/?q=x").Header.Get("Location"))
		require.Equal(t, 200, w.ask(t, "GET tenant-0.localhost /subtasks/", w.as(t, 0, memberID)).StatusCode)
		require.Equal(t, 303, w.ask(t, "GET tenant-1.localhost /subtasks/", w.as(t, 0, memberID)).StatusCode)
		for path, status := range map[string]int{"/tenants/": 501, "/tenants.json": 501, "/subtasks/": 404, "/subtasks.json": 404, "/users/": 404, "/sign-in/": 404} {
			require.Equal(t, status, w.ask(t, "GET localhost "+path, w.as(t, 0, adminID)).StatusCode, "on the bare domain: "+path)
		}
	})
}

// explained has the routes of an Explainer, which nobody gets to.
type explained struct{ Explainer }

func (explained) Record(ctx context.Context, _ string) (context.Context, func()) {
	return ctx, func() {}
}

func TestSignInLeadsNowhereElse(t *testing.T) {
	t.Parallel()
	w := newFixture(t, single, nil)
	for next, want := range map[string]string{
		"/subtasks/2/?q=a%20b": "/subtasks/2/?q=a%20b",
		"//evil.com/":          "/", "https://evil.com/": "/", "/\\evil.com": "/", "/%5cevil.com": "/%5cevil.com", "javascript:alert(1)": "/", "": "/", "subtasks": "/",
		"/sign-out": "/", "/sign-in/?next=/": "/", "/.//evil.com": "/evil.com", "/\t/evil.com": "/", "/" + strings.Repeat("x", 3000): "/", "///evil.com": "/",
		"/x\r\nSet-Cookie: a=b": "/",
	} {
		body := url.Values{"email": {adminEmail}, "password": {passwordOf(0)}, "next": {next}}.Encode()
		answer := w.send(t, "POST tenant-0.localhost /sign-in/", body, form, nobody)
		require.Equal(t, 303, answer.StatusCode)
		require.Equal(t, want, answer.Header.Get("Location"), next)
	}
	for referer, want := range map[string]string{
		"http://tenant-0.localhost/subtasks/?page=2": "/sign-in/?next=%2Fsubtasks%2F%3Fpage%3D2",
		"http://tenant-1.localhost/subtasks/":        "/sign-in/",
		"http://evil.com/":                           "/sign-in/",
		"x":                                          "/sign-in/",
	} {
		answer := w.send(t, "POST tenant-0.localhost /subtask/1/complete", "complete=true", form, nobody, "Referer: "+referer)
		require.Equal(t, want, answer.Header.Get("Location"), referer)
	}
}

// recorded keeps which pages were recorded to be explained.
type recorded struct {
	Explainer
	pages *[]string
}

func (r recorded) Record(ctx context.Context, page string) (context.Context, func()) {
	*r.pages = append(*r.pages, page)
	return ctx, func() {}
}

// What is explained to everybody is no page whose address lets somebody in.
func TestLinksAreNotExplained(t *testing.T) {
	t.Parallel()
	var pages []string
	w := newFixture(t, single, func(o *Options) { o.Explain = recorded{pages: &pages} })
	w.ask(t, "GET tenant-0.localhost /reset/?link=SECRET")
	w.page(t, "GET tenant-0.localhost /sign-in/")
	w.page(t, "GET tenant-0.localhost /projects/")
	require.Equal(t, []string{"/projects/"}, pages)
}

// What PostgreSQL takes for no text is no mistake of ours.
func TestBytesThatAreNoText(t *testing.T) {
	t.Parallel()
	w := newFixture(t, single, nil)
	for _, route := range w.site.router().Routes() {
		if route.Method != http.MethodPost {
			continue
		}
		for _, value := range []string{"a\x00b", "\xff\xfe", "\x00@example.com"} {
			fields := url.Values{}
			for _, name := range []string{"email", "password", "old", "next", "name", "first_name", "last_name", "role", "active", "link", "complete"} {
				fields.Set(name, value)
			}
			path := strings.Replace(route.Path, ":id", "2", 1)
			require.Less(t, w.send(t, "POST tenant-0.localhost "+path, fields.Encode(), form, w.as(t, 0, adminID)).StatusCode, 500, "%s %q", path, value)
		}
	}
	require.Equal(t, 404, w.ask(t, "GET tenant-0.localhost /reset/?link=%00").StatusCode)
	require.Equal(t, 200, w.ask(t, "GET tenant-0.localhost /sign-in/?next=%00").StatusCode)
	require.Empty(t, w.isSignedIn(t, 0, "Cookie: session=%00"))
	require.Equal(t, 401, w.ask(t, "GET tenant-0.localhost /subtasks/", "Authorization: Bearer \xff").StatusCode)
}

// The demo's button is the form with a password that everybody knows.
func TestDemoUsers(t *testing.T) {
	t.Parallel()
	w := newFixture(t, single, func(o *Options) { o.DemoPassword = passwordOf(0) })
	page := w.page(t, "GET tenant-0.localhost /sign-in/")
	require.Contains(t, page, "Sign in as <bdi>U1 of 0, admin</bdi>")
	require.Contains(t, page, "Sign in as <bdi>U2 of 0, member</bdi>")
	require.NotContains(t, newFixture(t, single, nil).page(t, "GET tenant-0.localhost /sign-in/"), passwordOf(0))
	require.Equal(t, 422, w.signIn(t, 1, adminEmail, passwordOf(0)).StatusCode, "who has another password is nobody's demo user")
}

// A token is shown once, works for its user, and is gone when it is revoked.
func TestTokensOfPeople(t *testing.T) {
	eachConfiguration(t, nil, func(t *testing.T, w *fixture) {
		me := w.as(t, 0, memberID)
		made := w.send(t, "POST tenant-0.localhost /account/tokens/", "name=backup", form, me)
		require.Equal(t, 201, made.StatusCode)
		require.Equal(t, "no-store", made.Header.Get("Cache-Control"))
		_, rest, _ := strings.Cut(bodyOf(t, made), "<code>tnd_")
		secret, _, _ := strings.Cut(rest, "</code>")
		bearer := "Authorization: Bearer tnd_" + secret
		require.NotContains(t, w.page(t, "GET tenant-0.localhost /account/tokens/", me), secret)
		require.Equal(t, 200, w.send(t, "POST tenant-0.localhost /subtask/1/complete", `{"complete": true}`, "Content-Type: application/json", bearer).StatusCode)
		require.Equal(t, 401, w.ask(t, "GET tenant-1.localhost /subtasks.json", bearer).StatusCode)
		for _, wrong := range []string{"Authorization: Bearer", "Authorization: Bearer tnd_x", "Authorization: bearer  "} {
			require.Equal(t, 401, w.ask(t, "GET tenant-0.localhost /subtasks.json", wrong, me).StatusCode, "%s is not nobody, nor whom the cookie names", wrong)
		}
		require.Equal(t, "U2 of 0", w.isSignedIn(t, 0, me, "Authorization: Basic dTE6eA=="), "what a proxy in front asks for")
		_, rest, _ = strings.Cut(w.page(t, "GET tenant-0.localhost /account/tokens/", me), `action="/account/tokens/`)
		id, _, _ := strings.Cut(rest, "/")
		require.Equal(t, 303, w.send(t, "POST tenant-0.localhost /account/tokens/"+id+"/revoke", "", w.as(t, 0, adminID)).StatusCode)
		require.Equal(t, 200, w.ask(t, "GET tenant-0.localhost /subtasks.json", bearer).StatusCode, "revoked by somebody else")
		require.Equal(t, 303, w.send(t, "POST tenant-0.localhost /account/tokens/"+id+"/revoke", "", me).StatusCode)
		require.Equal(t, 401, w.ask(t, "GET tenant-0.localhost /subtasks.json", bearer).StatusCode)
		empty := w.send(t, "POST tenant-0.localhost /account/tokens/", "name=", form, me)
		require.Equal(t, 422, empty.StatusCode)
		require.Contains(t, bodyOf(t, empty), "A name is needed.")
	})
}

// An invitation is a link that is shown once, to look at it uses nothing, and whoever has it is signed in once a password is chosen.
func TestInvitation(t *testing.T) {
	eachConfiguration(t, nil, func(t *testing.T, w *fixture) {
		invited := w.send(t, "POST tenant-0.localhost /users/", "email=Eve@Example.com&first_name=Eve&last_name=East&role=member", form, w.as(t, 0, adminID))
		require.Equal(t, 201, invited.StatusCode)
		_, rest, _ := strings.Cut(bodyOf(t, invited), "<code>http://tenant-0.localhost/reset/?link=")
		link, _, _ := strings.Cut(rest, "</code>")
		require.Len(t, link, 26)
		for range 2 {
			form := w.ask(t, "GET tenant-0.localhost /reset/?link="+link)
			require.Contains(t, bodyOf(t, form), "eve@example.com")
			require.Equal(t, []string{"no-store", "no-referrer"}, []string{form.Header.Get("Cache-Control"), form.Header.Get("Referrer-Policy")})
		}
		choose := func(password string) *http.Response {
			return w.send(t, "POST tenant-0.localhost /reset/", url.Values{"link": {link}, "password": {password}}.Encode(), form, nobody)
		}
		short := choose("short")
		require.Equal(t, 422, short.StatusCode)
		require.Contains(t, bodyOf(t, short), "A password has at least 8 letters.")
		chosen := choose("a long password")
		require.Equal(t, 303, chosen.StatusCode)
		require.Equal(t, "Eve East", w.isSignedIn(t, 0, "Cookie: session="+cookieOf(t, chosen).Value))
		require.Equal(t, 404, choose("another password").StatusCode)
		require.Equal(t, 303, w.signIn(t, 0, "EVE@example.com", "a long password").StatusCode)
		taken := w.send(t, "POST tenant-0.localhost /users/", "email=eve@example.com&first_name=Eve&last_name=West&role=member", form, w.as(t, 0, adminID))
		require.Equal(t, 422, taken.StatusCode)
		page := bodyOf(t, taken)
		require.Contains(t, page, "There is a user with this email already.")
		require.Contains(t, page, `value="West"`, "what was written is kept")
	})
}

func TestClientAddress(t *testing.T) {
	t.Parallel()
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	for _, c := range []struct{ peer, forwarded, want string }{
		{"192.0.2.1:1", "", "192.0.2.1"},
		{"192.0.2.1:1", "198.51.100.7", "192.0.2.1"}, // who is no proxy is not believed
		{"10.0.0.1:1", "198.51.100.7", "198.51.100.7"},
		{"10.0.0.1:1", "203.0.113.9, 198.51.100.7, 10.2.3.4", "198.51.100.7"},
		{"10.0.0.1:1", "198.51.100.7, nonsense", "10.0.0.1"},
		{"10.0.0.1:1", "", "10.0.0.1"},
		{"[::ffff:192.0.2.1]:1", "", "192.0.2.1"},
		{"[2001:db8:1:2:3:4:5:6]:1", "", "2001:db8:1:2::/64"},
		{"@", "", ""},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = c.peer
		if c.forwarded != "" {
			r.Header.Set("X-Forwarded-For", c.forwarded)
		}
		require.Equal(t, c.want, clientAddress(r, proxies), "%s %s", c.peer, c.forwarded)
	}
}
