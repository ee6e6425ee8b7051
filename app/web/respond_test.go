package web

import (
	"compress/gzip"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
)

func TestPrefersJSON(t *testing.T) {
	t.Parallel()
	for accept, want := range map[string]bool{
		"":                                     false,
		"*/*":                                  false,
		"text/html,application/xhtml+xml;q=.9": false,
		"application/json":                     true,
		"application/json, text/plain, */*":    true,
		"application/json, */*;q=0.5":          true,
		"text/html;q=0.3, application/json;q=0.2": false,
		"APPLICATION/JSON;q=1":                    true,
		"application/problem+json":                true,
		";;;":                                     false,
		"application/json;q=0.1, */*":             true,
		"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8": false,
	} {
		r, err := http.NewRequest("GET", "/subtasks/", nil)
		require.NoError(t, err)
		r.Header.Set("Accept", accept)
		require.Equal(t, want, wantsJSON(r), accept)
	}
}

func TestPagesHaveTagsAndAreNotSentTwice(t *testing.T) {
	t.Parallel()
	w := newFixture(t, single, nil)
	for _, path := range []string{"/subtasks/", "/subtasks.json", "/projects/", "/openapi.json", assetURL("pico.css"), "/static/tenanted.css"} {
		first := w.ask(t, "GET tenant-0.localhost "+path)
		tag := first.Header.Get("ETag")
		require.Regexp(t, `^W/"[\w-]{16,}"$`, tag, path)
		again := w.ask(t, "GET tenant-0.localhost "+path, "If-None-Match: \"x\", "+tag)
		require.Equal(t, 304, again.StatusCode, path)
		require.Empty(t, bodyOf(t, again))
		require.Equal(t, 304, w.ask(t, "GET tenant-0.localhost "+path, "If-None-Match: "+strings.TrimPrefix(tag, "W/")).StatusCode, "compared weakly")
		require.Equal(t, 304, w.ask(t, "GET tenant-0.localhost "+path, "If-None-Match: *").StatusCode)
		require.Equal(t, tag, again.Header.Get("ETag"))
		require.NotEmpty(t, again.Header.Get("Cache-Control"))
		require.NotEmpty(t, again.Header.Get("X-Frame-Options"))
	}
	before := w.ask(t, "GET tenant-0.localhost /subtasks/").Header.Get("ETag")
	require.NotEqual(t, before, w.ask(t, "GET tenant-1.localhost /subtasks/").Header.Get("ETag"))
	w.send(t, "POST tenant-0.localhost /subtask/1/complete", "complete=true", form)
	require.Equal(t, 200, w.ask(t, "GET tenant-0.localhost /subtasks/", "If-None-Match: "+before).StatusCode)
	require.Contains(t, w.ask(t, "GET tenant-0.localhost "+assetURL("pico.css")).Header.Get("Cache-Control"), "immutable")
	require.NotContains(t, w.ask(t, "GET tenant-0.localhost /static/pico.css?v=old").Header.Get("Cache-Control"), "immutable")
}

// The first view is the page and whatever it loads, as a browser gets it.
func TestFirstViewIsLight(t *testing.T) {
	t.Parallel()
	w := newFixture(t, single, nil)
	page := w.page(t, "GET tenant-0.localhost /subtasks/?size=100")
	paths := []string{"/subtasks/?size=100"}
	for _, match := range regexp.MustCompile(`<link rel="(?:icon|stylesheet)" href="([^"]*)"`).FindAllStringSubmatch(page, -1) {
		paths = append(paths, match[1])
	}
	require.Len(t, paths, 4)
	total := 0
	for _, path := range paths {
		response := w.ask(t, "GET tenant-0.localhost "+path, "Accept-Encoding: gzip")
		body := bodyOf(t, response)
		total += len(body)
		require.Contains(t, response.Header.Values("Vary"), "Accept-Encoding", path)
		if response.Header.Get("Content-Encoding") == "gzip" {
			unzipped, err := gzip.NewReader(strings.NewReader(body))
			require.NoError(t, err)
			_, err = io.ReadAll(unzipped)
			require.NoError(t, err)
		}
	}
	t.Logf("%d bytes in %d files", total, len(paths))
	require.Less(t, total, 40_000)
}

func TestNoPageHasAScriptOrAStyleOfItsOwn(t *testing.T) {
	t.Parallel()
	w := newFixture(t, single, nil)
	for _, line := range []string{"GET tenant-0.localhost /subtasks/", "GET tenant-0.localhost /projects/", "GET localhost /tenants/", "GET localhost /subtasks/"} {
		page := w.page(t, line)
		for _, forbidden := range []string{"<script", "<style", " style=", "javascript:", " onclick", "http://", "https://"} {
			require.NotContains(t, page, forbidden, line)
		}
	}
}

func TestStaticFiles(t *testing.T) {
	t.Parallel()
	w := newFixture(t, single, nil)
	for name := range assets {
		response := w.ask(t, "GET 127.0.0.1 /static/"+name)
		require.Equal(t, 200, response.StatusCode)
		require.NotEmpty(t, response.Header.Get("Content-Type"), name)
	}
	require.Contains(t, w.page(t, "GET localhost /static/pico.LICENSE.md"), "MIT License")
	require.Equal(t, 404, w.ask(t, "GET localhost /static/nope.css").StatusCode)
	require.Equal(t, 404, w.ask(t, "GET localhost /static/..%2Fweb.go").StatusCode)
}

func TestMetricsAreOnTheBareDomainOnly(t *testing.T) {
	t.Parallel()
	t.Run("not asked for", func(t *testing.T) {
		require.Equal(t, 404, newFixture(t, single, nil).ask(t, "GET localhost /metrics").StatusCode)
	})
	w := newFixture(t, single, func(o *Options) { o.Metrics = prometheus.NewRegistry() })
	w.ask(t, "GET tenant-0.localhost /subtasks/")
	w.ask(t, "GET tenant-0.localhost /nope/1")
	w.ask(t, "BREW tenant-0.localhost /subtasks/")
	metrics := w.page(t, "GET localhost /metrics")
	for _, line := range []string{
		`tenanted_http_requests_total{method="GET",route="/subtasks/",status="200"} 1`,
		`tenanted_http_requests_total{method="GET",route="none",status="404"} 1`,
		`tenanted_http_requests_total{method="other",route="none",status="405"} 1`,
		`tenanted_http_request_duration_seconds_count{route="/subtasks/"} 1`,
		`tenanted_scope_violations_total 0`,
	} {
		require.Contains(t, metrics, line)
	}
	require.NotContains(t, metrics, "tenant-0")
	require.Equal(t, 404, w.ask(t, "GET tenant-0.localhost /metrics").StatusCode)
	require.Equal(t, 400, w.ask(t, "GET evil.com /metrics").StatusCode)
}
