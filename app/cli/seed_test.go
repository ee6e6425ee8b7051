package cli_test

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tenanted/app/cli"
	"tenanted/app/config"
	"tenanted/scopes/pgtest"
)

var fiveTotals = regexp.MustCompile(`(?m)^ *(\d+) accounts\n *\d+ users\n *\d+ projects\n *\d+ tasks\n *\d+ subtasks\n`)

func TestSeedPrintsNamesAndTotals(t *testing.T) {
	t.Parallel()
	var first string
	eachOutput := map[config.Strategy]string{}
	for _, strategy := range config.Strategies() {
		w := newFixture(t, strategy)
		w.ok(t, "migrate")
		out := w.ok(t, "createtestdata", "--accounts", "3")
		require.Regexp(t, `(?m)\Atenant-0 \S.*\ntenant-1 \S.*\ntenant-2 \S.*\n +3 accounts\n`, out)
		require.Regexp(t, fiveTotals, out)
		eachOutput[strategy] = out
		first = out
		require.Contains(t, w.ok(t, "seed", "--accounts", "3"), "3 of the accounts were there already and left as they are")
		w.ok(t, "seed", "--accounts", "0")
	}
	for _, out := range eachOutput {
		require.Equal(t, first, out, "the same data in every strategy")
	}
}

func TestSeedDefaultsToTheStrategysNumber(t *testing.T) {
	t.Parallel()
	eachStrategy(t, func(t *testing.T, w *fixture) {
		w.ok(t, "migrate")
		want := "1"
		if w.strategy == config.MultipleDb {
			want = "3"
		}
		require.Equal(t, want, fiveTotals.FindStringSubmatch(w.ok(t, "seed"))[1])
	})
}

func TestSeedTakesItsRanges(t *testing.T) {
	t.Parallel()
	w := newFixture(t, config.SingleSchema)
	w.ok(t, "migrate")
	out := w.ok(t, "seed", "--accounts", "2", "--min-users", "2", "--max-users", "2", "--min-projects", "3", "--max-projects", "3",
		"--min-tasks", "4", "--max-tasks", "4", "--min-subtasks", "5", "--max-subtasks", "5")
	require.Contains(t, out, "        2 accounts\n        4 users\n        6 projects\n       24 tasks\n      120 subtasks\n")
	require.Equal(t, 120, w.count(t, "select count(*) from subtasks"))
}

func TestSeedShowsDotsForMany(t *testing.T) {
	t.Parallel()
	w := newFixture(t, config.SingleSchema)
	w.ok(t, "migrate")
	out := w.ok(t, "seed", "--accounts", "11", "--max-projects", "1")
	require.True(t, strings.HasPrefix(out, strings.Repeat(".", 11)+"\n"), out)
	require.NotContains(t, out, "tenant-")
}

func TestSeedAboveTheLimitChangesNothing(t *testing.T) {
	t.Parallel()
	w := newFixture(t, config.MultipleDb)
	w.fails(t, 1, "--accounts 9 is above MULTIDB_COUNT, 3", "seed", "--accounts", "9") // it need not even be set up
	w.ok(t, "migrate")
	w.fails(t, 1, "--accounts 4 is above MULTIDB_COUNT, 3", "seed", "--accounts", "4")
	require.Zero(t, w.count(t, "select count(*) from control.tenants"))
}

func TestSeedRollbackLeavesNothing(t *testing.T) {
	t.Parallel()
	eachStrategy(t, func(t *testing.T, w *fixture) {
		w.ok(t, "migrate")
		out := w.ok(t, "seed", "--accounts", "2", "--rollback")
		require.Equal(t, "2", fiveTotals.FindStringSubmatch(out)[1])
		require.Contains(t, out, "rolled back: nothing was kept")
		require.Equal(t, "ID  SLUG  NAME  PLACEMENT  STATE  VERSION\n", w.ok(t, "tenants", "list"))
		require.Zero(t, w.count(t, "select count(*) from pg_namespace where nspname ~ 'tenant'"))
		require.Equal(t, 3, w.run(t, "check").code, "there is no tenant to look at")
		require.Contains(t, w.ok(t, "seed", "--accounts", "2"), "tenant-1 ")
	})
}

// Another --seed changes nothing of what is there, and so nothing of what is printed.
func TestSeedPrintsWhatIsInTheDatabase(t *testing.T) {
	t.Parallel()
	eachUnmixed(t, func(t *testing.T, w *fixture) {
		w.ok(t, "migrate")
		made := strings.Split(w.ok(t, "seed", "--accounts", "2"), "\n")[:2]
		for _, more := range [][]string{nil, {"--rollback"}} {
			again := strings.Split(w.ok(t, append([]string{"seed", "--seed", "7", "--accounts", "3"}, more...)...), "\n")
			require.Equal(t, made, again[:2])
		}
	})
}

// A seed that is stopped half way is resumed by the next.
func TestSeedResumes(t *testing.T) {
	t.Parallel()
	eachUnmixed(t, func(t *testing.T, w *fixture) {
		w.environ = append(w.environ, "MULTIDB_COUNT=8")
		w.ok(t, "migrate")
		ctx, cancel := context.WithCancel(t.Context())
		var out, errs output
		done := make(chan int, 1)
		args := []string{"seed", "--accounts", "8", "--min-projects", "60", "--max-projects", "60"}
		go func() {
			done <- cli.Run(ctx, args, cli.IO{Environ: w.environ, Dir: w.dir, In: strings.NewReader(""), Out: &out, Err: &errs})
		}()
		require.Eventually(t, func() bool { return strings.HasPrefix(out.String(), "tenant-0 ") }, time.Minute, time.Millisecond)
		cancel()
		require.Equal(t, 1, <-done, "it was stopped too late for this test")
		require.Equal(t, "tenanted: interrupted\n", errs.String())

		resumed := w.ok(t, args...)
		require.Regexp(t, `[1-7] of the accounts were there already`, resumed)
		require.Equal(t, 8, strings.Count(w.ok(t, "tenants", "list"), " active"))
		w.ok(t, "check")
		require.Contains(t, w.ok(t, args...), "8 of the accounts were there already")
	})
}

func TestTwoSeedsAtOnce(t *testing.T) {
	t.Parallel()
	eachUnmixed(t, func(t *testing.T, w *fixture) {
		w.ok(t, "migrate")
		results := make(chan result, 2)
		for range 2 {
			go func() { results <- w.runUntil(t.Context(), "seed", "--accounts", "3") }()
		}
		made := 0
		for range 2 {
			r := <-results
			require.Equal(t, 0, r.code, r.err)
			var n int
			_, err := fmt.Sscan(fiveTotals.FindStringSubmatch(r.out)[1], &n)
			require.NoError(t, err)
			made += n
		}
		require.Equal(t, 3, made, "each account was made once")
	})
}

func TestSeedOnAServerWithoutRoleForIt(t *testing.T) {
	t.Parallel()
	w := newFixture(t, config.SingleSchema)
	w.ok(t, "migrate")
	w.db.Exec(t, pgtest.Owner, "alter table subtasks rename to elsewhere")
	w.fails(t, 1, "subtasks", "seed")
}
