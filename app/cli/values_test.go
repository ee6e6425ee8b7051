package cli_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tenanted/app/config"
	"tenanted/migrations"
	"tenanted/scopes/pgtest"
)

var commands = []string{"serve", "present", "migrate", "seed", "check", "tenants list", "tenants show", "tenants create", "tenants rename",
	"tenants exec", "tenants drop", "tenants move", "tenants log", "tenants adopt", "tenants users list", "tenants users invite", "tenants users reset", "tenants users role",
	"tenants users token", "operators add", "operators list", "operators remove", "operators password", "dbshell"}

// ofTenant are the arguments without which a command does not look at its flags.
var ofTenant = map[string][]string{"tenants show": {"acme"}, "tenants drop": {"acme"}, "tenants move": {"acme"}, "tenants create": {"acme"}, "tenants rename": {"acme", "bolt"},
	"tenants users list": {"acme"}, "tenants users invite": {"acme", "ann@example.com"}, "tenants users token": {"acme", "ann@example.com"}}

var flagWithText = regexp.MustCompile(`--([a-z-]+) string`)

// A shell's variable that is not set must not make a command do more than was meant.
func TestEmptyFlagsAreRefused(t *testing.T) {
	t.Parallel()
	w := &fixture{dir: t.TempDir(), environ: []string{"LOCALPG_DIR=/dev/null/never"}}
	seen := 0
	for _, command := range commands {
		args := strings.Fields(command)
		for _, flag := range flagWithText.FindAllStringSubmatch(w.ok(t, append(args, "--help")...), -1) {
			seen++
			for _, value := range []string{"", " "} {
				w.fails(t, 2, "--"+flag[1]+" is empty: give it a value, or leave it out", append(slices.Concat(args, ofTenant[command]), "--"+flag[1], value)...)
			}
		}
	}
	require.GreaterOrEqual(t, seen, 8)
	w.fails(t, 2, "--tenant is empty", "migrate", "--tenant=", "--database", "x")
	w.fails(t, 2, "--accounts", "seed", "--accounts", "")
}

func TestVersion(t *testing.T) {
	t.Parallel()
	w := &fixture{dir: t.TempDir(), environ: []string{"DJANGO_CONFIGURATION=Nonsense"}}
	require.Regexp(t, `^tenanted \S.* go1\.\d+\S*\n$`, w.ok(t, "--version"))
}

func TestTenantsListForPrograms(t *testing.T) {
	t.Parallel()
	eachStrategy(t, func(t *testing.T, w *fixture) {
		w.ok(t, "migrate")
		require.Equal(t, "[]\n", w.ok(t, "tenants", "list", "--format", "json"))
		w.ok(t, "seed", "--accounts", "2")
		w.db.Exec(t, pgtest.Owner, `update control.tenants set state = 'suspended', name = 'A <b> & "c"' where id = 2`)
		var tenants []map[string]any
		require.NoError(t, json.Unmarshal([]byte(w.ok(t, "tenants", "list", "--format", "json")), &tenants))
		require.Len(t, tenants, 2)
		placement := map[config.Strategy][2]string{
			config.SingleSchema:    {w.db.Name, "public"},
			config.MultipleDb:      {w.db.Name + "_tenant-1", "public"},
			config.MultipleSchemas: {w.db.Name, "tenant-1"},
			config.Mixed:           {w.db.Name, "tenant-1"},
		}[w.strategy]
		require.Equal(t, map[string]any{"id": 2.0, "slug": "tenant-1", "name": `A <b> & "c"`, "database": placement[0], "schema": placement[1],
			"state": "suspended", "version": float64(migrations.Tenant.Newest())}, tenants[1])
		w.fails(t, 2, "--format xml is unknown: choose text or json", "tenants", "list", "--format", "xml")
	})
}

func TestDBShellForTenantsThatAreNotServed(t *testing.T) {
	t.Parallel()
	eachUnmixed(t, func(t *testing.T, w *fixture) {
		w.ok(t, "migrate")
		w.ok(t, "seed", "--accounts", "2")
		const sql = "select current_setting('app.tenant_id') || ' ' || current_schema()"
		schema := "public"
		if w.hasSchemas() {
			schema = "tenant-1"
		}
		for _, state := range []string{"suspended", "creating", "dropping"} {
			w.db.Exec(t, pgtest.Owner, "update control.tenants set state = $1 where id = 2", state)
			w.fails(t, 1, `it is in state "`+state+`": to look at it all the same, add --owner`, "dbshell", "--tenant", "tenant-1")
			require.Equal(t, "2 "+schema+"\n", w.ok(t, "dbshell", "--tenant", "tenant-1", "--owner", "--", "-XAtc", sql))
		}
		w.fails(t, 1, "tenant-7", "dbshell", "--tenant", "tenant-7", "--owner")
		if w.hasSchemas() { // half made: psql would work in no schema at all
			w.db.Exec(t, pgtest.Owner, `drop schema "tenant-1" cascade`)
			w.fails(t, 1, `has no schema "tenant-1"`, "dbshell", "--tenant", "tenant-1", "--owner")
		}
	})
}

// completions returns what the shell would offer for the last of the arguments.
func (w *fixture) completions(t *testing.T, args ...string) []string {
	t.Helper()
	lines := strings.Split(w.ok(t, append([]string{"__complete"}, args...)...), "\n")
	values := []string{}
	for _, line := range lines {
		if strings.HasPrefix(line, ":") {
			return values
		}
		value, _, _ := strings.Cut(line, "\t")
		values = append(values, value)
	}
	require.Fail(t, "no directive", lines)
	return nil
}

func TestCompletion(t *testing.T) {
	t.Parallel()
	w := newFixture(t, config.MultipleDb)
	require.Empty(t, w.completions(t, "dbshell", "--tenant", ""), "nothing is set up")
	w.ok(t, "migrate")
	w.ok(t, "seed", "--accounts", "2")
	require.Equal(t, []string{"tenant-0", "tenant-1"}, w.completions(t, "dbshell", "--tenant", ""))
	require.Equal(t, []string{"tenant-0", "tenant-1"}, w.completions(t, "migrate", "--tenant", ""))
	require.Equal(t, []string{w.db.Name + "_tenant-0", w.db.Name + "_tenant-1"}, w.completions(t, "migrate", "--database", ""))
	require.Equal(t, []string{"text", "json"}, w.completions(t, "check", "--format", ""))
	require.Equal(t, []string{"text", "json"}, w.completions(t, "tenants", "list", "--format", ""))
	require.Equal(t, []string{"off", "text", "json"}, w.completions(t, "serve", "--access-log", ""))
	require.Contains(t, w.completions(t, "seed", "--accounts", ""), "100")
	require.Contains(t, w.completions(t, "ten"), "tenants")
	require.Empty(t, w.completions(t, "serve", ""))
	require.Empty(t, w.with("PGHOST=192.0.2.1").completions(t, "dbshell", "--tenant", ""), "it does not hang")
}

// The tab key starts no server, and finds the tenants of one that runs.
func TestCompletionOnThePrivateServer(t *testing.T) {
	t.Parallel()
	w := private(t, config.MultipleSchemas)
	begin := time.Now()
	require.Empty(t, w.completions(t, "dbshell", "--tenant", ""))
	require.Less(t, time.Since(begin), time.Second)
	_, err := os.Stat(filepath.Join(w.dir, "pg"))
	require.ErrorIs(t, err, os.ErrNotExist)

	s := w.serve(t)
	require.Contains(t, w.completions(t, "dbshell", "--tenant", ""), "tenant-4")
	require.Zero(t, s.end(t))
	require.Empty(t, w.completions(t, "dbshell", "--tenant", ""))
}
