package pgtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
)

func TestATemplateIsBuiltOnceOverAllProcesses(t *testing.T) {
	t.Parallel()
	key, builds := uniqueKey(t), filepath.Join(t.TempDir(), "builds")
	var programs []*program
	for range 4 {
		programs = append(programs, runProgram(t, key, builds))
	}
	for _, p := range programs {
		p.ready(t)
	}
	for _, p := range programs {
		p.end(t)
	}
	lines, err := os.ReadFile(builds)
	require.NoError(t, err)
	require.Equal(t, "built\n", string(lines))
	exists, err := current.exists(t.Context(), templateName(key))
	require.NoError(t, err)
	require.True(t, exists, "kept for the next run")
}

// More templates at once than the pool has connections: they must not wait for
// each other's.
func TestManyTemplatesAreBuiltAtOnce(t *testing.T) {
	t.Parallel()
	c := privateCluster(t)
	group, ctx := errgroup.WithContext(t.Context())
	for i := range keptTemplates + 2 {
		group.Go(func() error {
			_, err := c.template(ctx, fmt.Sprint("many-", i), things)
			return err
		})
	}
	require.NoError(t, group.Wait())

	// The first process lives, so nobody drops what it uses ...
	second := openCluster(t, c.server)
	require.Len(t, templates(t, second), keptTemplates+2)
	// ... and afterwards only the newest stay.
	require.NoError(t, c.close(t.Context()))
	require.Len(t, templates(t, openCluster(t, c.server)), keptTemplates)
}

func templates(t *testing.T, c *cluster) []string {
	t.Helper()
	names, err := c.names(t.Context(), `select datname from pg_database where datname like 'template\_%'`)
	require.NoError(t, err)
	return names
}

func TestAFailedBuildLeavesNoTemplate(t *testing.T) {
	t.Parallel()
	c, key := privateCluster(t), "failing"
	_, err := c.template(t.Context(), key, func(ctx context.Context, conn *pgx.Conn) error {
		return errors.Join(things(ctx, conn), errors.New("and then it broke"))
	})
	require.ErrorContains(t, err, "and then it broke")
	require.Empty(t, templates(t, c))

	_, err = openCluster(t, c.server).template(t.Context(), key, things)
	require.NoError(t, err, "the next process begins anew")
	require.Len(t, templates(t, c), 1)
}

func TestTemplateNamesAreChecked(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", "a b", `a"b`, "ä", fmt.Sprintf("%033d", 0)} {
		_, err := templateKey(nil, name, nil)
		require.ErrorContains(t, err, "must be 1 to 32 letters", name)
	}
	longest, err := templateKey(nil, fmt.Sprintf("%032d", 0), nil)
	require.NoError(t, err)
	require.LessOrEqual(t, len(templateName(longest)), 63)
}

// Another program, or other inputs, must not find this one's template.
func TestTemplateKeyCoversAllThatTheTemplateIsMadeOf(t *testing.T) {
	t.Parallel()
	keys := map[string]bool{}
	for _, inputs := range [][]string{nil, {"a"}, {"b"}, {"a", "b"}, {"ab"}} {
		for _, program := range []string{"this", "another"} {
			key, err := templateKey([]byte(program), "name", inputs)
			require.NoError(t, err)
			keys[key] = true
		}
	}
	require.Len(t, keys, 10)
}

func TestWhatAKilledProcessLeavesIsDropped(t *testing.T) {
	t.Parallel()
	key, builds := uniqueKey(t), filepath.Join(t.TempDir(), "builds")
	killed, alive := runProgram(t, key, builds), runProgram(t, key, builds)
	killed.ready(t)
	alive.ready(t)
	require.NoError(t, killed.command.Process.Kill())
	_ = killed.command.Wait()

	for end := time.Now().Add(setupTimeout); inUse(t, killed); time.Sleep(pollPause) {
		require.True(t, time.Now().Before(end), "the server does not notice the end of the connection")
		require.NoError(t, current.sweep(t.Context()), "as the next process does")
	}
	require.True(t, inUse(t, alive), "a living process's are kept")
	alive.end(t)
	require.False(t, inUse(t, alive), "it cleans up itself")
}

// inUse says whether something of a program's is still there.
func inUse(t *testing.T, p *program) bool {
	t.Helper()
	left, err := current.names(t.Context(), `
		select datname from pg_database where datname = $1
		union all select rolname from pg_roles where rolname = $2`, p.database, p.role)
	require.NoError(t, err)
	return len(left) > 0
}
