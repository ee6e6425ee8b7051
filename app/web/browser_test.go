package web

import (
	"flag"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"tenanted/internal/browsertest"
)

// siteFlag is whose pictures are taken: by default those of a site of the test's own. Those in docs/pictures are of the demo
// tenants, with `tenanted serve` running:
//
//	go test ./app/web -run Pictures -pictures ../../docs/pictures -site localhost:8080
var siteFlag = flag.String("site", "", "host and port of a site of five demo tenants to take them of")

// signInAs has a tab's browser signed in at a tenant.
func (w *fixture) signInAs(b *browsertest.Tab, address addresses, tenant int, user int64) {
	b.T.Helper()
	host := w.tenants[tenant].Slug + ".localhost"
	_, err := chromedp.Call(b.Ctx, network.SetCookies, network.SetCookiesParams{Cookies: []*network.CookieParam{
		{Name: "session", Value: w.newSession(b.T, tenant, user), URL: address(host, "/"), HTTPOnly: true}}})
	require.NoError(b.T, err)
}

// serve makes the fixture's site reachable for the browser, and returns the address of a host there.
func (w *fixture) serve(t testing.TB) (address func(host, path string) string) {
	server := httptest.NewServer(w.handler)
	t.Cleanup(server.Close)
	where, err := url.Parse(server.URL)
	require.NoError(t, err)
	return func(host, path string) string { return "http://" + host + ":" + where.Port() + path }
}
