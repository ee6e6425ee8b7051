package tenanthttp

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSlugOfHost(t *testing.T) {
	t.Parallel()
	subdomain, err := Subdomain("localhost", "App.Example.com.", "example.com", "127.0.0.1", "[::1]")
	require.NoError(t, err)
	for host, want := range map[string]string{
		"localhost":                            "",
		"localhost:8080":                       "",
		"localhost.":                           "",
		"LOCALHOST:1":                          "",
		"tenant-0.localhost":                   "tenant-0",
		"tenant-0.localhost:65535":             "tenant-0",
		"TENANT-0.LocalHost.:80":               "tenant-0",
		"x.tenant-0.localhost":                 "x.tenant-0", // no slug, so nobody bears it
		"tenant-.localhost":                    "tenant-",
		"example.com":                          "",
		"app.example.com":                      "", // a base of its own, not the tenant "app"
		"acme.app.example.com":                 "acme",
		"acme.example.com":                     "acme",
		"127.0.0.1:80":                         "",
		"[::1]":                                "",
		"[::1]:8080":                           "",
		strings.Repeat("a", 63) + ".localhost": strings.Repeat("a", 63),
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Host = host
		slug, rest, err := subdomain(r)
		require.NoError(t, err, host)
		require.Equal(t, want, slug, host)
		require.Same(t, r, rest)
	}
}

func TestForeignAndMalformedHosts(t *testing.T) {
	t.Parallel()
	for host, reason := range map[string]string{
		"":                                      "is missing",
		"evil.com":                              "is not served here",
		"tenant-0.localhost.evil.com":           "is not served here",
		"localhost.evil.com":                    "is not served here",
		"evillocalhost":                         "is not served here",
		"127.0.0.1":                             "is not served here",
		"x.127.0.0.2":                           "is not served here",
		"[::1]":                                 "is not served here",
		"[::ffff:127.0.0.1]":                    "is not served here",
		"a@localhost":                           "is malformed",
		"tenant_0.localhost":                    "is malformed",
		"tenant-0.localhost:abc":                "is malformed",
		"tenant-0.localhost:":                   "is malformed",
		"tenant-0.localhost:-1":                 "is malformed",
		"tenant-0.localhost:1:2":                "is malformed",
		"tenant-0.localhost..":                  "is malformed",
		".localhost":                            "is malformed",
		"a..localhost":                          "is malformed",
		"tenant-0.localhost/x":                  "is malformed",
		"tenant-0.localhost\x00":                "is malformed",
		"tenant-0 .localhost":                   "is malformed",
		"tenänt.localhost":                      "is malformed",
		"Kelvin\u212a.localhost":                "is malformed", // lower-cases to an ASCII k
		"[::1":                                  "is malformed",
		"[::1]x":                                "is malformed",
		"[fe80::1%25eth0]":                      "is malformed",
		"::1":                                   "is malformed",
		"[]":                                    "is malformed",
		":80":                                   "is malformed",
		strings.Repeat("a.", 126) + "localhost": "is malformed",
	} {
		slug, err := slugOf(host, []string{"localhost", "127.0.0.2"})
		require.Empty(t, slug)
		var hostErr *HostError
		require.ErrorAs(t, err, &hostErr, "%q", host)
		require.Equal(t, reason, hostErr.Reason, "%q", host)
	}
}

func TestSubdomainRefusesBadBases(t *testing.T) {
	t.Parallel()
	for _, bases := range [][]string{nil, {""}, {"localhost:8080"}, {"a_b"}, {"https://example.com"}, {"*.example.com"}} {
		_, err := Subdomain(bases...)
		require.Error(t, err, "%q", bases)
	}
}

// FuzzHost checks what must hold for any Host header: whatever is accepted is the base domain itself or
// ends in "." and the base domain, and a valid slug is exactly what stands before it.
func FuzzHost(f *testing.F) {
	for _, seed := range []string{"", "localhost", "tenant-0.localhost:80", "a@localhost", "[::1]:1", "TENANT.localhost.", "x.y.localhost", "\u212a.localhost"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		slug, err := slugOf(header, []string{"localhost"})
		if err != nil {
			require.Empty(t, slug)
			return
		}
		host, _, _ := strings.Cut(header, ":")
		host = strings.ToLower(strings.TrimSuffix(host, "."))
		if slug == "" {
			require.Equal(t, "localhost", host)
			return
		}
		require.Equal(t, slug+".localhost", host)
		again, err := slugOf(strings.ToUpper(host)+".:8080", []string{"localhost"})
		require.NoError(t, err)
		require.Equal(t, slug, again)
	})
}
