package web

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// same are requests that every configuration answers in the same way: the table of what the original does, to the
// letter, as "status location".
var same = map[string]string{
	"GET tenant-0.localhost:8080 /":                                  "302 /subtasks/",
	"GET tenant-0.localhost:8080 /?x=1":                              "302 /subtasks/",
	"GET tenant-0.localhost:8080 /subtasks":                          "301 /subtasks/",
	"GET tenant-0.localhost:8080 /subtasks?x=1":                      "301 /subtasks/?x=1",
	"GET tenant-0.localhost:8080 /subtasks/2":                        "301 /subtasks/2/",
	"GET tenant-0.localhost:8080 /subtasks/2?x=1&y=%2F":              "301 /subtasks/2/?x=1&y=%2F",
	"GET tenant-0.localhost:8080 /projects":                          "301 /projects/",
	`GET tenant-0.localhost:8080 /projects?q=\x`:                     `301 /projects/?q=\x`,
	`GET tenant-0.localhost:8080 /subtasks?q=\x`:                     `301 /subtasks/?q=\x`,
	"GET tenant-0.localhost:8080 /subtasks/":                         "200",
	"GET tenant-0.localhost:8080 /subtasks/1/":                       "200",
	"GET tenant-0.localhost:8080 /subtasks/2/":                       "200",
	"GET tenant-0.localhost:8080 /subtasks/11/":                      "200",
	"GET tenant-0.localhost:8080 /subtasks/?page=2":                  "200",
	"GET tenant-0.localhost:8080 /subtasks/?page=last":               "200",
	"GET tenant-0.localhost:8080 /subtasks/?page=":                   "200",
	"GET tenant-0.localhost:8080 /subtasks/2/?page=abc":              "200", // the path's number wins
	"GET tenant-0.localhost:8080 /subtasks/0/":                       "404",
	"GET tenant-0.localhost:8080 /subtasks/12/":                      "404",
	"GET tenant-0.localhost:8080 /subtasks/99999/":                   "404",
	"GET tenant-0.localhost:8080 /subtasks/99999999999999999999999/": "404",
	"GET tenant-0.localhost:8080 /subtasks/-1/":                      "404",
	"GET tenant-0.localhost:8080 /subtasks/abc/":                     "404",
	"GET tenant-0.localhost:8080 /subtasks/abc":                      "404",
	"GET tenant-0.localhost:8080 /subtasks/last/":                    "404",
	"GET tenant-0.localhost:8080 /subtasks//":                        "404",
	"GET tenant-0.localhost:8080 /subtasks/.json":                    "404",
	"GET tenant-0.localhost:8080 /subtasks/2.json":                   "200",
	"GET tenant-0.localhost:8080 /subtasks/2.json/":                  "404",
	"GET tenant-0.localhost:8080 /subtasks/?page=0":                  "404",
	"GET tenant-0.localhost:8080 /subtasks/?page=abc":                "404",
	"GET tenant-0.localhost:8080 /nope/":                             "404",
	"GET tenant-0.localhost:8080 //evil.com":                         "404",
	"GET tenant-0.localhost:8080 /tenants/":                          "404", // a tenant learns of no other
	"HEAD tenant-0.localhost:8080 /subtasks/":                        "200",
	"OPTIONS tenant-0.localhost:8080 /subtasks/":                     "200",
	"POST tenant-0.localhost:8080 /subtasks/":                        "405",
	"PUT tenant-0.localhost:8080 /subtasks/":                         "405",
	"DELETE tenant-0.localhost:8080 /subtasks/2/":                    "405",
	"GET tenant-0.localhost:8080 /subtask/1/complete":                "405",
	"POST tenant-0.localhost:8080 /subtask/1/complete":               "400",
	"BREW tenant-0.localhost:8080 /subtasks/":                        "405",
	"GET tenant-0.localhost /subtasks/":                              "200",
	"GET tenant-0.localhost:1 /subtasks/":                            "200",
	"GET TENANT-0.localhost /subtasks/":                              "200",
	"GET tenant-0.localhost. /subtasks/":                             "200",
	"GET tenant-2.localhost /subtasks/":                              "200", // an empty list
	"GET tenant-2.localhost /subtasks/2/":                            "404",
	"GET tenant-999.localhost /subtasks/":                            "404",
	"GET tenant-00.localhost /subtasks/":                             "404",
	"GET foo.localhost /subtasks/":                                   "404",
	"GET x.tenant-0.localhost /subtasks/":                            "404",
	"GET tenant-.localhost /subtasks/":                               "404",
	"POST tenant-999.localhost /subtasks/":                           "404",
	"GET asleep.localhost /subtasks/":                                "503",
	"GET evil.com /subtasks/":                                        "400",
	"GET tenant-0.localhost.evil.com /subtasks/":                     "400",
	"GET 127.0.0.1 /subtasks/":                                       "400",
	"GET [::1] /subtasks/":                                           "400",
	"GET  /subtasks/":                                                "400",
	"GET a@localhost /subtasks/":                                     "400",
	"GET tenant_0.localhost /subtasks/":                              "400",
	"GET tenant-0.localhost:abc /subtasks/":                          "400",
	"GET evil.com /nope/":                                            "400",
	"POST evil.com /subtasks/":                                       "400",
	"GET localhost /tenants":                                         "301 /tenants/",
	"GET localhost /tenants/":                                        "200",
	"GET localhost /projects/":                                       "404",
	"GET evil.com /healthz":                                          "200", // a probe asks by address
	"GET 127.0.0.1 /readyz":                                          "200",
}

// onBare is what differs: the bare domain of SingleSchema and Mixed, and of the others.
var onBareDomainOf = map[bool]map[string]string{
	true: {
		"GET localhost:8080 /":               "302 /subtasks/",
		"GET localhost:8080 /subtasks/":      "200",
		"GET localhost /subtasks/2/":         "200",
		"GET localhost /subtasks/?page=last": "200",
		"GET localhost /subtasks/99/":        "404",
		"POST localhost /subtask/1/complete": "403", // read-only
	},
	false: {
		"GET localhost:8080 /":               "302 /tenants/",
		"GET localhost:8080 /subtasks/":      "302 /tenants/",
		"POST localhost /subtask/1/complete": "403",
	},
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	for _, configuration := range configurations {
		t.Run(configuration, func(t *testing.T) {
			t.Parallel()
			w := newFixture(t, configuration, nil)
			for _, table := range []map[string]string{same, onBareDomainOf[listsAll(configuration)]} {
				for line, want := range table {
					response := w.ask(t, line)
					got := fmt.Sprint(response.StatusCode)
					if location := response.Header.Get("Location"); location != "" {
						got += " " + location
					}
					require.Equal(t, want, got, line)
					checkHeaders(t, line, response)
				}
			}
			require.NotContains(t, w.log.String(), "ERROR")
		})
	}
}

// checkHeaders checks what every answer must have.
func checkHeaders(t *testing.T, line string, response *http.Response) {
	t.Helper()
	h := response.Header
	for name, want := range map[string]string{
		"X-Frame-Options":            "DENY",
		"X-Content-Type-Options":     "nosniff",
		"Referrer-Policy":            "same-origin",
		"Cross-Origin-Opener-Policy": "same-origin",
	} {
		require.Equal(t, want, h.Get(name), "%s: %s", line, name)
	}
	require.Contains(t, h.Get("Content-Security-Policy"), "default-src 'none'")
	require.NotContains(t, h.Get("Content-Security-Policy"), "unsafe")
	require.NotEmpty(t, h.Get("X-Request-ID"), line)
	require.Equal(t, response.StatusCode == 405 || strings.HasPrefix(line, "OPTIONS"), h.Get("Allow") != "", "%s: Allow", line)
	require.Equal(t, response.StatusCode == 503, h.Get("Retry-After") != "", "%s: Retry-After", line)
}

func TestMethods(t *testing.T) {
	t.Parallel()
	w := newFixture(t, single, nil)
	for line, allow := range map[string]string{
		"OPTIONS tenant-0.localhost /subtasks/":          "GET, HEAD, OPTIONS",
		"OPTIONS tenant-0.localhost /subtask/1/complete": "POST, OPTIONS",
		"POST tenant-0.localhost /subtasks/":             "GET, HEAD, OPTIONS",
		"GET tenant-0.localhost /subtask/1/complete":     "OPTIONS, POST",
	} {
		require.Equal(t, allow, w.ask(t, line).Header.Get("Allow"), line)
	}
	head := w.ask(t, "HEAD tenant-0.localhost /subtasks/")
	get := w.ask(t, "GET tenant-0.localhost /subtasks/")
	require.Empty(t, bodyOf(t, head))
	require.Equal(t, fmt.Sprint(len(bodyOf(t, get))), head.Header.Get("Content-Length"))
	require.Equal(t, get.Header.Get("ETag"), head.Header.Get("ETag"))
}

func TestErrorPagesSayWhatIsWrong(t *testing.T) {
	t.Parallel()
	w := newFixture(t, single, nil)
	for line, want := range map[string]string{
		"GET tenant-999.localhost /subtasks/":     "No account has the address “tenant-999”.",
		"GET asleep.localhost /subtasks/":         "This account is suspended.",
		"GET 127.0.0.1:8080 /":                    "host &#34;127.0.0.1:8080&#34; is not served here: use localhost",
		"GET tenant-0.localhost /subtasks/99/":    "There is no page 99. The last one is page 11.",
		"GET tenant-0.localhost /<script>/":       "There is no page at /&lt;script&gt;/.",
		"POST tenant-0.localhost /subtasks/":      "This page takes GET, HEAD, OPTIONS.",
		"GET tenant-0.localhost /subtasks/?q=%00": "must be UTF-8 text without NUL",
	} {
		body := bodyOf(t, w.ask(t, line))
		require.Contains(t, body, want, line)
		require.Contains(t, body, "tenanted.css", "%s: not in the same dress", line)
	}
}

func TestCrossSiteRequestsAreRefused(t *testing.T) {
	t.Parallel()
	w := newFixture(t, single, nil)
	for _, header := range []string{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-site", "Origin: http://evil.com", "Origin: http://tenant-1.localhost"} {
		for _, line := range []string{"POST tenant-0.localhost /subtask/1/complete", "POST tenant-0.localhost /subtasks/"} {
			response := w.send(t, line, "complete=true", "Content-Type: application/x-www-form-urlencoded", header)
			require.Equal(t, 403, response.StatusCode, "%s %s", line, header)
		}
		require.Equal(t, 200, w.ask(t, "GET tenant-0.localhost /subtasks/", header).StatusCode)
	}
	require.Contains(t, w.page(t, "GET tenant-0.localhost /subtasks/?sort=newest&size=100&status=open"), "Subtask #1<")
}

// Every page, errors too, has a link that leads to another page.
func TestPagesLeadOn(t *testing.T) {
	t.Parallel()
	w := newFixture(t, single, nil)
	for line, want := range map[string][]string{
		"GET tenant-999.localhost:8080 /subtasks/":                   {`class="brand" href="//localhost:8080/"`, `<li><a href="//localhost:8080/">`},
		"GET asleep.localhost /subtasks/":                            {`class="brand" href="//localhost/"`},
		"GET 127.0.0.1:8080 /":                                       {`<li><a href="//localhost:8080/">`},
		"GET [::1]:8080 /x":                                          {`<li><a href="//localhost:8080/">`},
		"GET tenant-0.localhost /subtasks/99/?q=write&status=open":   {`href="/subtasks/?q=write&amp;status=open"`, `href="/subtasks/?page=last&amp;q=write&amp;status=open"`},
		"GET tenant-0.localhost /projects/?page=99&sort=open":        {`href="/projects/?sort=open"`, `href="/projects/?page=last&amp;sort=open"`},
		"GET localhost /tenants/?page=99&size=25":                    {`href="/tenants/?size=25"`},
		"GET tenant-0.localhost:8080 /subtasks/":                     {`<a href="//localhost:8080/tenants/">All tenants</a>`, `<link rel="service-desc" href="/openapi.json"`},
		"GET tenant-0.localhost /subtasks/?q=nobodyusedit&project=1": {"No subtasks match these filters."},
		"GET tenant-2.localhost /subtasks/":                          {"This account has no subtasks yet."},
	} {
		body := bodyOf(t, w.ask(t, line))
		for _, link := range want {
			require.Contains(t, body, link, line)
		}
	}
}

func TestTitlesTellPagesApart(t *testing.T) {
	t.Parallel()
	w := newFixture(t, single, nil)
	seen := map[string]string{}
	for _, line := range []string{"tenant-0.localhost /subtasks/", "tenant-0.localhost /subtasks/2/", "tenant-0.localhost /subtasks/?q=write",
		"tenant-0.localhost /subtasks/?status=open", "tenant-0.localhost /subtasks/?project=2", "tenant-1.localhost /subtasks/",
		"tenant-0.localhost /projects/", "localhost /tenants/", "localhost /subtasks/", "tenant-0.localhost /nope/", "tenant-1.localhost /nope/"} {
		_, title, _ := strings.Cut(bodyOf(t, w.ask(t, "GET "+line)), "<title>")
		title, _, _ = strings.Cut(title, "</title>")
		require.NotEmpty(t, title)
		require.Empty(t, seen[title], "%s has the title of another page: %s", line, title)
		seen[title] = line
	}
}

// On the bare domain of separate databases there is no list over all tenants; a program gets that answer in its own format.
func TestProgramsGetProblemDocuments(t *testing.T) {
	t.Parallel()
	w := newFixture(t, databases, nil)
	for line, status := range map[string]int{
		"GET localhost /subtasks.json":                 404,
		"GET localhost /subtasks/2.json":               404,
		"GET localhost /projects.json":                 404,
		"GET tenant-0.localhost /subtasks/99.json":     404,
		"GET tenant-0.localhost /subtasks.json?size=7": 400,
		"GET tenant-999.localhost /subtasks.json":      404,
		"GET evil.com /subtasks.json":                  400,
		"GET asleep.localhost /projects.json":          503,
		"GET tenant-0.localhost /nope.json":            404,
		"DELETE tenant-0.localhost /subtasks.json":     405,
	} {
		response := w.ask(t, line)
		require.Equal(t, status, response.StatusCode, line)
		require.Equal(t, "application/problem+json", response.Header.Get("Content-Type"), line)
	}
}

// A client generated from the OpenAPI document sends JSON and may not say what it takes.
func TestJSONRequestsGetJSON(t *testing.T) {
	t.Parallel()
	w := newFixture(t, single, nil)
	const json = "Content-Type: application/json"
	for body, status := range map[string]int{
		`{"complete": true}`:                    200,
		`{"complete": true, "name": "x"}`:       400,
		`{"complete": true} x`:                  400,
		`{"complete": true}{"complete": false}`: 400,
		`{"complete": null}`:                    400,
		``:                                      400,
	} {
		for _, accept := range [][]string{nil, {"Accept: */*"}, {"Accept: application/json, text/plain, */*"}} {
			response := w.send(t, "POST tenant-0.localhost /subtask/1/complete", body, append(accept, json)...)
			require.Equal(t, status, response.StatusCode, body)
			require.Contains(t, response.Header.Get("Content-Type"), "json", body)
		}
	}
}
