package fleet_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"tenanted/scopes"
	"tenanted/scopes/fleet"
	"tenanted/scopes/pgtest"
)

const decisionTable = `create table atomic_migrations (name text primary key, operator text not null, began_at timestamptz not null default now(),
	decision text check (decision in ('commit', 'rollback')), decided_at timestamptz, ended_at timestamptz)`

// atomicConfig is config with the decisions in the first database.
func (w *fixture) atomicConfig(t testing.TB, ups ...string) fleet.Config {
	c := w.config(ups...)
	if w.decisions == nil {
		w.exec(t, w.db.Name, decisionTable)
		w.decisions = &fleet.DecisionTable{Conn: w.db.Config(pgtest.Owner), Table: pgx.Identifier{"atomic_migrations"}}
	}
	c.Decisions = w.decisions
	return c
}

func atomic(t testing.TB, c fleet.Config, placements []scopes.Placement) ([]fleet.Result, error) {
	t.Helper()
	f, err := fleet.New(c)
	require.NoError(t, err)
	results, err := fleet.Atomic(pgtest.Context(t), fleet.Part{Fleet: f, Placements: placements})
	if results == nil {
		return nil, err
	}
	return results[0], err
}

// noneLeft wants no prepared transaction in the fixture's databases, and nobody to be kept waiting.
func (w *fixture) noneLeft(t testing.TB) {
	t.Helper()
	prepared, err := fleet.ListPrepared(t.Context(), w.connect(t, w.db.Name))
	require.NoError(t, err)
	for _, p := range prepared {
		require.NotContains(t, w.databases, p.Database)
	}
	for _, database := range w.databases {
		w.exec(t, database, "set statement_timeout = '10s'; do $$ declare s text; begin for s in select nspname from pg_namespace where nspname like 's_' loop "+
			"if to_regclass(s || '.notes') is not null then execute format('insert into %I.notes default values', s); end if; end loop; end $$")
	}
}

const numbered = "create table notes (id bigint generated always as identity primary key)"

func TestAllOrNone(t *testing.T) {
	t.Parallel()
	for _, databases := range []int{1, 3} {
		t.Run(fmt.Sprintf("%d databases", databases), func(t *testing.T) {
			t.Parallel()
			w := newFixture(t, databases)
			placements := w.placements(4)
			l := &ledger{ended: map[int64]fleet.Result{}}
			with := func(ups ...string) fleet.Config {
				c := granting(w.atomicConfig(t, ups...))
				c.Ledger, c.Always = l, true
				return c
			}
			results, err := atomic(t, with(numbered), placements[:len(placements)-1])
			require.NoError(t, err)
			for _, r := range results {
				require.Equal(t, []any{int64(0), int64(1), 1}, []any{r.From, r.To, r.Tries})
			}
			require.Len(t, l.ended, len(placements)-1)

			broken := placements[len(placements)-2]
			w.exec(t, broken.Database, "alter table "+broken.Schema+".notes add text int")
			results, err = atomic(t, with(numbered, addText), placements)
			failed, ok := errors.AsType[*fleet.Error](err)
			require.True(t, ok, "%v", err)
			require.Len(t, failed.Failed, len(placements))
			for i, r := range results {
				if placements[i] == broken {
					require.ErrorContains(t, r.Err, "already exists")
				} else {
					require.ErrorIs(t, r.Err, fleet.ErrRolledBack)
				}
				require.Equal(t, r.From, r.To)
			}
			for _, r := range l.ended {
				require.Equal(t, r.Err != nil, r.From == r.To)
			}
			for _, p := range placements[:len(placements)-2] {
				w.exec(t, p.Database, "alter table "+p.Schema+".notes add text text; alter table "+p.Schema+".notes drop text")
			}
			w.noneLeft(t)
			w.exec(t, broken.Database, "alter table "+broken.Schema+".notes drop text")
			var reported int
			c := with(numbered, addText)
			c.Report = func(fleet.Result, fleet.Progress) { reported++ }
			for range 2 {
				reported = 0
				results, err = atomic(t, c, placements)
				require.NoError(t, err)
				require.Equal(t, len(placements), reported)
				for _, r := range results {
					require.EqualValues(t, 2, r.To)
					w.exec(t, r.Database, "select text from "+r.Schema+".notes")
				}
			}
			w.noneLeft(t)
		})
	}
}

func TestAtomicOfSeveralSets(t *testing.T) {
	t.Parallel()
	w := newFixture(t, 2)
	placements := w.placements(2)
	more := w.atomicConfig(t, "create index notes_text on notes (text)")
	more.Table = "more_version"
	notes, indexes := w.fleet(t, w.atomicConfig(t, numbered, addText)), w.fleet(t, more)
	results, err := fleet.Atomic(pgtest.Context(t), fleet.Part{Fleet: notes, Placements: placements}, fleet.Part{Fleet: indexes, Placements: placements[1:2]})
	require.NoError(t, err)
	require.Len(t, results[1], 1)
	require.EqualValues(t, 1, results[1][0].To)
	w.exec(t, placements[1].Database, "drop index s1.notes_text")
	w.noneLeft(t)
	none, err := fleet.Atomic(t.Context())
	require.NoError(t, err)
	require.Empty(t, none)
}

// A table that is locked is tried again, within the transaction.
func TestAtomicWaitsForALock(t *testing.T) {
	t.Parallel()
	w := newFixture(t, 2)
	placements := w.placements(2)
	_, err := up(t, w.config(numbered), placements)
	require.NoError(t, err)
	tx, err := w.connect(t, placements[3].Database).Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), "select from s1.notes")
	require.NoError(t, err)
	c := w.atomicConfig(t, numbered, addText)
	c.Retries = 1
	results, err := atomic(t, c, placements)
	require.ErrorContains(t, err, "placements are not migrated")
	require.ErrorContains(t, results[3].Err, "lock timeout")
	w.exec(t, placements[0].Database, "insert into s0.notes default values")
	require.NoError(t, tx.Rollback(t.Context()))
	_, err = atomic(t, c, placements)
	require.NoError(t, err)
	w.noneLeft(t)
}

func TestWhatCannotBeAtomic(t *testing.T) {
	t.Parallel()
	w := newFixture(t, 2)
	c := w.atomicConfig(t, numbered)
	c.Migrations.(fstest.MapFS)["00002_index.sql"] = &fstest.MapFile{
		Data: []byte("-- +goose NO TRANSACTION\n-- +goose Up\ncreate index concurrently notes_id on notes (id);\n-- +goose Down\nselect 1;\n")}
	_, err := atomic(t, c, w.placements(1))
	require.ErrorAs(t, err, new(*fleet.NotAtomicError))
	require.ErrorContains(t, err, "migration 00002_index.sql runs without a transaction")
	_, err = up(t, c, w.placements(1))
	require.NoError(t, err)
	c.Migrations.(fstest.MapFS)["00003_text.sql"] = files("", "", addText)["00003_step.sql"]
	_, err = atomic(t, c, w.placements(1))
	require.NoError(t, err, "it is applied everywhere")

	c = w.atomicConfig(t, numbered, "notify somebody")
	c.Table = "other_version"
	w.exec(t, w.db.Name, "create schema other")
	_, err = atomic(t, c, w.placements(2))
	require.Error(t, err)
	w.noneLeft(t)
	c.Decisions = nil
	_, err = atomic(t, c, w.placements(2))
	require.ErrorContains(t, err, "Config.Decisions is required")
}

// Of two at once one is refused; who migrates as usual waits.
func TestAtomicAtTheSameTime(t *testing.T) {
	t.Parallel()
	w := newFixture(t, 2)
	placements := w.placements(2)
	c := w.atomicConfig(t, numbered)
	ready, goOn := make(chan bool), make(chan bool)
	c.Decisions = decisionsThat{Decisions: w.decisions, beforeCommit: func() { close(ready); <-goOn }}
	done := make(chan error)
	go func() { _, err := atomic(t, c, placements); done <- err }()
	<-ready
	_, err := atomic(t, w.atomicConfig(t, numbered), placements)
	require.ErrorContains(t, err, "another atomic migration is under way, by ann@test since")
	plain := w.config(numbered)
	_, err = up(t, plain, placements)
	require.ErrorAs(t, err, new(*fleet.PreparedError), "who knows nothing of decisions does not wait for ever")
	waiting := make(chan error)
	go func() { _, err := up(t, w.atomicConfig(t, numbered), placements); waiting <- err }()
	require.Never(t, func() bool { return len(waiting) > 0 }, 3*50*time.Millisecond, 50*time.Millisecond)
	close(goOn)
	require.NoError(t, <-done)
	require.NoError(t, <-waiting)
	w.noneLeft(t)
}

// decisionsThat calls a function before or after a decision.
type decisionsThat struct {
	fleet.Decisions
	beforeCommit, afterCommit func()
}

func (d decisionsThat) Commit(ctx context.Context, name string) error {
	if d.beforeCommit != nil {
		d.beforeCommit()
	}
	err := d.Decisions.Commit(ctx, name)
	if d.afterCommit != nil {
		d.afterCommit()
	}
	return err
}

// An answer that is lost is asked for again; a migration that was given up meanwhile is rolled back.
func TestADecisionThatIsNotHeardOf(t *testing.T) {
	t.Parallel()
	w := newFixture(t, 2)
	placements := w.placements(2)
	kill := func() {
		w.exec(t, w.db.Name, "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and query like 'insert into \"atomic_migrations\"%'")
	}
	c := w.atomicConfig(t, numbered)
	c.Decisions = decisionsThat{Decisions: w.decisions, beforeCommit: kill}
	results, err := atomic(t, c, placements)
	require.Error(t, err)
	for _, r := range results {
		require.Error(t, r.Err)
	}
	w.noneLeft(t)
	results, err = atomic(t, w.atomicConfig(t, numbered), placements)
	require.NoError(t, err)
	require.EqualValues(t, 1, results[0].To)
	w.noneLeft(t)
}

// asChild makes the test binary a process that migrates, and is killed.
const asChild = "FLEET_TEST_CHILD"

// order is what a child is to do.
type order struct {
	DSN, Die   string
	Placements []scopes.Placement
	Version    int
}

// steps are that many migrations.
func steps(n int) []string {
	ups := []string{numbered}
	for i := 2; i <= n; i++ {
		ups = append(ups, fmt.Sprintf("alter table notes add column c%d text", i))
	}
	return ups
}

func child() {
	var o order
	if err := json.Unmarshal([]byte(os.Getenv(asChild)), &o); err != nil {
		panic(err)
	}
	to, err := pgx.ParseConfig(o.DSN)
	if err != nil {
		panic(err)
	}
	die := func() {
		self, _ := os.FindProcess(os.Getpid())
		_ = self.Kill()
		select {}
	}
	decisions := decisionsThat{Decisions: &fleet.DecisionTable{Conn: to, Table: pgx.Identifier{"atomic_migrations"}}}
	switch o.Die {
	case "before":
		decisions.beforeCommit = die
	case "after":
		decisions.afterCommit = die
	}
	f, err := fleet.New(fleet.Config{Connect: func(scopes.Placement) (*pgx.ConnConfig, error) { return to, nil }, Migrations: files(steps(o.Version)...),
		Table: "notes_version", Decisions: decisions, Jobs: 2})
	if err != nil {
		panic(err)
	}
	if _, err := fleet.Atomic(context.Background(), fleet.Part{Fleet: f, Placements: o.Placements}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// A process that is killed with kill -9 at whatever moment leaves all or none, once somebody migrates again.
func TestKilledBetweenThePhases(t *testing.T) {
	t.Parallel()
	w := newFixture(t, 4)
	placements := w.placements(2)
	_, err := up(t, w.atomicConfig(t, steps(1)...), placements)
	require.NoError(t, err)
	became := map[string]int{}
	for version := 2; version <= 17; version++ {
		o := order{DSN: w.db.DSN(pgtest.Owner), Placements: placements, Version: version, Die: []string{"before", "after", "", ""}[version%4]}
		w.killed(t, o)
		if o.Die != "" {
			prepared, err := fleet.ListPrepared(t.Context(), w.connect(t, w.db.Name))
			require.NoError(t, err)
			require.GreaterOrEqual(t, len(prepared), 4)
		}
		// Somebody with the older program is first.
		results, err := up(t, w.atomicConfig(t, steps(version-1)...), placements)
		require.NoError(t, err)
		for _, r := range results {
			require.Equal(t, results[0].To, r.To, "all or none")
		}
		became[fmt.Sprint(o.Die, results[0].To == int64(version))]++
		w.noneLeft(t)
		results, err = atomic(t, w.atomicConfig(t, steps(version)...), placements)
		require.NoError(t, err)
		for _, r := range results {
			require.EqualValues(t, version, r.To)
		}
		w.noneLeft(t)
	}
	require.Equal(t, 4, became["beforefalse"], "%v", became)
	require.Equal(t, 4, became["aftertrue"], "%v", became)
}

// killed runs a child until it kills itself, or is killed some time after it began.
func (w *fixture) killed(t *testing.T, o order) {
	t.Helper()
	text, err := json.Marshal(o)
	require.NoError(t, err)
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(self)
	var said strings.Builder
	cmd.Env, cmd.Stderr = append(os.Environ(), asChild+"="+string(text)), &said
	require.NoError(t, cmd.Start())
	if o.Die == "" {
		began := func() bool {
			var n int
			require.NoError(t, w.connect(t, w.db.Name).QueryRow(t.Context(), "select count(*) from atomic_migrations where ended_at is null and operator = 'somebody' and decision is null").Scan(&n))
			return n > 0
		}
		require.Eventually(t, func() bool { return began() || cmd.ProcessState != nil }, 20*time.Second, time.Millisecond)
		<-time.After(rand.N(60 * time.Millisecond)) // a random moment is what is tested
		_ = cmd.Process.Kill()
	}
	_ = cmd.Wait()
	require.Empty(t, said.String())
}
