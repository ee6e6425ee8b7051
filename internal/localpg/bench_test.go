//go:build unix

package localpg

import (
	"context"
	"os"
	"path/filepath"
	"testing"
)

func benchmarkStart(b *testing.B, dir string) {
	server, err := Start(context.Background(), Options{Dir: dir})
	if err != nil {
		b.Fatal(err)
	}
	b.StopTimer()
	if err := server.Close(); err != nil {
		b.Fatal(err)
	}
	b.StartTimer()
}

func benchmarkDir(b *testing.B) string {
	dir, err := os.MkdirTemp(ScratchDir(), "localpg-bench-")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		b.Fatal(err)
	}
	return filepath.Join(dir, "pg")
}

// A first start: initdb and the server.
func BenchmarkColdStart(b *testing.B) {
	for b.Loop() {
		benchmarkStart(b, benchmarkDir(b))
	}
}

// A start on existing data.
func BenchmarkWarmStart(b *testing.B) {
	dir := benchmarkDir(b)
	benchmarkStart(b, dir)
	for b.Loop() {
		benchmarkStart(b, dir)
	}
}

// Joining a running server.
func BenchmarkJoin(b *testing.B) {
	dir := benchmarkDir(b)
	server, err := Start(context.Background(), Options{Dir: dir})
	if err != nil {
		b.Fatal(err)
	}
	defer server.Close()
	for b.Loop() {
		benchmarkStart(b, dir)
	}
}
