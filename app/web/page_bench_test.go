package web

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
)

// BenchmarkPage asks for a tenant's first page of subtasks, without a network.
func BenchmarkPage(b *testing.B) {
	w := newFixture(b, single, func(o *Options) {
		o.AccessLog = slog.New(slog.DiscardHandler)
	})
	for _, bench := range []struct{ name, host, path string }{
		{"tenant", "tenant-0.localhost", "/subtasks/"},
		{"all", "localhost", "/subtasks/"},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r := httptest.NewRequest(http.MethodGet, bench.path, nil)
				r.Host = bench.host
				recorder := httptest.NewRecorder()
				w.handler.ServeHTTP(recorder, r)
				if recorder.Code != http.StatusOK {
					b.Fatal(recorder.Body.String())
				}
			}
		})
	}
}
