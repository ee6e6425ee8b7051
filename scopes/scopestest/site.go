package scopestest

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// Site is an application that serves two tenants over HTTP, with a user in each who signs in by a form and is known by cookies.
// The best test has one email and, in rows of each tenant's own, the same ids for both.
type Site struct {
	// Handler is the whole application, with all middleware.
	Handler http.Handler
	// Tenants are the two tenants.
	Tenants [2]SiteTenant
	// Page is the path of a page that shows a tenant's Secret to its user, and to nobody else.
	Page string
	// Change returns a new request that changes something as its user: a form.
	Change func() *http.Request
	// State returns what Change changes, of both tenants, in a form that reflect.DeepEqual compares. The suite makes no change of its
	// own twice, so let each Change differ, or State count.
	State func() any
	// SignOut returns a new request that ends the session. Nil: sessions are not ended by the user.
	SignOut func() *http.Request
}

// SiteTenant is one of a [Site]'s tenants.
type SiteTenant struct {
	// Host is where it is: "acme.example.com".
	Host string
	// SignIn returns a new request that signs its user in: a form.
	SignIn func() *http.Request
	// Secret is a text that is on its user's Page, and on nobody else's.
	Secret string
}

// RunSite attacks the site as people with a browser and a proxy would, and fails the test for each attack that succeeds: the cookies of
// one tenant at the other's address, cookies planted before signing in, forms on other sites and on sibling hosts, pages from a cache,
// cookies kept after signing out. It fails too if an honest user cannot sign in, see the page and make the change.
func RunSite(t *testing.T, s Site) {
	t.Helper()
	for _, harm := range attackSite(s) {
		t.Error(harm)
	}
}

// attackSite returns how attacks on a site succeeded.
func attackSite(s Site) (harms []string) {
	for i, own := range s.Tenants {
		v := &visit{Site: s, own: own, other: s.Tenants[1-i]}
		v.works()
		if len(v.harms) == 0 { // else the attacks would be stopped for other reasons
			for _, attack := range []func(){v.cookiesElsewhere, v.cookieScope, v.planted, v.forged, v.cached, v.signedOut} {
				attack()
			}
		}
		harms = append(harms, v.harms...)
	}
	return harms
}

// visit is a user at a tenant.
type visit struct {
	Site
	own, other SiteTenant
	harms      []string
}

func (v *visit) harm(format string, args ...any) {
	v.harms = append(v.harms, v.own.Host+": "+fmt.Sprintf(format, args...))
}

// send has a browser with these cookies send a request from a page of the same host.
func (v *visit) send(host string, r *http.Request, cookies []*http.Cookie) *http.Response {
	r.Host = host
	for _, cookie := range cookies {
		r.AddCookie(&http.Cookie{Name: cookie.Name, Value: cookie.Value})
	}
	if r.Header.Get("Sec-Fetch-Site") == "" && r.Header.Get("Origin") == "" {
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	answer := httptest.NewRecorder()
	v.Handler.ServeHTTP(answer, r)
	return answer.Result()
}

// page asks for the page, and returns the answer and its text.
func (v *visit) page(host string, cookies []*http.Cookie, headers ...string) (*http.Response, string) {
	r := httptest.NewRequest(http.MethodGet, v.Page, nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	answer := v.send(host, r, cookies)
	var text strings.Builder
	_ = answer.Write(&text) // a recorder's body has no errors
	return answer, text.String()
}

// signIn returns the cookies of a user who has signed in, with these in the browser before.
func (v *visit) signIn(at SiteTenant, before ...*http.Cookie) []*http.Cookie {
	return v.send(at.Host, at.SignIn(), before).Cookies()
}

// knows reports whether a browser with these cookies is somebody at a host.
func (v *visit) knows(at SiteTenant, cookies []*http.Cookie) bool {
	_, text := v.page(at.Host, cookies)
	return strings.Contains(text, at.Secret)
}

// changes reports whether a change was made.
func (v *visit) changes(host string, cookies []*http.Cookie, headers ...string) bool {
	before, r := v.State(), v.Change()
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	v.send(host, r, cookies)
	return !reflect.DeepEqual(before, v.State())
}

func (v *visit) works() {
	cookies := v.signIn(v.own)
	switch {
	case v.knows(v.own, nil):
		v.harm("%s shows nobody the secret", v.Page)
	case len(cookies) == 0:
		v.harm("signing in sets no cookie")
	case !v.knows(v.own, cookies):
		v.harm("%s does not show the user the secret after signing in", v.Page)
	case v.changes(v.own.Host, nil):
		v.harm("nobody can make the change")
	case !v.changes(v.own.Host, cookies):
		v.harm("the user cannot make the change")
	}
}

// cookiesElsewhere presents the cookies to the other tenant: a proxy sends them wherever its user likes.
func (v *visit) cookiesElsewhere() {
	cookies := v.signIn(v.own)
	_, text := v.page(v.other.Host, cookies)
	if strings.Contains(text, v.other.Secret) || strings.Contains(text, v.own.Secret) {
		v.harm("its cookies are somebody at %s", v.other.Host)
	}
	if v.changes(v.other.Host, cookies) {
		v.harm("with its cookies the change is made at %s", v.other.Host)
	}
}

// cookieScope looks at what a browser is told: which hosts get the cookie, and whether scripts do.
func (v *visit) cookieScope() {
	before := v.signIn(v.own)
	for _, cookie := range before {
		switch {
		case !v.needed(before, cookie):
			continue // not what makes it somebody
		case cookie.Domain != "":
			v.harm("cookie %s goes to other hosts, with Domain=%s", cookie.Name, cookie.Domain)
		case !cookie.HttpOnly:
			v.harm("cookie %s can be read by scripts", cookie.Name)
		case cookie.SameSite != http.SameSiteLaxMode && cookie.SameSite != http.SameSiteStrictMode:
			v.harm("cookie %s is not SameSite=Lax or Strict", cookie.Name)
		}
	}
}

// needed reports whether the user is nobody without a cookie.
func (v *visit) needed(cookies []*http.Cookie, without *http.Cookie) bool {
	rest := slices.DeleteFunc(slices.Clone(cookies), func(c *http.Cookie) bool { return c == without })
	return !v.knows(v.own, rest)
}

// planted signs in with cookies in the browser that somebody else has put there: made up, and of a session of their own.
func (v *visit) planted() {
	for name, before := range map[string][]*http.Cookie{"made up": v.madeUp(), "of another session": v.signIn(v.own)} {
		after := v.signIn(v.own, before...)
		if !v.knows(v.own, after) {
			v.harm("with cookies %s in the browser, the user cannot sign in", name)
		}
		if v.knows(v.own, before) {
			v.harm("cookies %s, planted before signing in, are somebody afterwards", name)
		}
	}
}

func (v *visit) madeUp() []*http.Cookie {
	cookies := v.signIn(v.own)
	for i, cookie := range cookies {
		cookies[i] = &http.Cookie{Name: cookie.Name, Value: strings.Repeat("x", len(cookie.Value))}
	}
	return cookies
}

// forged sends the change from pages of others. A browser takes a sibling below the same domain for the same site, and sends
// SameSite cookies from there.
func (v *visit) forged() {
	cookies := v.signIn(v.own)
	for _, headers := range [][]string{
		{"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"},
		{"Sec-Fetch-Site", "same-site", "Origin", "https://" + v.other.Host},
		{"Origin", "https://" + v.other.Host}, // a browser without Sec-Fetch-Site
		{"Origin", "null"},
	} {
		if v.changes(v.own.Host, cookies, headers...) {
			v.harm("the change is made from another site's page: %v", headers)
		}
	}
}

// cached looks at what a cache may do with the page.
func (v *visit) cached() {
	cookies := v.signIn(v.own)
	answer, _ := v.page(v.own.Host, cookies)
	control := strings.Join(answer.Header.Values("Cache-Control"), ", ")
	if !strings.Contains(control, "private") && !strings.Contains(control, "no-store") {
		v.harm("the user's page may be kept by a cache that others share: Cache-Control is %q", control)
	}
	tag := answer.Header.Get("ETag")
	if tag == "" {
		return
	}
	for name, who := range map[string][]*http.Cookie{"nobody": nil, "the other tenant's user": v.signIn(v.other)} {
		for _, host := range []string{v.own.Host, v.other.Host} {
			if again, _ := v.page(host, who, "If-None-Match", tag); again.StatusCode == http.StatusNotModified {
				v.harm("%s is told at %s that the user's page is still good", name, host)
			}
		}
	}
}

// signedOut presents cookies that were good before signing out.
func (v *visit) signedOut() {
	if v.SignOut == nil {
		return
	}
	cookies := v.signIn(v.own)
	v.send(v.own.Host, v.SignOut(), cookies)
	if v.knows(v.own, cookies) {
		v.harm("its cookies are still somebody after signing out")
	}
}
