//go:build unix

package localpg

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// stranger is an account that the server could be switched to.
var stranger = account{name: "stranger", uid: 54321, gid: 54321, switched: true}

func TestAnOrdinaryUserHasAServer(t *testing.T) {
	t.Parallel()
	base := openTempDir(t)
	var under *account
	if os.Geteuid() == 0 {
		accounts := unprivileged()
		require.NotEmpty(t, accounts)
		under = &accounts[len(accounts)-1] // nobody: no home, no shell
		require.NoError(t, under.own(base))
	}
	dir := filepath.Join(base, "pg")
	p := runProgram(t, dir, under)
	pid := p.server(t)
	if under != nil {
		owner, _ := ownerOf(filepath.Join(dir, dataName))
		require.Equal(t, under.uid, owner)
		server := start(t, Options{Dir: dir})
		require.Equal(t, pid, postmasterPID(dir), "root joins it")
		require.NoError(t, server.Close())
	}
	p.end(t)
	require.False(t, running(pid, dir))
}

func TestTheServerIsNeverRoots(t *testing.T) {
	t.Parallel()
	dir := stopped(t)
	start(t, Options{Dir: dir})
	owner, exists := ownerOf(pidFile(filepath.Join(dir, dataName)))
	require.True(t, exists)
	require.NotZero(t, owner)
	if euid := os.Geteuid(); euid != 0 {
		require.Equal(t, uint32(euid), owner)
	}
}

func TestADirectoryOutOfTheAccountsReachIsRefused(t *testing.T) {
	t.Parallel()
	closed := filepath.Join(openTempDir(t), "home")
	require.NoError(t, os.Mkdir(closed, 0o700))
	dir := filepath.Join(closed, "data", "pg")

	err := prepareDir(dir, stranger)
	require.ErrorContains(t, err, "account stranger, which cannot enter "+closed)
	require.ErrorContains(t, err, "set LOCALPG_DIR")
	require.NoError(t, os.Chmod(closed, 0o711))
	require.Empty(t, stranger.blocked(dir))
}

func TestAnothersDirectoryIsRefused(t *testing.T) {
	t.Parallel()
	dir := "/" // root's
	if os.Geteuid() == 0 {
		dir = openTempDir(t)
		require.NoError(t, stranger.own(dir))
	}
	_, err := Start(t.Context(), Options{Dir: dir})
	require.ErrorContains(t, err, "belongs to account")
}
