//go:build unix

package localpg

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	embeddedpostgres "github.com/fergusstrange/embedded-postgres"
	"github.com/stretchr/testify/require"
	"github.com/ulikunitz/xz"
)

// repository serves one archive under every name, and its checksum.
func repository(t *testing.T, archive []byte) embeddedpostgres.Config {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, ".sha256") {
			fmt.Fprintf(w, "%x", sha256.Sum256(archive))
			return
		}
		_, _ = w.Write(archive)
	}))
	t.Cleanup(server.Close)
	return embeddedpostgres.DefaultConfig().BinaryRepositoryURL(server.URL)
}

// archiveOf packs links to the programs of this machine in the way they are
// published: a zip file that holds a compressed tar file.
func archiveOf(t *testing.T, p programs) []byte {
	t.Helper()
	var packed, zipped bytes.Buffer
	compressor, err := xz.NewWriter(&packed)
	require.NoError(t, err)
	files := tar.NewWriter(compressor)
	for _, name := range []string{"postgres", "initdb", "pg_ctl"} {
		require.NoError(t, files.WriteHeader(&tar.Header{Name: "bin/" + name, Typeflag: tar.TypeSymlink, Linkname: p.command(name), Mode: 0o777}))
	}
	require.NoError(t, files.Close())
	require.NoError(t, compressor.Close())

	archive := zip.NewWriter(&zipped)
	file, err := archive.Create("postgres.txz")
	require.NoError(t, err)
	_, err = file.Write(packed.Bytes())
	require.NoError(t, err)
	require.NoError(t, archive.Close())
	return zipped.Bytes()
}

func preparedCluster(t *testing.T) *cluster {
	t.Helper()
	dir := filepath.Join(openTempDir(t), "pg")
	c, err := openCluster(t.Context(), Options{Dir: dir})
	require.NoError(t, err)
	t.Cleanup(c.starting.close)
	return c
}

func TestProgramsAreFetchedOnceAndServe(t *testing.T) {
	t.Parallel()
	c := preparedCluster(t)
	installed, err := findPrograms(t.Context(), "", 0, c.account)
	require.NoError(t, err)

	fetched, err := c.fetched(t.Context(), installed.version, repository(t, archiveOf(t, installed)))
	require.NoError(t, err)
	require.Equal(t, installed.version, fetched.version)
	again, err := c.fetched(t.Context(), installed.version, embeddedpostgres.DefaultConfig().BinaryRepositoryURL("http://127.0.0.1:1"))
	require.NoError(t, err, "they are here already")
	require.Equal(t, fetched, again)

	leftovers, err := filepath.Glob(filepath.Join(c.dir, programsName+"-*", "*"))
	require.NoError(t, err)
	require.Len(t, leftovers, 1, "nothing but bin")
}

func TestAFailedFetchLeavesNothingToTrust(t *testing.T) {
	t.Parallel()
	for name, source := range map[string]embeddedpostgres.Config{
		"no connection": embeddedpostgres.DefaultConfig().BinaryRepositoryURL("http://127.0.0.1:1"),
		"not a zip":     repository(t, []byte("<html>Sign in to the hotel's network</html>")),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := preparedCluster(t)
			_, err := c.fetched(t.Context(), oldestVersion, source)
			require.Error(t, err)
			require.NoDirExists(t, filepath.Join(c.dir, fmt.Sprintf("%s-%d", programsName, oldestVersion)))
		})
	}
}

func TestWithoutProgramsTheErrorSaysWhatToDo(t *testing.T) {
	t.Parallel()
	dir := stopped(t)
	version := filepath.Join(dir, dataName, "PG_VERSION")
	require.NoError(t, os.WriteFile(version, []byte("9\n"), 0o600))
	_, err := Start(t.Context(), Options{Dir: dir})
	for _, part := range []string{"the data was made by 9", "install", "LOCALPG_BINDIR", "PGHOST or PGSERVICE", "no PostgreSQL 9 to fetch"} {
		require.ErrorContains(t, err, part)
	}
	require.NotContains(t, err.Error(), "\n")
}
