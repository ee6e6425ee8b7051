//go:build unix

package localpg

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSettings(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		options Options
		want    map[string]string
	}{
		"durable": {Options{Durable: true}, map[string]string{
			"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on", "wal_level": "logical",
			"listen_addresses": "", "max_connections": "200", "server_encoding": "UTF8",
		}},
		"fast": {Options{Settings: map[string]string{"max_connections": "7"}}, map[string]string{
			"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off",
			"listen_addresses": "", "max_connections": "7",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.options.Dir = stopped(t)
			server := start(t, c.options)
			for setting, want := range c.want {
				require.Equal(t, want, ask(t, server, `show `+setting), setting)
			}
		})
	}
}

func TestTheServerKnowsNoSecrets(t *testing.T) {
	t.Parallel()
	require.Contains(t, os.Environ(), "PGPASSWORD="+secret)
	own, err := accountFor(openTempDir(t))
	require.NoError(t, err)
	env := exec.Command("env")
	own.run(env)
	out, err := env.CombinedOutput()
	require.NoError(t, err)
	require.NotContains(t, string(out), secret)
	require.NotContains(t, string(out), "PGPORT")
}

func TestTheLogHoldsNoStatements(t *testing.T) {
	t.Parallel()
	dir := stopped(t)
	conn := connect(t, start(t, Options{Dir: dir}))
	_, err := conn.Exec(t.Context(), `alter role nobody_here password 'hush-hush'`)
	require.Error(t, err)
	log, err := os.ReadFile(filepath.Join(dir, logName))
	require.NoError(t, err)
	require.Contains(t, string(log), `role "nobody_here" does not exist`)
	require.NotContains(t, string(log), "hush-hush")
}

func TestTheLogIsCutWhenItIsLarge(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), logName)
	require.NoError(t, os.WriteFile(path, make([]byte, maxLogSize+1), 0o600))
	log, err := openLog(path)
	require.NoError(t, err)
	defer log.Close()
	info, err := log.Stat()
	require.NoError(t, err)
	require.Zero(t, info.Size())
}

func TestBinDirHoldsTheRunningPrograms(t *testing.T) {
	t.Parallel()
	server := start(t, Options{Dir: stopped(t)})
	require.FileExists(t, filepath.Join(server.BinDir(), "initdb"))
}
