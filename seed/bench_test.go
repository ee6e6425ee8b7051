package seed_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"tenanted/scopes/pgtest"
	"tenanted/seed"
)

// go test ./seed -run - -bench Load -benchtime 1x -accounts 2000
var accounts = flag.Int("accounts", 100, "accounts that BenchmarkLoad makes")

func BenchmarkGenerate(b *testing.B) {
	b.ReportAllocs()
	plan(b, seed.DefaultOptions(), 0) // the vocabulary and the password's hash, which are made once
	made, number := int64(0), 0
	for b.Loop() {
		p := plan(b, seed.DefaultOptions(), number)
		for range p.Users() {
			made++
		}
		for range p.Projects() {
			made++
		}
		for range p.Tasks() {
			made++
		}
		for range p.Subtasks() {
			made++
		}
		number++
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(made), "ns/row")
}

// BenchmarkLoad compares parallel Loads with their floor: a server-side binary COPY of the same rows, in the same order,
// from files into the same empty tables, on one connection.
func BenchmarkLoad(b *testing.B) {
	files, rows := dump(b)
	var floor float64
	b.Run("floor", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			conn := database(b).Connect(b, pgtest.Superuser)
			b.StartTimer()
			copyFiles(b, conn, files)
		}
		floor = report(b, rows)
	})
	for _, workers := range []int{1, 2, 4} {
		b.Run(fmt.Sprintf("workers=%d", workers), func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				db := database(b)
				b.StartTimer()
				_, err := loadAll(b.Context(), db, seed.DefaultOptions(), *accounts, workers, nil)
				require.NoError(b, err)
			}
			b.ReportMetric(report(b, rows)/floor, "x-floor")
		})
	}
}

// report adds the rate to the benchmark's line and returns the seconds of one iteration.
func report(b *testing.B, rows int64) float64 {
	seconds := b.Elapsed().Seconds() / float64(b.N)
	b.ReportMetric(float64(rows)/seconds, "rows/s")
	return seconds
}

var tables = []string{"accounts", "users", "projects", "tasks", "subtasks"}

// dump writes the rows of all accounts, in the order of their keys, to a file for each table that the server can
// read, and returns the files' directory and the number of rows.
func dump(b *testing.B) (dir string, rows int64) {
	b.Helper()
	db := database(b)
	totals, err := loadAll(b.Context(), db, seed.DefaultOptions(), *accounts, 2, nil)
	require.NoError(b, err)
	dir, err = os.MkdirTemp("", "seed-bench-")
	require.NoError(b, err)
	b.Cleanup(func() { os.RemoveAll(dir) })
	require.NoError(b, os.Chmod(dir, 0o755))
	conn := db.Connect(b, pgtest.Superuser)
	for _, table := range tables {
		file, err := os.Create(filepath.Join(dir, table))
		require.NoError(b, err)
		_, err = conn.PgConn().CopyTo(b.Context(), file, "copy (select "+columns(b, conn, table)+" from "+table+" order by 1, 2) to stdout (format binary)")
		require.NoError(b, err)
		require.NoError(b, file.Chmod(0o644))
		require.NoError(b, file.Close())
	}
	return dir, totals.Accounts + totals.Users + totals.Projects + totals.Tasks + totals.Subtasks
}

// columns returns a table's columns but those that PostgreSQL generates from others.
func columns(b *testing.B, conn *pgx.Conn, table string) (names string) {
	const query = "select string_agg(quote_ident(attname), ', ' order by attnum) from pg_attribute where attrelid = $1::text::regclass and attnum > 0 and not attisdropped and attgenerated = ''"
	require.NoError(b, conn.QueryRow(b.Context(), query, table).Scan(&names))
	return names
}

func copyFiles(b *testing.B, conn *pgx.Conn, dir string) {
	for _, table := range tables {
		_, err := conn.Exec(b.Context(), fmt.Sprintf("copy %s (%s) from '%s' (format binary)", table, columns(b, conn, table), filepath.Join(dir, table)))
		require.NoError(b, err)
	}
}
