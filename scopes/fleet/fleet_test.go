package fleet_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/pressly/goose/v3"
	"github.com/stretchr/testify/require"

	"tenanted/scopes"
	"tenanted/scopes/fleet"
	"tenanted/scopes/pgtest"
)

func TestMain(m *testing.M) {
	if os.Getenv(asChild) != "" {
		child()
	}
	pgtest.Main(m)
}

// files makes a file system of migrations, numbered from 1.
func files(ups ...string) fstest.MapFS {
	fs := fstest.MapFS{}
	for i, up := range ups {
		fs[fmt.Sprintf("%05d_step.sql", i+1)] = &fstest.MapFile{Data: []byte("-- +goose Up\n" + up + ";\n-- +goose Down\nselect 1;\n")}
	}
	return fs
}

const (
	makeNotes = "create table notes (id bigint primary key)"
	addText   = "alter table notes add text text"
)

// fixture is a server with some databases.
type fixture struct {
	db        *pgtest.DB
	databases []string
	decisions *fleet.DecisionTable
}

// newFixture makes n databases; the first one is the test's.
func newFixture(t testing.TB, n int) *fixture {
	db := pgtest.Database(t, "empty", func(context.Context, *pgx.Conn) error { return nil })
	w := &fixture{db: db, databases: []string{db.Name}}
	for i := 1; i < n; i++ {
		w.databases = append(w.databases, pgtest.Database(t, "empty", func(context.Context, *pgx.Conn) error { return nil }).Name)
	}
	return w
}

// placements returns schemas s0, s1, … in each database.
func (w *fixture) placements(schemas int) (all []scopes.Placement) {
	for _, database := range w.databases {
		for i := range schemas {
			all = append(all, scopes.Placement{Database: database, Schema: fmt.Sprintf("s%d", i)})
		}
	}
	return all
}

func (w *fixture) config(ups ...string) fleet.Config {
	return fleet.Config{
		Connect:    func(scopes.Placement) (*pgx.ConnConfig, error) { return w.db.Config(pgtest.Owner), nil },
		Migrations: files(ups...), Table: "notes_version", By: "ann@test", LockTimeout: 100 * time.Millisecond,
	}
}

func up(t testing.TB, c fleet.Config, placements []scopes.Placement) ([]fleet.Result, error) {
	t.Helper()
	f, err := fleet.New(c)
	require.NoError(t, err)
	return f.Up(pgtest.Context(t), placements)
}

func (w *fixture) exec(t testing.TB, database, sql string) {
	t.Helper()
	conn := w.connect(t, database)
	_, err := conn.Exec(t.Context(), sql)
	require.NoError(t, err)
}

func (w *fixture) connect(t testing.TB, database string) *pgx.Conn {
	t.Helper()
	to := w.db.Config(pgtest.Owner)
	to.Database = database
	conn, err := pgx.ConnectConfig(t.Context(), to)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func TestPlacementsAreBroughtUpAndThenHaveNothingToDo(t *testing.T) {
	t.Parallel()
	w := newFixture(t, 2)
	placements := w.placements(7)
	c := w.config(makeNotes)
	results, err := up(t, c, placements)
	require.NoError(t, err)
	for i, r := range results {
		require.Equal(t, placements[i], r.Placement)
		require.Equal(t, []any{int64(0), int64(1), 1}, []any{r.From, r.To, r.Tries})
		w.exec(t, r.Database, "select id from "+r.Schema+".notes")
	}
	c = w.config(makeNotes, addText)
	var reported []fleet.Progress
	c.Report = func(_ fleet.Result, p fleet.Progress) { reported = append(reported, p) }
	_, err = up(t, c, placements[3:])
	require.NoError(t, err)
	require.Len(t, reported, 11)
	require.Equal(t, 11, reported[10].Done)
	require.Zero(t, reported[10].Left)
	require.Positive(t, reported[5].Left)
	results, err = up(t, c, placements)
	require.NoError(t, err)
	for i, r := range results {
		require.EqualValues(t, 2, r.To)
		require.Equal(t, i < 3, r.Tries > 0, "the others have nothing to do")
	}
	// A newer program's schema is left as it is.
	results, err = up(t, w.config(makeNotes), placements)
	require.NoError(t, err)
	require.Equal(t, []any{int64(2), int64(2), 0}, []any{results[0].From, results[0].To, results[0].Tries})
}

// Two databases of 60 schemas, all up to date, take two connections and a few round trips.
func TestNothingToDoIsCheap(t *testing.T) {
	t.Parallel()
	w := newFixture(t, 2)
	placements := w.placements(60)
	c := w.config(makeNotes)
	_, err := up(t, c, placements)
	require.NoError(t, err)
	sent := &pgtest.RoundTrips{}
	owner := sent.Watch(w.db.Config(pgtest.Owner))
	connected := 0
	var mutex sync.Mutex
	c.Connect = func(scopes.Placement) (*pgx.ConnConfig, error) {
		mutex.Lock()
		defer mutex.Unlock()
		connected++
		return owner, nil
	}
	_, err = up(t, c, placements)
	require.NoError(t, err)
	require.Equal(t, 2, connected)
	require.LessOrEqual(t, sent.N(), int64(2*8), "round trips")
}

func TestOneFailureDoesNotStopTheOthers(t *testing.T) {
	t.Parallel()
	w := newFixture(t, 2)
	placements := w.placements(5)
	for _, p := range []scopes.Placement{placements[1], placements[7]} {
		w.exec(t, p.Database, "create schema "+p.Schema+"; create table "+p.Schema+".notes (id text)")
	}
	missing := scopes.Placement{Database: w.db.Name + "_none", Schema: "s0"}
	c := w.config("select 1", makeNotes, addText)
	results, err := up(t, c, append(placements, missing))
	failed, ok := errors.AsType[*fleet.Error](err)
	require.True(t, ok, "%v", err)
	require.Len(t, failed.Failed, 3)
	require.Equal(t, placements[1], failed.Failed[0].Placement)
	require.EqualValues(t, 1, failed.Failed[0].To, "what was done before stays")
	require.Contains(t, err.Error(), "3 of 11 placements are not migrated, first "+placements[1].String())
	require.Contains(t, err.Error(), "already exists")
	require.Contains(t, results[10].Err.Error(), missing.Database)
	require.EqualValues(t, 3, results[6].To)

	for _, p := range []scopes.Placement{placements[1], placements[7]} {
		w.exec(t, p.Database, "drop table "+p.Schema+".notes")
	}
	results, err = up(t, c, placements) // resumes with what is missing
	require.NoError(t, err)
	for i, r := range results {
		require.EqualValues(t, 3, r.To)
		require.Equal(t, i == 1 || i == 7, r.Tries > 0)
	}
}

func TestCanaries(t *testing.T) {
	t.Parallel()
	w := newFixture(t, 1)
	placements := w.placements(6)
	w.exec(t, w.db.Name, "create schema s1; create table s1.notes (id text)")
	c := w.config(makeNotes)
	c.Canary = 2
	results, err := up(t, c, placements)
	require.Error(t, err)
	for i, r := range results {
		require.Equal(t, i >= 2, errors.Is(r.Err, fleet.ErrNotBegun))
		require.Equal(t, i == 0, r.To == 1)
	}
	w.exec(t, w.db.Name, "drop table s1.notes")
	_, err = up(t, c, placements)
	require.NoError(t, err)
	c = w.config(makeNotes, addText)
	c.Canary = 100
	_, err = up(t, c, placements)
	require.NoError(t, err)
}

// Whoever migrates a placement at the same time is waited for, and named.
func TestTwoAtOnce(t *testing.T) {
	t.Parallel()
	w := newFixture(t, 1)
	placements := w.placements(1)
	begun, goOn := make(chan bool), make(chan bool)
	first := w.config(makeNotes)
	first.By = strings.Repeat("a", 70) + "ä@host"
	first.After = func(context.Context, *pgx.Conn, scopes.Placement) error { close(begun); <-goOn; return nil }
	done := make(chan error)
	go func() { _, err := up(t, first, placements); done <- err }()
	<-begun
	second := w.config(makeNotes)
	second.Always = true
	locks := make(chan fleet.Lock, 1)
	second.Waiting = func(l fleet.Lock) {
		locks <- l
		time.AfterFunc(3*second.LockTimeout, func() { close(goOn) }) // the lock is waited for all the same
	}
	results, err := up(t, second, placements)
	require.NoError(t, err)
	require.NoError(t, <-done)
	lock := <-locks
	require.Contains(t, lock.String(), "s0 is being migrated by aaa")
	require.Positive(t, lock.PID)
	require.WithinDuration(t, time.Now(), lock.Since, time.Minute)
	require.EqualValues(t, 1, results[0].To)
}

// A table that somebody has locked is not waited for long, since others would wait behind; it is tried again.
func TestALockedTableIsTriedAgain(t *testing.T) {
	t.Parallel()
	w := newFixture(t, 1)
	placements := w.placements(1)
	_, err := up(t, w.config(makeNotes), placements)
	require.NoError(t, err)
	conn := w.connect(t, w.db.Name)
	tx, err := conn.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), "select from s0.notes")
	require.NoError(t, err)
	c := w.config(makeNotes, addText)
	c.Retries = 1
	results, err := up(t, c, placements)
	require.ErrorContains(t, err, "lock timeout")
	require.Equal(t, 2, results[0].Tries)
	require.EqualValues(t, 1, results[0].To)
	var holder sync.WaitGroup
	watcher := w.connect(t, w.db.Name)
	holder.Go(func() {
		defer tx.Rollback(context.Background())
		for _, want := range []bool{true, false} { // until one try has waited, and has given up
			for waits := !want; waits != want && t.Context().Err() == nil; {
				_ = watcher.QueryRow(t.Context(), "select exists (select from pg_locks where relation = 's0.notes'::regclass and not granted)").Scan(&waits)
			}
		}
	})
	c.Retries = 50
	results, err = up(t, c, placements)
	holder.Wait()
	require.NoError(t, err)
	require.Greater(t, results[0].Tries, 1)
}

// An interrupted run begins no further placement, and the next one goes on.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	w := newFixture(t, 2)
	placements := w.placements(10)
	ctx, stop := context.WithCancel(t.Context())
	c := w.config(makeNotes)
	c.Jobs = 2
	c.Report = func(_ fleet.Result, p fleet.Progress) {
		if p.Done == 5 {
			stop()
		}
	}
	f, err := fleet.New(c)
	require.NoError(t, err)
	results, err := f.Up(ctx, placements)
	require.ErrorIs(t, err, fleet.ErrNotBegun)
	done := 0
	for _, r := range results {
		if r.Err == nil {
			done++
		}
	}
	require.GreaterOrEqual(t, done, 5)
	require.Less(t, done, 10)
	c.Report = nil
	results, err = up(t, c, placements)
	require.NoError(t, err)
	for _, r := range results {
		require.EqualValues(t, 1, r.To)
	}
}

func TestMigrationsThatAreFunctions(t *testing.T) {
	t.Parallel()
	w := newFixture(t, 1)
	c := w.config()
	c.Migrations = nil
	c.Go = []*goose.Migration{goose.NewGoMigration(1, &goose.GoFunc{RunDB: nil, RunTx: nil}, nil)}
	_, err := up(t, c, w.placements(3))
	require.NoError(t, err)
}

func TestConfigsThatAreRefused(t *testing.T) {
	t.Parallel()
	connect := func(scopes.Placement) (*pgx.ConnConfig, error) { return nil, nil }
	for want, c := range map[string]fleet.Config{
		"Connect is required":     {Migrations: files("select 1")},
		"Migrations or Config.Go": {Connect: connect},
		"must not be negative":    {Connect: connect, Migrations: files("select 1"), Jobs: -1},
		"no migrations found":     {Connect: connect, Migrations: fstest.MapFS{}},
	} {
		_, err := fleet.New(c)
		require.ErrorContains(t, err, want)
	}
}

func TestAPoolerIsRefused(t *testing.T) {
	t.Parallel()
	w := newFixture(t, 1)
	bouncer := pgtest.PgBouncer(t, w.db.Config(pgtest.Owner))
	c := w.config(makeNotes)
	c.Connect = func(scopes.Placement) (*pgx.ConnConfig, error) { return bouncer, nil }
	_, err := up(t, c, w.placements(1))
	require.ErrorAs(t, err, new(*fleet.PoolerError))
}

// ledger remembers what it is told.
type ledger struct {
	mutex  sync.Mutex
	begun  []scopes.Placement
	ended  map[int64]fleet.Result
	broken error
}

func (l *ledger) Begin(_ context.Context, p scopes.Placement, by string) (int64, error) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if l.broken == nil && by != "ann@test" {
		return 0, errors.New("who?")
	}
	l.begun = append(l.begun, p)
	return int64(len(l.begun) - 1), l.broken
}

func (l *ledger) End(_ context.Context, id int64, r fleet.Result) error {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.ended[id] = r
	return nil
}

func TestTheLedger(t *testing.T) {
	t.Parallel()
	w := newFixture(t, 1)
	placements := w.placements(4)
	w.exec(t, w.db.Name, "create schema s1; create table s1.notes (id text)")
	l := &ledger{ended: map[int64]fleet.Result{}}
	c := w.config(makeNotes)
	c.Ledger = l
	_, err := up(t, c, placements)
	require.Error(t, err)
	require.Len(t, l.ended, 4)
	for i, p := range l.begun {
		require.Equal(t, p, l.ended[int64(i)].Placement)
		require.Equal(t, p.Schema == "s1", l.ended[int64(i)].Err != nil)
	}
	l.broken = errors.New("no ledger")
	_, err = up(t, c, placements)
	require.ErrorIs(t, err, l.broken)
	w.exec(t, w.db.Name, "drop table s1.notes")
	l.broken = nil
	_, err = up(t, c, placements)
	require.NoError(t, err)
	require.Len(t, l.begun, 6, "what has nothing to do is not in it")
}

func BenchmarkNothingToDo(b *testing.B) {
	w := newFixture(b, 1)
	for _, n := range []int{1, 100, 500} {
		b.Run(fmt.Sprintf("%d schemas", n), func(b *testing.B) {
			placements := w.placements(n)
			_, err := up(b, w.config(makeNotes), placements)
			require.NoError(b, err)
			f, err := fleet.New(w.config(makeNotes))
			require.NoError(b, err)
			for b.Loop() {
				if _, err := f.Up(b.Context(), placements); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*n), "µs/placement")
		})
	}
}
