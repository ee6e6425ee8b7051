package web

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// BenchmarkPage asks for a tenant's first page of subtasks, without a network, as nobody and as somebody.
func BenchmarkPage(b *testing.B) {
	w := newFixture(b, single, func(o *Options) {
		o.AccessLog = slog.New(slog.DiscardHandler)
	})
	_, session, _ := strings.Cut(w.as(b, 0, memberID), ": ")
	for _, bench := range []struct{ name, host, path, cookie string }{
		{"tenant", "tenant-0.localhost", "/subtasks/", ""},
		{"signed-in", "tenant-0.localhost", "/subtasks/", session},
		{"open", "tenant-0.localhost", "/subtasks/?status=open", ""},
		{"all", "localhost", "/subtasks/", ""},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r := httptest.NewRequest(http.MethodGet, bench.path, nil)
				r.Host = bench.host
				if bench.cookie != "" {
					r.Header.Set("Cookie", bench.cookie)
				}
				recorder := httptest.NewRecorder()
				w.handler.ServeHTTP(recorder, r)
				if recorder.Code != http.StatusOK {
					b.Fatal(recorder.Body.String())
				}
			}
		})
	}
}

// BenchmarkSignIn signs a user in: the hash of a password is most of it, on purpose.
func BenchmarkSignIn(b *testing.B) {
	w := newFixture(b, single, nil)
	for b.Loop() {
		if status := w.signIn(b, 0, adminEmail, passwordOf(0)).StatusCode; status != http.StatusSeeOther {
			b.Fatal(status)
		}
	}
}
