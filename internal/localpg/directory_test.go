//go:build unix

package localpg

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDirectoriesWithOddNames(t *testing.T) {
	t.Parallel()
	for _, name := range []string{`a "b", c's`, strings.Repeat("long", 40)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			from := stopped(t)
			dir := filepath.Join(filepath.Dir(from), name)
			require.NoError(t, os.Rename(from, dir))
			server, err := Start(t.Context(), Options{Dir: dir})
			require.NoError(t, err)
			require.Equal(t, dir, ask(t, server, `select rtrim(replace(current_setting('data_directory'), '/data', ''), '/')`))
			require.LessOrEqual(t, len(socketPath(server.Host())), maxSocketPath())

			info, err := os.Stat(server.Host())
			require.NoError(t, err)
			require.Equal(t, os.FileMode(0o700), info.Mode().Perm(), "nobody else may log in")
			require.NoError(t, server.Close())
			if server.Host() != dir {
				require.NoDirExists(t, server.Host(), "nothing stays in /tmp")
			}
		})
	}
}

func TestASocketDirectoryOfAnotherAccountIsRefused(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(openTempDir(t), strings.Repeat("long", 40))
	own, err := accountFor(dir)
	require.NoError(t, err)
	trap, err := socketDir(dir, own)
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.Remove(trap) })
	require.NoError(t, os.Chmod(trap, 0o755))

	_, err = Start(t.Context(), Options{Dir: dir})
	require.ErrorContains(t, err, trap)
	require.ErrorContains(t, err, "LOCALPG_DIR to a shorter path")
}

func TestADirectoryWithOtherThingsIsLeftAlone(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(openTempDir(t), "mine")
	require.NoError(t, os.Mkdir(dir, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "thesis.tex"), nil, 0o644))

	_, err := Start(t.Context(), Options{Dir: dir})
	require.ErrorContains(t, err, dir+" holds other things")
	info, err := os.Stat(dir)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o755), info.Mode().Perm())
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 1)
}

func TestDataOfSomethingElseIsLeftAlone(t *testing.T) {
	t.Parallel()
	dir := stopped(t)
	require.NoError(t, os.Remove(filepath.Join(dir, dataName, "PG_VERSION")))
	_, err := Start(t.Context(), Options{Dir: dir})
	require.ErrorContains(t, err, "move it away")
	require.FileExists(t, filepath.Join(dir, dataName, "postgresql.conf"))
}

func TestDefaultDir(t *testing.T) {
	t.Setenv("LOCALPG_DIR", "/some/where")
	dir, err := DefaultDir()
	require.NoError(t, err)
	require.Equal(t, "/some/where", dir)

	t.Setenv("LOCALPG_DIR", "")
	t.Setenv("XDG_DATA_HOME", "/elsewhere")
	dir, err = DefaultDir()
	require.NoError(t, err)
	if os.Geteuid() == 0 {
		require.Equal(t, "/var/lib/tenanted/postgres", dir, "the server's account cannot enter /root")
	} else {
		require.Equal(t, "/elsewhere/tenanted/postgres", dir)
	}
}
