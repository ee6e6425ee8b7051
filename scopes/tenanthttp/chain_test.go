package tenanthttp

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

func chain(t *testing.T) Source {
	domain, err := Domain("example.com", "localhost", "127.0.0.1")
	require.NoError(t, err)
	subdomain, err := Subdomain("example.com", "localhost", "127.0.0.1")
	require.NoError(t, err)
	return Chain(Forwarded(netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")), domain, subdomain, Header("X-Tenant"))
}

func TestDomainThenSubdomainThenHeader(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ host, header, want string }{
		{"app.acme.com", "", "app.acme.com"},
		{"App.ACME.com.:8443", "", "app.acme.com"},
		{"app.acme.com", "bolt", "app.acme.com"}, // the first one decides
		{"acme.example.com", "bolt", "acme"},
		{"example.com", "bolt", "bolt"},
		{"example.com", "", ""},
		{"a.b.example.com", "", "a.b"}, // which nobody has
		{"notexample.com", "", "notexample.com"},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Host = test.host
		if test.header != "" {
			r.Header.Set("X-Tenant", test.header)
		}
		slug, rest, err := chain(t)(r)
		require.NoError(t, err, test.host)
		require.Equal(t, test.want, slug, test.host)
		require.Same(t, r, rest)
	}
	for _, host := range []string{"", "a@b.com", "app.acme.com:x", "acme", "192.168.0.1", "192.168.1", "[::2]", "a..com", "ä.com"} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Host = host
		r.Header.Set("X-Tenant", "bolt")
		slug, _, err := chain(t)(r)
		require.ErrorAs(t, err, new(*HostError), host)
		require.Empty(t, slug)
	}
	for _, bases := range [][]string{nil, {"a_b"}} {
		_, err := Domain(bases...)
		require.Error(t, err)
	}
}

func TestForwardedHost(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		peer string
		sent []string
		want string
	}{
		{"10.1.2.3:1", []string{"acme.example.com"}, "acme"},
		{"[::ffff:10.1.2.3]:1", []string{"acme.example.com"}, "acme"}, // as Linux says it for IPv4
		{"[::1]:1", []string{"acme.example.com:8080"}, "acme"},
		{"11.1.2.3:1", []string{"acme.example.com"}, "bolt"},
		{"[::2]:1", []string{"acme.example.com"}, "bolt"},
		{"@", []string{"acme.example.com"}, "bolt"},
		{"", []string{"acme.example.com"}, "bolt"},
		{"10.1.2.3:1", nil, "bolt"},
		{"10.1.2.3:1", []string{"example.com"}, ""},
	} {
		slug, rest, err := chain(t)(forwardedRequest(test.peer, test.sent))
		require.NoError(t, err)
		require.Equal(t, test.want, slug, "%v", test)
		if test.want == "acme" {
			require.Equal(t, test.sent[0], rest.Host, "handlers see it too")
		}
	}
	for _, sent := range [][]string{{""}, {"a.example.com", "b.example.com"}, {"a.example.com, b.example.com"}, {"a_b"}} {
		_, _, err := chain(t)(forwardedRequest("10.1.2.3:1", sent))
		require.ErrorAs(t, err, new(*HostError), "%q", sent)
		require.NotContains(t, err.Error(), "use ")
	}
}

func forwardedRequest(peer string, sent []string) *http.Request {
	r := httptest.NewRequest("GET", "http://bolt.example.com/", nil)
	r.RemoteAddr = peer
	if sent != nil {
		r.Header["X-Forwarded-Host"] = sent
	}
	return r
}
