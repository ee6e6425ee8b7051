package web

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"tenanted/scopes/pgtest"
)

// BenchmarkPage asks for pages of subtasks, without a network, as nobody and as somebody. With CITUS_DSN these are of the cluster, and
// those of plain PostgreSQL come beside them.
func BenchmarkPage(b *testing.B) {
	if pgtest.HasCitus() {
		b.Run("plain", func(b *testing.B) { benchmarkPages(b, mixed) }) // whose tenant-0 is in shared tables
	}
	benchmarkPages(b, single)
}

func benchmarkPages(b *testing.B, configuration string) {
	w := newFixture(b, configuration, func(o *Options) {
		o.AccessLog = slog.New(slog.DiscardHandler)
	})
	_, session, _ := strings.Cut(w.as(b, 0, memberID), ": ")
	for _, bench := range []struct{ name, host, path, cookie string }{
		{"tenant", "tenant-0.localhost", "/subtasks/", ""},
		{"signed-in", "tenant-0.localhost", "/subtasks/", session},
		{"open", "tenant-0.localhost", "/subtasks/?status=open", ""},
		{"search", "tenant-0.localhost", "/subtasks/?q=chapter", ""},
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
