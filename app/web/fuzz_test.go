package web

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
)

// FuzzAddress asks for any host, path and query: whatever they are, the answer is none of ours to be
// ashamed of, and never another tenant's.
func FuzzAddress(f *testing.F) {
	for _, seed := range [][3]string{
		{"tenant-1.localhost", "/subtasks/", "q=chapter&sort=newest"},
		{"tenant-1.localhost", "/subtasks/2/", "size=10&status=open"},
		{"tenant-1.localhost:8080", "/subtasks/7.json", "page=last&project=1"},
		{"localhost", "/tenants/", "q=%25&sort=done&page=1"},
		{"localhost", "/subtasks/", "q=%00%ff"},
		{"TENANT-1.localhost.", "/projects.json", "q=_&page=99999999999999999999"},
		{"tenant-1.localhost", "/subtasks/%2e%2e/1/", "size=%zz;"},
		{"[::1]", "//evil.com/", ""},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	w := newFixture(f, single, nil)
	f.Fuzz(func(t *testing.T, host, path, query string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.Host, r.URL = host, &url.URL{Path: path, RawQuery: query}
		recorder := httptest.NewRecorder()
		w.handler.ServeHTTP(recorder, r)
		if recorder.Code >= http.StatusInternalServerError {
			t.Fatalf("%d: %s\n%s", recorder.Code, recorder.Body, w.log)
		}
	})
}
