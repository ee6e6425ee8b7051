package tenancy_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"tenanted/app/config"
	"tenanted/app/tenancy"
	"tenanted/scopes"
	"tenanted/scopes/archive"
)

// go test ./app/tenancy -run - -bench Archive -benchtime 3x -rows 1000000
var archiveRows = flag.Int("rows", 2000, "subtasks of the tenant that BenchmarkArchive exports")

// BenchmarkArchive exports and imports one tenant beside others, and beside both COPY by hand: of the same rows into the same tables,
// without a file, compression or a check.
func BenchmarkArchive(b *testing.B) {
	for _, strategy := range config.Strategies() {
		b.Run(string(strategy), func(b *testing.B) {
			_, cfg := bare(b, strategy)
			withTenants(b, cfg, 2)
			creator := newCreator(b, cfg)
			w := &archiveBench{creator: creator, cfg: cfg, path: filepath.Join(b.TempDir(), "file")}
			require.NoError(b, w.fill(b.Context()))
			var export, copyOut, load, fresh, copyIn time.Duration
			for b.Loop() {
				w.round++
				export += w.time(b, w.export)
				copyOut += w.time(b, w.copyOut)
				load += w.time(b, func(ctx context.Context) error {
					return w.load(ctx, tenancy.Import{Slug: fmt.Sprintf("kept-%d", w.round)})
				})
				fresh += w.time(b, func(ctx context.Context) error {
					return w.load(ctx, tenancy.Import{Slug: fmt.Sprintf("new-%d", w.round), NewKeys: true})
				})
				copyIn += w.time(b, w.copyIn)
			}
			rate := func(total time.Duration, unit string) {
				b.ReportMetric(float64(w.rows)*float64(w.round)/total.Seconds(), unit)
			}
			b.ReportMetric(0, "ns/op")
			rate(export, "export-rows/s")
			rate(copyOut, "copy-out-rows/s")
			rate(load, "import-rows/s")
			rate(fresh, "new-keys-rows/s")
			rate(copyIn, "copy-in-rows/s")
		})
	}
}

type archiveBench struct {
	creator *tenancy.Creator
	cfg     config.Config
	path    string
	round   int
	rows    int64
	tables  []archive.Table
	plain   map[string]*bytes.Buffer // what copyOut wrote, by table
}

func (*archiveBench) time(b *testing.B, work func(context.Context) error) time.Duration {
	began := time.Now()
	require.NoError(b, work(b.Context()))
	return time.Since(began)
}

// fill gives the first tenant its rows, as the seed would: a hundred subtasks to a task, and names of
// words that many rows have, for the index of shared tables on them.
func (w *archiveBench) fill(ctx context.Context) error {
	_, err := w.creator.Create(ctx, numbered(0), func(ctx context.Context, in tenancy.Placed) error {
		return in.Begin(ctx, func(tx pgx.Tx) error {
			_, err := tx.Exec(ctx, fmt.Sprintf(`
				insert into tasks (account_id, id, project_id, name) select 1, n, 1, 'Task ' || n from generate_series(1, %[1]d / 100) n;
				insert into subtasks (account_id, id, task_id, name, complete, details)
					select 1, n, n %% (%[1]d / 100) + 1, format('w%%s x%%s y%%s', n * 7919::bigint %% 997, n * 104729::bigint %% 997, n * 31::bigint %% 997), n %% 3 = 0, repeat('Some details of it. ', n %% 5) from generate_series(1, %[1]d) n;
				analyze`, *archiveRows), pgx.QueryExecModeSimpleProtocol)
			return err
		})
	})
	return err
}

func (w *archiveBench) export(ctx context.Context) error {
	file, err := os.Create(w.path)
	if err != nil {
		return err
	}
	defer file.Close()
	contents, err := w.creator.Export(ctx, numbered(0).Slug, file, nil)
	w.rows, w.tables = contents.Rows(), contents.Manifest.Tables
	return err
}

func (w *archiveBench) load(ctx context.Context, o tenancy.Import) error {
	file, err := os.Open(w.path)
	if err != nil {
		return err
	}
	defer file.Close()
	a, err := archive.Verify(ctx, file)
	if err != nil {
		return err
	}
	_, err = w.creator.Import(ctx, a, o)
	return err
}

// byHand runs work in the placement of a tenant, which is made for it.
func (w *archiveBench) byHand(ctx context.Context, n tenancy.NewTenant, work func(pgx.Tx) error) error {
	_, err := w.creator.Create(ctx, n, func(ctx context.Context, in tenancy.Placed) error {
		return in.Begin(ctx, work)
	})
	return err
}

func (w *archiveBench) copyOut(ctx context.Context) error {
	w.plain = map[string]*bytes.Buffer{}
	return w.byHand(ctx, numbered(0), func(tx pgx.Tx) error {
		for _, table := range w.tables {
			w.plain[table.Name] = &bytes.Buffer{}
			sql := fmt.Sprintf("copy (select %s from %s where %s = 1) to stdout", columnsOf(table), table.Name, table.Tenant[0])
			if _, err := tx.Conn().PgConn().CopyTo(ctx, w.plain[table.Name], sql); err != nil {
				return err
			}
		}
		return nil
	})
}

// columnsOf returns a table's columns, the tenant's first.
func columnsOf(t archive.Table) string {
	names := slices.Clone(t.Tenant)
	for _, c := range t.Columns {
		names = append(names, c.Name)
	}
	return strings.Join(names, ", ")
}

func (w *archiveBench) copyIn(ctx context.Context) error {
	n := tenancy.NewTenant{ID: scopes.TenantID(1000 + w.round), Slug: fmt.Sprintf("copied-%d", w.round)}
	return w.byHand(ctx, n, func(tx pgx.Tx) error {
		for _, table := range w.tables {
			// The tenant comes first in each line.
			rows := bytes.ReplaceAll(append([]byte("\n"), w.plain[table.Name].Bytes()...), []byte("\n1\t"), fmt.Appendf(nil, "\n%d\t", n.ID))
			if _, err := tx.Conn().PgConn().CopyFrom(ctx, bytes.NewReader(rows[1:]), fmt.Sprintf("copy %s (%s) from stdin", table.Name, columnsOf(table))); err != nil {
				return err
			}
		}
		return nil
	})
}
