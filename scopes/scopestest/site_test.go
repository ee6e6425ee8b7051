package scopestest_test

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tenanted/scopes/scopestest"
)

// memorySite is a site with nothing in it but who is signed in, and with faults.
type memorySite struct {
	sessions    map[string]string // by token: the host
	changes     map[string]int
	protection  *http.CrossOriginProtection
	everywhere  bool // a session counts at each host
	domain      bool // cookies go to all hosts
	readable    bool // by scripts
	keepsToken  bool // of a browser that brings one
	forgeable   bool
	public      bool // caches may keep pages
	oneTag      bool // for all
	staysSigned bool // signing out takes the cookie only
}

func (s *memorySite) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := s.protection.Check(r); err != nil && !s.forgeable {
		http.Error(w, "forged", http.StatusForbidden)
		return
	}
	token := ""
	if cookie, err := r.Cookie("sid"); err == nil {
		token = cookie.Value
	}
	host, known := s.sessions[token]
	known = known && (host == r.Host || s.everywhere)
	switch {
	case r.URL.Path == "/sign-in":
		s.signIn(w, r, token)
	case !known:
		http.Error(w, "who are you?", http.StatusUnauthorized)
	case r.URL.Path == "/change":
		s.changes[r.Host]++
	case r.URL.Path == "/sign-out":
		if !s.staysSigned {
			delete(s.sessions, token)
		}
	default:
		s.page(w, r, token)
	}
}

func (s *memorySite) signIn(w http.ResponseWriter, r *http.Request, before string) {
	token := rand.Text()
	if s.keepsToken && before != "" {
		token = before
	} else {
		delete(s.sessions, before)
	}
	s.sessions[token] = r.Host
	cookie := &http.Cookie{Name: "sid", Value: token, HttpOnly: !s.readable, SameSite: http.SameSiteLaxMode}
	if s.domain {
		cookie.Domain = "example.com"
	}
	http.SetCookie(w, cookie)
}

func (s *memorySite) page(w http.ResponseWriter, r *http.Request, token string) {
	tag := fmt.Sprintf("%q", token)
	if s.oneTag {
		tag = `"1"`
	}
	w.Header().Set("ETag", tag)
	w.Header().Set("Cache-Control", "private, no-cache")
	if s.public {
		w.Header().Set("Cache-Control", "max-age=60")
	}
	if r.Header.Get("If-None-Match") == tag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	fmt.Fprintf(w, "the secret of %s", r.Host)
}

func siteOf(s *memorySite) scopestest.Site {
	s.sessions, s.changes, s.protection = map[string]string{}, map[string]int{}, http.NewCrossOriginProtection()
	post := func(path string) func() *http.Request {
		return func() *http.Request { return httptest.NewRequest(http.MethodPost, path, nil) }
	}
	site := scopestest.Site{Handler: s, Page: "/page", Change: post("/change"), SignOut: post("/sign-out"), State: func() any { return fmt.Sprint(s.changes) }}
	for i, host := range []string{"acme.example.com", "bolt.example.com"} {
		site.Tenants[i] = scopestest.SiteTenant{Host: host, SignIn: post("/sign-in"), Secret: "the secret of " + host}
	}
	return site
}

func TestASiteThatHolds(t *testing.T) {
	t.Parallel()
	scopestest.RunSite(t, siteOf(&memorySite{}))
}

// Each fault is found, and by its name.
func TestFaultsOfASiteAreFound(t *testing.T) {
	t.Parallel()
	for want, site := range map[string]*memorySite{
		"its cookies are somebody at":                      {everywhere: true},
		"goes to other hosts, with Domain=example.com":     {domain: true},
		"can be read by scripts":                           {readable: true},
		"planted before signing in, are somebody":          {keepsToken: true},
		"the change is made from another site's page":      {forgeable: true},
		"may be kept by a cache that others share":         {public: true},
		"is told at bolt.example.com that the user's page": {oneTag: true},
		"still somebody after signing out":                 {staysSigned: true},
	} {
		harms := strings.Join(scopestest.AttackSite(siteOf(site)), "\n")
		require.Contains(t, harms, want)
	}
	nobodysPage := siteOf(&memorySite{})
	nobodysPage.Page = "/nowhere"
	nobodysPage.Tenants[0].Secret = "something else"
	require.Contains(t, strings.Join(scopestest.AttackSite(nobodysPage), "\n"), "does not show the user the secret")
}
