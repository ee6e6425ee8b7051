package cli_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tenanted/app/config"
	"tenanted/migrations"
)

// otherVersion is another version of the program, as a process.
type otherVersion struct {
	path string
	w    *fixture
}

// buildNewer builds the program with one more migration, which adds a column, and returns its path.
func buildNewer(t *testing.T, additive bool) string {
	t.Helper()
	root, err := filepath.Abs("../..")
	require.NoError(t, err)
	says := map[bool]string{true: "yes", false: "no"}[additive]
	dir := t.TempDir()
	migration, overlay, program := filepath.Join(dir, "extra.sql"), filepath.Join(dir, "overlay.json"), filepath.Join(dir, "tenanted")
	text := "-- additive: " + says + "\n-- +goose Up\nalter table subtasks add column extra text;\n\n-- +goose Down\nalter table subtasks drop column extra;\n"
	require.NoError(t, os.WriteFile(migration, []byte(text), 0o644))
	next := filepath.Join(root, fmt.Sprintf("migrations/tenant/%05d_extra.sql", migrations.Tenant.Newest()+1))
	replaced, err := json.Marshal(map[string]map[string]string{"Replace": {next: migration}})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(overlay, replaced, 0o644))
	build := exec.CommandContext(t.Context(), "go", "build", "-overlay", overlay, "-o", program, ".")
	build.Dir = root
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return program
}

func (o otherVersion) command(args ...string) *exec.Cmd {
	cmd := exec.Command(o.path, args...)
	cmd.Env, cmd.Dir = o.w.environ, o.w.dir
	return cmd
}

func (o otherVersion) run(t *testing.T, args ...string) (out string, err error) {
	t.Helper()
	text, err := o.command(args...).CombinedOutput()
	return string(text), err
}

func (o otherVersion) ok(t *testing.T, args ...string) string {
	t.Helper()
	out, err := o.run(t, args...)
	require.NoError(t, err, out)
	return out
}

// serve starts the command until the test ends.
func (o otherVersion) serve(t *testing.T, args ...string) *server {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, o.path, append([]string{"serve", "--addr", "localhost:0"}, args...)...)
	cmd.Env, cmd.Dir = o.w.environ, o.w.dir
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	ended := make(chan struct{})
	t.Cleanup(func() { stop(); <-ended })
	s := &server{stop: stop}
	lines := make(chan string, 100)
	go func() {
		for scanner := bufio.NewScanner(stdout); scanner.Scan(); {
			lines <- scanner.Text()
		}
		close(lines)
		_ = cmd.Wait()
		close(ended)
	}()
	for line := range lines {
		if found := address.FindStringSubmatch(line); found != nil {
			s.addr = "localhost:" + found[1]
			go func() {
				for range lines { // nobody waits for who reads
				}
			}()
			return s
		}
	}
	require.Fail(t, "the newer program does not serve")
	return nil
}

// says waits until a page says something.
func (s *server) says(t *testing.T, path, want string) {
	t.Helper()
	var body string
	require.Eventually(t, func() bool {
		_, body = s.get(t, "localhost", path)
		return strings.Contains(body, want)
	}, 30*time.Second, 50*time.Millisecond, "%s: want %s, last %s", path, want, body)
}

// While placements differ, an older program serves all if the migration only adds, and those that are not migrated otherwise. A newer one
// serves those that are.
func TestTwoVersionsAtOnce(t *testing.T) {
	t.Parallel()
	for additive, strategies := range map[bool][]config.Strategy{ // each kind of placement once, since the programs take long to start
		true: {config.SingleSchema, config.MultipleDb}, false: {config.SingleSchema, config.MultipleSchemas, config.Mixed},
	} {
		t.Run(fmt.Sprintf("additive %v", additive), func(t *testing.T) {
			t.Parallel()
			path := buildNewer(t, additive)
			over(t, strategies, func(t *testing.T, w *fixture) {
				w.ok(t, "migrate")
				w.ok(t, "seed", "--accounts", "3")
				old := w.serve(t, "--metrics")
				for _, slug := range []string{"tenant-0", "tenant-1", "tenant-2"} {
					old.becomes(t, slug, http.StatusOK)
				}
				_, ready := old.get(t, "localhost", "/readyz")
				require.Equal(t, "ready\n", ready)
				if newer := (otherVersion{path, w}); w.strategy == config.SingleSchema {
					twoVersionsOfSharedTables(t, w, old, newer, additive)
				} else {
					twoVersionsAtOnce(t, w, old, newer, additive)
				}
				require.Zero(t, old.end(t))
			})
		})
	}
}

func twoVersionsAtOnce(t *testing.T, w *fixture, old *server, newer otherVersion, additive bool) {
	now, next := migrations.Tenant.Newest(), migrations.Tenant.Newest()+1
	newer.ok(t, "migrate", "--tenant", "tenant-1")
	require.Contains(t, w.ok(t, "tenants", "list"), fmt.Sprintf("%d, newer", next))
	require.Contains(t, newer.ok(t, "tenants", "list"), fmt.Sprintf("%d, outdated", now))
	if additive {
		old.stays(t, "tenant-1", http.StatusOK)
	} else {
		old.becomes(t, "tenant-1", http.StatusServiceUnavailable)
		old.says(t, "/readyz", fmt.Sprintf("is at version %d and this program knows %d", next, now))
	}
	old.says(t, "/readyz", fmt.Sprintf("newer: 1 placements at version %d of the tenant tables, and this program knows %d", next, now))
	old.says(t, "/metrics", fmt.Sprintf(`tenanted_placements{migrations="tenant",state="newer",version="%d"} 1`, next))
	old.stays(t, "tenant-0", http.StatusOK)
	require.Contains(t, w.run(t, "migrate", "--status").out, "newer")
	require.Contains(t, w.ok(t, "migrate"), fmt.Sprintf("version %d, nothing to do", next), "an older program undoes nothing")
	if !additive {
		w.serve(t).becomes(t, "tenant-1", http.StatusServiceUnavailable) // nor does it forget what it must not work with
	}

	if w.sharesTables() { // which the newer program needs to start
		out, err := newer.run(t, "serve", "--addr", "localhost:0")
		require.Error(t, err)
		require.Contains(t, out, "is outdated in schema public")
		newer.ok(t, "migrate", "--atomic")
		newer.serve(t).becomes(t, "tenant-0", http.StatusOK)
	} else {
		young := newer.serve(t)
		young.becomes(t, "tenant-1", http.StatusOK)
		young.becomes(t, "tenant-0", http.StatusServiceUnavailable)
		young.says(t, "/readyz", "outdated: 2 placements")
		young.says(t, "/readyz", "is outdated in schema")
		newer.ok(t, "migrate")
		young.becomes(t, "tenant-0", http.StatusOK)
	}
	if additive {
		old.stays(t, "tenant-0", http.StatusOK)
	} else {
		old.becomes(t, "tenant-0", http.StatusServiceUnavailable)
	}
}

// In shared tables there is one version for all.
func twoVersionsOfSharedTables(t *testing.T, w *fixture, old *server, newer otherVersion, additive bool) {
	newer.ok(t, "migrate")
	newer.serve(t).becomes(t, "tenant-1", http.StatusOK)
	if additive {
		old.stays(t, "tenant-1", http.StatusOK)
		w.serve(t).becomes(t, "tenant-1", http.StatusOK)
	} else {
		old.becomes(t, "tenant-1", http.StatusServiceUnavailable)
		w.fails(t, 1, "use a newer version of the program", "serve", "--addr", "localhost:0")
	}
}

// stays wants a tenant's page to be answered so, several times.
func (s *server) stays(t *testing.T, slug string, status int) {
	t.Helper()
	for range 10 {
		got, page := s.get(t, slug+".localhost", "/subtasks/")
		require.Equal(t, status, got, page)
	}
}
