package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tenanted/app/config"
	"tenanted/scopes"
)

// Wherever a password is kept beside a variable, it is read anew for each connection.
func TestPasswordsAreReadAnew(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, test := range map[string]struct {
		content string // of the file, with the password %
		environ []string
		role    config.Role
	}{
		"file":       {"%\n", []string{"PGPASSWORD_FILE=" + filepath.Join(dir, "file")}, config.AsRuntime},
		"owner file": {"%\r\n", []string{"PGOWNERPASSWORD_FILE=" + filepath.Join(dir, "owner file"), "PGPASSWORD=another"}, config.AsOwner},
		"service":    {"[app]\nhost=h\npassword=%\n", []string{"PGSERVICE=app", "PGSERVICEFILE=" + filepath.Join(dir, "service")}, config.AsRuntime},
		"passfile":   {"h:5432:*:tenanted:%\n", []string{"PGPASSFILE=" + filepath.Join(dir, "passfile")}, config.AsRuntime},
		"default db": {"h:5432:tenanted:boss:%\n", []string{"PGPASSFILE=" + filepath.Join(dir, "default db")}, config.AsOwner},
	} {
		path := filepath.Join(dir, name)
		set := func(password string) {
			require.NoError(t, os.WriteFile(path, []byte(strings.ReplaceAll(test.content, "%", password)), 0o600))
		}
		set("first")
		cfg := load(t, append(test.environ, "PGHOST=h", "PGOWNER=boss")...)
		to, err := cfg.Conn(test.role, scopes.Placement{Database: "acme"})
		require.NoError(t, err, name)
		require.Equal(t, "first", to.Password, name)
		set("second")
		require.NoError(t, cfg.Servers()[0].BeforeConnect(t.Context(), to), name)
		require.Equal(t, "second", to.Password, name)
		to, err = cfg.Conn(test.role, scopes.Placement{Database: "acme"})
		require.NoError(t, err, name)
		require.Equal(t, "acme second", to.Database+" "+to.Password, name)
		require.Contains(t, strings.Join(cfg.Servers()[0].Environ(test.role), " "), map[bool]string{true: "PGPASSFILE", false: "PGPASSWORD=second"}[strings.Contains(test.content, ":")])
		require.NotContains(t, cfg.String(), "second")
	}
}

func TestPasswordFilesOfServersAndReplicas(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "eu")
	require.NoError(t, os.WriteFile(file, []byte("secret\n"), 0o600))
	cfg := load(t, "PGHOST=h", "PGPASSWORD=one", "PGREPLICA_HOST=r1,r2", "PGREPLICA_PORT=6001,6002", "PGSSLMODE=verify-full",
		"SERVER_EU_HOST=eu", "SERVER_EU_PASSWORD_FILE="+file, "SERVER_EU_REPLICA_HOST=eu2", "SERVER_EU_SSLMODE=disable", "SERVER_US_HOST=us")
	main, eu, us := cfg.Servers()[0], cfg.Servers()[1], cfg.Servers()[2]
	replicas := main.Replicas()
	require.Len(t, replicas, 2)
	require.Equal(t, "r2", replicas[1].Host)
	require.EqualValues(t, 6002, replicas[1].Port)
	require.Equal(t, "postgres one", replicas[1].Database+" "+replicas[1].Password)
	require.Equal(t, "r2", replicas[1].TLSConfig.ServerName)
	require.NoError(t, main.BeforeConnect(t.Context(), replicas[1]))
	require.Equal(t, "r2", replicas[1].TLSConfig.ServerName, "it stays its own")
	require.Len(t, eu.Replicas(), 1)
	require.Equal(t, "eu2 secret", eu.Replicas()[0].Host+" "+eu.Replicas()[0].Password)
	require.Empty(t, us.Replicas())
	require.Equal(t, "one", us.Runtime().Password)

	require.NoError(t, os.Remove(file))
	require.ErrorIs(t, eu.BeforeConnect(t.Context(), eu.Runtime()), scopes.ErrUnavailable)
}

func TestSecretsAndReplicasThatCannotBe(t *testing.T) {
	t.Parallel()
	for environ, want := range map[string]string{
		"PGHOST=h PGPASSWORD=hunter2 PGPASSWORD_FILE=/f":                     "PGPASSWORD_FILE=/f: is set beside a password: unset one of them",
		"DATABASE_URL=postgres://u:hunter2@h/d PGPASSWORD_FILE=/f":           "PGPASSWORD_FILE=/f: is set beside a password",
		"PGHOST=h PGOWNER=o PGOWNERPASSWORD=hunter2 PGOWNERPASSWORD_FILE=/f": "PGOWNERPASSWORD_FILE=/f: is set beside a password",
		"PGHOST=h PGPASSWORD_FILE=/does/not/exist":                           "PGPASSWORD_FILE=/does/not/exist: cannot be read: no such file or directory",
		"PGHOST=h SERVER_EU_HOST=eu SERVER_EU_PASSWORD_FILE=/does/not/exist": "SERVER_EU_PASSWORD_FILE=/does/not/exist: cannot be read",
		"PGHOST=h PGREPLICA_PORT=5433":                                       "PGREPLICA_HOST: is not set",
		"PGHOST=h PGREPLICA_HOST=a,,b":                                       "PGREPLICA_HOST=a,,b: has an empty name",
		"PGHOST=h PGREPLICA_HOST=h":                                          "PGREPLICA_HOST=h: has the server itself",
		"PGHOST=h PGREPLICA_HOST=a,b,c PGREPLICA_PORT=1,2":                   "PGREPLICA_PORT=1,2: must be one port, or as many",
		"PGHOST=h PGREPLICA_HOST=a PGREPLICA_PORT=x":                         "PGREPLICA_PORT=x: must be from 1 to 65535",
		"PGREPLICA_HOST=a":                                                   "PGREPLICA_HOST=a: names a replica of the private PostgreSQL",
		"PGHOST=h SERVER_EU_HOST=eu SERVER_EU_REPLICA_HOST=eu":               "SERVER_EU_REPLICA_HOST=eu: has the server itself",
		"PGHOST=h DB_MAX_LIFETIME=0s":                                        "DB_MAX_LIFETIME=0s: must be above zero",
		"PGHOST=h DB_REPLICA_MAX_LAG=soon":                                   "DB_REPLICA_MAX_LAG=soon: is not a duration",
	} {
		_, err := config.Load(strings.Fields(environ), t.TempDir())
		require.ErrorAs(t, err, new(*config.Error), environ)
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "hunter2")
		require.NotContains(t, err.Error(), "\n")
	}
}
