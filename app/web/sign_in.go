package web

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"tenanted/models"
)

const (
	signInPath   = "/sign-in/"
	passwordPath = "/account/password/"
	tokensPath   = "/account/tokens/"
	resetPath    = "/reset/"
	usersPath    = "/users/"
)

// signInPage is what the template shows.
type signInPage struct {
	Account string // the tenant's name
	Email   string
	Next    string
	Problem string
	Demo    []demoUser
}

// demoUser is one whom a button signs in.
type demoUser struct{ Email, Password, Text string }

// showSignIn shows the form, or leads on who is signed in already.
func (s *site) showSignIn(c *gin.Context) error {
	if onBareDomain(c) {
		return s.showOperatorSignIn(c)
	}
	next := localPath(c.Query("next"))
	if signedIn(c) != nil {
		redirect(c, http.StatusSeeOther, next)
		return nil
	}
	return s.signInForm(c, http.StatusOK, signInPage{Next: next})
}

func (s *site) signInForm(c *gin.Context, status int, p signInPage) (err error) {
	p.Account = accountName(c)
	if p.Demo, err = s.demoUsers(c); err != nil {
		return err
	}
	s.respond(c, answer{status: status, title: "Sign in", page: signInView(p)})
	return nil
}

// demoUsers are the first admin and the first member, where the demo's password lets anybody in as them.
func (s *site) demoUsers(c *gin.Context) (users []demoUser, err error) {
	if s.DemoPassword == "" {
		return nil, nil
	}
	for _, role := range []models.Role{models.Admin, models.Member} {
		u, err := s.Models.Users(c.Request.Context()).FirstOf(role)
		if errors.Is(err, models.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		users = append(users, demoUser{u.Email, s.DemoPassword, fmt.Sprintf("%s, %s", shortName(u.Name(), maxOption), u.Role)})
	}
	return users, nil
}

// signIn signs a user in and leads back to where they were.
func (s *site) signIn(c *gin.Context) error {
	if onBareDomain(c) {
		return s.signInOperator(c)
	}
	p := signInPage{Email: c.PostForm("email"), Next: localPath(c.PostForm("next"))}
	u, err := s.Models.Users(c.Request.Context()).SignIn(p.Email, c.PostForm("password"), clientAddress(c.Request, s.TrustedProxies))
	if throttled, ok := errors.AsType[*models.ThrottledError](err); ok {
		p.Problem = throttledText(throttled)
		return s.signInForm(c, http.StatusTooManyRequests, p)
	}
	if errors.Is(err, models.ErrWrongPassword) {
		p.Problem = "The email or the password is wrong."
		return s.signInForm(c, http.StatusUnprocessableEntity, p)
	}
	if err == nil {
		err = s.sessions.begin(c, u.Actor(), sessionLasts)
	}
	if err == nil {
		seeOther(c, p.Next)
	}
	return err
}

// signOut ends the session.
func (s *site) signOut(c *gin.Context) error {
	if onBareDomain(c) {
		return s.signOutOperator(c)
	}
	actor := signedIn(c)
	if err := s.sessions.end(c); err != nil {
		return err
	}
	if actor != nil && actor.Operator != "" {
		if err := s.Operators.EndSignInAs(c.Request.Context(), currentTenant(c), actor.Email); err != nil {
			return err
		}
	}
	c.Header("Clear-Site-Data", `"cache"`) // so that going back shows nothing
	seeOther(c, "/")
	return nil
}

// askToSignIn leads a person to the form, and from there back to where they were.
func (s *site) askToSignIn(c *gin.Context) {
	seeOther(c, signInURL(whereFrom(c)))
}

func signInURL(next string) string {
	if next == "/" {
		return signInPath
	}
	return withQuery(signInPath, url.Values{"next": {next}})
}

// whereFrom is the page that a request is for or, if it changes something, the one that it was sent from.
func whereFrom(c *gin.Context) string {
	if c.Request.Method == http.MethodGet || c.Request.Method == http.MethodHead {
		return localPath(c.Request.URL.RequestURI())
	}
	from, err := url.Parse(c.GetHeader("Referer"))
	if err != nil || !strings.EqualFold(from.Host, c.Request.Host) {
		return "/"
	}
	return localPath(from.RequestURI())
}

const maxNext = 2000 // bytes

// localPath returns a path of this host, with a query or without, or "/" for all else: a link to the sign-in must not lead elsewhere
// afterwards, nor to the form itself.
func localPath(text string) string {
	to, err := url.Parse(text)
	switch {
	case err != nil, len(text) > maxNext, !strings.HasPrefix(text, "/"), strings.HasPrefix(text, "//"), strings.Contains(text, `\`),
		to.Scheme != "", to.Host != "", to.Fragment != "", strings.HasPrefix(to.Path, "/sign-"), strings.HasPrefix(to.Path, "//"):
		return "/"
	}
	return to.RequestURI()
}

// seeOther leads on after a change. What it leads to depends on who is signed in, so no cache may keep it.
func seeOther(c *gin.Context, target string) {
	c.Header("Cache-Control", "no-store")
	redirect(c, http.StatusSeeOther, target)
}

func throttledText(e *models.ThrottledError) string {
	minutes := max(1, int(e.Wait.Round(time.Minute)/time.Minute))
	unit := "minutes"
	if minutes == 1 {
		unit = "minute"
	}
	return fmt.Sprintf("Too many attempts. Try again in %d %s.", minutes, unit)
}

// clientAddress is where a request comes from, as far as it can be believed: behind trusted proxies, the last address in
// X-Forwarded-For that is none of theirs. Of IPv6 it is the network, which one person has many addresses of.
func clientAddress(r *http.Request, proxies []netip.Prefix) string {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return "" // not by TCP
	}
	at := peer.Addr().Unmap().WithZone("")
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for len(hops) > 0 && containsAddress(proxies, at) {
		last, err := netip.ParseAddr(strings.TrimSpace(hops[len(hops)-1]))
		if err != nil {
			break
		}
		at, hops = last.Unmap().WithZone(""), hops[:len(hops)-1]
	}
	if at.Is6() {
		network, _ := at.Prefix(64) // never fails for IPv6
		return network.String()
	}
	return at.String()
}

func containsAddress(networks []netip.Prefix, address netip.Addr) bool {
	for _, network := range networks {
		if network.Contains(address) {
			return true
		}
	}
	return false
}

// accountName is what the request's tenant is called.
func accountName(c *gin.Context) string {
	tenant := currentTenant(c)
	return cmp.Or(clean(tenant.Name), tenant.Slug)
}
