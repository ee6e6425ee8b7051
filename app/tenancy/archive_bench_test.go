package tenancy_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"tenanted/app/config"
	"tenanted/app/tenancy"
	"tenanted/scopes"
	"tenanted/scopes/archive"
	"tenanted/scopes/pgtest"
)

// go test ./app/tenancy -run - -bench Archive -benchtime 1x -rows 1000000 -timeout 2h
var archiveRows = flag.Int("rows", 2000, "subtasks of the tenant that BenchmarkArchive exports and moves")

// BenchmarkArchive creates, exports, imports, clones and moves one tenant beside others, and beside these COPY by hand: of the same rows
// into the same tables, without a file, compression or a check. It tells the seconds of each, and of the moves, during which the tenant
// is written to, how long changes waited by the command's word, and the longest time between two that were acknowledged.
func BenchmarkArchive(b *testing.B) {
	for _, strategy := range config.Strategies() {
		b.Run(string(strategy), func(b *testing.B) {
			db := pgtest.Elsewhere(b, "empty", func(context.Context, *pgx.Conn) error { return nil })
			cfg := settings(b, db, strategy, "PGOWNER="+operator(b, db))
			withTenants(b, cfg, 2)
			w := &archiveBench{creator: newCreator(b, cfg), cfg: cfg, path: filepath.Join(b.TempDir(), "file"), took: map[string]time.Duration{}}
			require.NoError(b, w.fill(b.Context()))
			for b.Loop() {
				w.run(b)
			}
			b.ReportMetric(0, "ns/op")
			for what, took := range w.took {
				b.ReportMetric(took.Seconds()/float64(w.round), what+"-s")
			}
			b.ReportMetric(float64(w.rows), "rows")
		})
	}
}

// run does everything once, with names of its own.
func (w *archiveBench) run(b *testing.B) {
	w.round++
	named := func(what string) string { return fmt.Sprintf("%s-%d", what, w.round) }
	drop := func(slug string) {
		_, err := w.creator.Drop(b.Context(), slug, nil)
		require.NoError(b, err)
	}
	w.time(b, "create", func(ctx context.Context) error {
		_, err := w.creator.CreateByName(ctx, named("empty"), "Empty", config.Choice{})
		return err
	})
	w.time(b, "export", w.export)
	w.time(b, "copy-out", w.copyOut)
	w.time(b, "import", func(ctx context.Context) error { return w.load(ctx, tenancy.Import{Slug: named("kept")}) })
	drop(named("kept"))
	w.time(b, "new-keys", func(ctx context.Context) error {
		return w.load(ctx, tenancy.Import{Slug: named("new"), NewKeys: true})
	})
	drop(named("new"))
	w.time(b, "copy-in", w.copyIn)
	drop(named("copied"))
	w.time(b, "clone", func(ctx context.Context) error {
		_, err := w.creator.Clone(ctx, numbered(0).Slug, tenancy.Import{Slug: named("clone")})
		return err
	})
	drop(named("clone"))
	w.moves(b)
}

// moves moves the tenant as far as the configuration has places, followed and behind locks.
func (w *archiveBench) moves(b *testing.B) {
	at := func(n int) config.Choice { return config.Choice{Schema: fmt.Sprintf("moved%d_%d", n, w.round)} }
	switch w.cfg.Strategy {
	case config.SingleSchema:
		return
	case config.MultipleDb:
		at = func(n int) config.Choice {
			return config.Choice{Database: fmt.Sprintf("%s_moved%d_%d", w.cfg.Database, n, w.round)}
		}
	case config.Mixed:
		w.move(b, "shared", tenancy.MoveOptions{Where: at(0)}) // out of the shared tables
		w.move(b, "to-shared", tenancy.MoveOptions{})
		w.move(b, "shared-lock", tenancy.MoveOptions{Where: at(1), Lock: true})
	}
	w.move(b, "own", tenancy.MoveOptions{Where: at(2)})
	w.move(b, "own-lock", tenancy.MoveOptions{Where: at(3), Lock: true})
}

// move moves the tenant while it is written to.
func (w *archiveBench) move(b *testing.B, what string, o tenancy.MoveOptions) {
	tenants, err := tenancy.Open(b.Context(), w.cfg, slog.New(slog.DiscardHandler))
	require.NoError(b, err)
	defer tenants.Close()
	w.written += 100_000_000
	l := &load{tenants: tenants, base: w.written}
	ctx, stop := context.WithCancel(b.Context())
	var writers sync.WaitGroup
	for number := range 3 {
		writers.Go(func() { l.write(ctx, number) })
	}
	var m tenancy.Move
	w.time(b, "move-"+what, func(ctx context.Context) (err error) {
		m, err = w.creator.Move(ctx, numbered(0).Slug, o)
		return err
	})
	require.Eventually(b, func() bool { return l.since(m.Held / 2) }, time.Minute, time.Millisecond)
	stop()
	writers.Wait()
	require.Equal(b, !o.Lock, m.Followed)
	w.took["held-"+what] += m.Held
	w.took["pause-"+what] += l.pause
	b.Logf("%s: %d rows, %d changes applied, held %v, the longest pause %v; %d acknowledged, %d refused", what, m.Rows, m.Changes, m.Held, l.pause, len(l.tasks), l.retried)
}

type archiveBench struct {
	creator *tenancy.Creator
	cfg     config.Config
	path    string
	round   int
	rows    int64
	written int64                    // ids up to there are taken
	took    map[string]time.Duration // in all rounds
	tables  []archive.Table
	plain   map[string]*bytes.Buffer // what copyOut wrote, by table
}

func (w *archiveBench) time(b *testing.B, what string, work func(context.Context) error) {
	began := time.Now()
	require.NoError(b, work(b.Context()), what)
	w.took[what] += time.Since(began)
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
