package cli_test

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tenanted/app/config"
	"tenanted/migrations"
	"tenanted/scopes/pgtest"
)

// manyDatabases is how many databases there are in the test below. 300 take some minutes.
func manyDatabases(t *testing.T) int {
	text := os.Getenv("TENANTED_TEST_DATABASES")
	if text == "" {
		return 12
	}
	n, err := strconv.Atoi(text)
	require.NoError(t, err)
	return n
}

// Many databases are migrated by a newer program that is killed in the middle, again and again, and that fails on some, while an older one
// serves: no request fails.
func TestKilledMigrationsOfManyDatabases(t *testing.T) {
	t.Parallel()
	n := manyDatabases(t)
	newer := buildNewer(t, true)
	w := newFixture(t, config.MultipleDb, fmt.Sprintf("MULTIDB_COUNT=%d", n))
	w.ok(t, "migrate")
	seed := w.command(t, "seed", "--accounts", strconv.Itoa(n), "--min-users", "1", "--max-users", "1", "--min-projects", "1", "--max-projects", "1",
		"--min-tasks", "1", "--max-tasks", "2", "--min-subtasks", "1", "--max-subtasks", "5") // which takes as long as it takes
	said, err := seed.CombinedOutput()
	require.NoError(t, err, "%s", said)
	s := w.serve(t, "--access-log", "off")
	for i := range n {
		s.becomes(t, fmt.Sprintf("tenant-%d", i), http.StatusOK)
	}
	stop := s.browse(t, n)

	other := otherVersion{newer, w}
	watcher := w.db.Connect(t, pgtest.Superuser)
	migrated := func() (count int) {
		const query = "select count(*) from control.placement_versions where migrations = 'tenant' and version = $1"
		require.NoError(t, watcher.QueryRow(t.Context(), query, migrations.Tenant.Newest()+1).Scan(&count))
		return count
	}
	broken := []string{w.db.Name + "_tenant-3", fmt.Sprintf("%s_tenant-%d", w.db.Name, n/2)}
	for _, database := range broken {
		w.exec(t, w.connectTo(t, database), "alter table subtasks add column extra int")
	}
	for round := range 2 {
		for _, part := range []int{8, 3, 2} {
			want := migrated()
			want += (n - want) / part
			kill(t, other.command(args(round)...), func() bool { return migrated() >= want })
		}
		if round == 0 {
			out, err := other.run(t, "migrate")
			require.Error(t, err)
			require.Equal(t, len(broken), strings.Count(out, ": failed"), out)
			require.Equal(t, n-len(broken), migrated())
			for _, database := range broken {
				w.exec(t, w.connectTo(t, database), "alter table subtasks drop column extra")
			}
		}
		require.Equal(t, 0, strings.Count(other.ok(t, args(round)...), ": failed"))
		require.Equal(t, n, migrated())
		out, err := other.run(t, "migrate", "--status") // and its schemas are what they should be
		require.NoError(t, err, out)
		require.Equal(t, n+1, strings.Count(out, " current"))
		if round == 0 {
			other.ok(t, "migrate", "--down", "--all")
		}
	}
	requests, failed := stop()
	require.Empty(t, failed)
	require.Greater(t, requests, 3*n)
	t.Logf("%d requests of %d tenants", requests, n)
	require.Zero(t, s.end(t))
}

// args are how all are migrated in a round.
func args(round int) []string {
	if round == 1 {
		return []string{"migrate", "--jobs", "3"}
	}
	return []string{"migrate", "--jobs", "2", "--lock-timeout", "500ms"}
}

// kill starts a command and kills it once it is that far.
func kill(t *testing.T, cmd *exec.Cmd, soFar func() bool) {
	t.Helper()
	require.NoError(t, cmd.Start())
	require.Eventually(t, soFar, 5*time.Minute, 5*time.Millisecond)
	_ = cmd.Process.Kill() // it may have ended
	_ = cmd.Wait()
}

// browse asks for pages of all tenants until it is stopped, and then says how many, and what was wrong.
func (s *server) browse(t *testing.T, tenants int) (stop func() (requests int, failed []string)) {
	var over atomic.Bool
	var count atomic.Int64
	var mutex sync.Mutex
	var failed []string
	var clients sync.WaitGroup
	for client := range 3 {
		clients.Go(func() {
			for i := client; !over.Load() && t.Context().Err() == nil; i++ {
				slug := fmt.Sprintf("tenant-%d", i%tenants)
				status, page := s.get(t, slug+".localhost", "/subtasks/")
				count.Add(1)
				if status != http.StatusOK {
					mutex.Lock()
					failed = append(failed, fmt.Sprintf("%s: %d %.300s", slug, status, page))
					mutex.Unlock()
				}
				time.Sleep(5 * time.Millisecond) // the migrations have the other half of the machine
			}
		})
	}
	return func() (int, []string) {
		over.Store(true)
		clients.Wait()
		return int(count.Load()), failed
	}
}
