package web

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tenanted/models"
	"tenanted/scopes/scopestest"
)

// The attacks that strangers make on their applications hold here too: where reading needs somebody, and where it is open.
func TestSiteOfTwoTenants(t *testing.T) {
	for _, required := range []bool{true, false} {
		t.Run(fmt.Sprintf("required=%t", required), func(t *testing.T) {
			eachConfiguration(t, func(o *Options) { o.SignInRequired = required }, func(t *testing.T, w *fixture) {
				scopestest.RunSite(t, w.asSite(t))
			})
		})
	}
}

// asSite describes the site to attack: the same email and user id in both tenants, whose page of users is the secret.
func (w *fixture) asSite(t *testing.T) scopestest.Site {
	post := func(path string, fields url.Values) func() *http.Request {
		return func() *http.Request {
			r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(fields.Encode()))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			return r
		}
	}
	site := scopestest.Site{Handler: w.handler, Page: usersPath, SignOut: post("/sign-out", nil), Change: post(tokensPath, url.Values{"name": {"x"}})}
	for tenant := range site.Tenants {
		site.Tenants[tenant] = scopestest.SiteTenant{Host: fmt.Sprintf("tenant-%d.localhost", tenant), Secret: fmt.Sprintf("U1 of %d", tenant),
			SignIn: post(signInPath, url.Values{"email": {memberEmail}, "password": {passwordOf(tenant)}})}
	}
	site.State = func() any {
		var counts [2]int
		for tenant := range counts {
			ctx := models.WithActor(w.tenantContext(t, tenant), models.Actor{UserID: memberID})
			tokens, err := w.site.Models.APITokens(ctx).Of(memberID)
			require.NoError(t, err)
			counts[tenant] = len(tokens)
		}
		return counts
	}
	return site
}
