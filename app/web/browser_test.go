package web

import (
	"flag"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"
)

// siteFlag is whose pictures are taken: by default those of a site of the test's own. Those in docs/pictures are of the demo
// tenants, with `tenanted serve` running:
//
//	go test ./app/web -run Pictures -pictures ../../docs/pictures -site localhost:8080
var siteFlag = flag.String("site", "", "host and port of a site of five demo tenants to take them of")

// serve makes the fixture's site reachable for the browser, and returns the address of a host there.
func (w *fixture) serve(t testing.TB) (address func(host, path string) string) {
	server := httptest.NewServer(w.handler)
	t.Cleanup(server.Close)
	where, err := url.Parse(server.URL)
	require.NoError(t, err)
	return func(host, path string) string { return "http://" + host + ":" + where.Port() + path }
}
