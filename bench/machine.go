package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// describeMachine says on what, with what, when and of which commit the figures are.
func (b *bench) describeMachine(ctx context.Context, d *document) error {
	conn, err := pgx.Connect(ctx, b.dsn("postgres"))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	var version string
	if err := conn.QueryRow(ctx, "show server_version").Scan(&version); err != nil {
		return err
	}
	d.table([]string{"", ""}, [][]string{
		{"Machine", fmt.Sprintf("%s, %d cores, %s memory, %s/%s", fileLine("/proc/cpuinfo", "model name"), runtime.NumCPU(), fileLine("/proc/meminfo", "MemTotal"), runtime.GOOS, runtime.GOARCH)},
		{"PostgreSQL", version + ", on the same machine, by its socket, with the settings of the private server"},
		{"Go", runtime.Version()},
		{"Commit", commit(ctx)},
		{"Date", time.Now().UTC().Format("2006-01-02 15:04 UTC")},
		{"Load of the machine before", loadAverage() + " (processes ready to run, over 1, 5 and 15 minutes)"},
	})
	return nil
}

// fileLine returns what is behind a name and a colon.
func fileLine(path, name string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return "unknown"
	}
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}

func loadAverage() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	words := strings.Fields(string(text))
	return strings.Join(words[:min(3, len(words))], ", ")
}

func commit(ctx context.Context) string {
	out, err := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty=, with changes").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}
