//go:build unix

package localpg

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNewestFirst(t *testing.T) {
	t.Parallel()
	paths := []string{"/opt/postgresql/bin", "/usr/lib/postgresql/9.6/bin", "/usr/lib/postgresql/15/bin", "/opt/postgresql@17/bin"}
	newestFirst(paths)
	require.Equal(t, []string{"/opt/postgresql@17/bin", "/usr/lib/postgresql/15/bin", "/usr/lib/postgresql/9.6/bin", "/opt/postgresql/bin"}, paths)
}

func TestNamedProgramsAreTakenOrRefused(t *testing.T) {
	t.Parallel()
	found, err := findPrograms(t.Context(), "", 0, account{})
	require.NoError(t, err)
	named, err := findPrograms(t.Context(), found.dir, found.version, account{})
	require.NoError(t, err)
	require.Equal(t, found, named)

	_, err = findPrograms(t.Context(), found.dir, found.version+1, account{})
	require.ErrorContains(t, err, "the data was made by")
	_, err = findPrograms(t.Context(), t.TempDir(), 0, account{})
	require.ErrorContains(t, err, "no program postgres in")
}

func TestOldProgramsAreRefused(t *testing.T) {
	t.Parallel()
	require.ErrorContains(t, programs{dir: "/old", version: 14}.fits(0), "/old has PostgreSQL 14, and 15 or newer is needed")
	require.NoError(t, programs{version: 15}.fits(0))
}

func TestLinksToProgramsAreFollowed(t *testing.T) {
	t.Parallel()
	found, err := findPrograms(t.Context(), "", 0, account{})
	require.NoError(t, err)
	links := t.TempDir()
	for _, name := range []string{"postgres", "initdb"} {
		require.NoError(t, os.Symlink(found.command(name), filepath.Join(links, name)))
	}
	linked, err := findPrograms(t.Context(), links, 0, account{})
	require.NoError(t, err)
	require.Equal(t, found, linked)
}
