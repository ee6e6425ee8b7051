package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tenanted/app/config"
)

// Whatever names a server, in whatever way, is used instead of the private one.
func TestWhatNamesAServer(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ environ, server, database, user, password string }{
		{"PGHOST=db", "db:5432", "tenanted", "tenanted", ""},
		{"PGHOSTADDR=192.0.2.7", "192.0.2.7:5432", "tenanted", "tenanted", ""},
		{"PGHOST=db PGHOSTADDR=192.0.2.7", "db:5432", "tenanted", "tenanted", ""},
		{"PGHOST=/run/pg PGHOSTADDR=192.0.2.7", "192.0.2.7:5432", "tenanted", "tenanted", ""},
		{"PGPORT=55432", "localhost:55432", "tenanted", "tenanted", ""},
		{"DATABASE_URL=postgres://me:s%40id@db:6000/app", "db:6000", "app", "me", "s@id"},
		{"DATABASE_URL=postgresql://db", "db:5432", "tenanted", "tenanted", ""},
		{"DATABASE_URL=postgres://db PGPASSWORD=it PGDATABASE=other PGUSER=them", "db:5432", "other", "them", "it"},
		{"DATABASE_URL=postgres://me:p@ss@db/app PGPORT=5432 PGHOST=db PGUSER=me", "db:5432", "app", "me", "p@ss"},
		{"DATABASE_URL=postgres://[::1]:6000/app", "[::1]:6000", "app", "tenanted", ""},
		{"DATABASE_URL=postgres://a:1,b:2/app", "a:1", "app", "tenanted", ""},
		{"DATABASE_URL=postgres://%2Frun%2Fpg/app", "/run/pg", "app", "tenanted", ""},
		{"DATABASE_URL=postgres:///app?host=/run/pg&user=me", "/run/pg", "app", "me", ""},
		{"DATABASE_URL=postgres://db/app?sslmode=disable&connect_timeout=3&TimeZone=Europe/Berlin", "db:5432", "app", "tenanted", ""},
		{"DATABASE_URL=postgres://:6001/app", "localhost:6001", "app", "tenanted", ""},
		{`DATABASE_URL=host=db	dbname=app	user='m\'e'	password=a\\b	port=6000`, "db:6000", "app", "m'e", `a\b`},
		{"DATABASE_URL=host=db\tdatabase=app\tTimeZone=UTC\tpassword=''", "db:5432", "app", "tenanted", ""},
		{"DATABASE_URL=hostaddr=192.0.2.7\tport=6000", "192.0.2.7:6000", "tenanted", "tenanted", ""},
	} {
		cfg, err := config.Load(strings.Split(test.environ, " "), t.TempDir())
		require.NoError(t, err, test.environ)
		require.False(t, cfg.Private(), test.environ)
		require.Equal(t, []string{test.server, test.database, test.user, test.password},
			[]string{cfg.Server(), cfg.Database, cfg.User, cfg.Runtime().Password}, test.environ)
	}
}

func TestHostAddrIsWhereTheNameIsLookedUp(t *testing.T) {
	t.Parallel()
	cfg := load(t, "PGHOST=db.example.com,other", "PGHOSTADDR=192.0.2.7,192.0.2.8", "PGSSLMODE=verify-full", "PGOWNER=boss")
	addresses, err := cfg.OwnerConn().LookupFunc(t.Context(), "other")
	require.NoError(t, err)
	require.Equal(t, []string{"192.0.2.8"}, addresses)
	require.Equal(t, "db.example.com", cfg.Runtime().TLSConfig.ServerName)
	require.Contains(t, cfg.Environ(config.AsRuntime), "PGHOSTADDR=192.0.2.7,192.0.2.8")
}

func TestWhatDoesNotNameAServerClearlyIsRefused(t *testing.T) {
	t.Parallel()
	const url = "DATABASE_URL=postgres://me:hunter2@db/app "
	for environ, want := range map[string]string{
		"DATABASE_URL=mysql://root:hunter2@db/app":                   "DATABASE_URL: is not a PostgreSQL URL",
		"DATABASE_URL=hunter2":                                       "DATABASE_URL: is not a connection string",
		"DATABASE_URL=db.example.com:5432/hunter2":                   "DATABASE_URL: is not a connection string",
		"DATABASE_URL=postgres://me:hunter2%zz@db/app":               "DATABASE_URL: has an invalid percent-encoding",
		"DATABASE_URL=postgres://me:hunter2@db:none/app":             "DATABASE_URL=none: must be from 1 to 65535",
		"DATABASE_URL=postgres://me:hunter2@db/app?search_path=x":    `DATABASE_URL: "search_path" is not supported`,
		"DATABASE_URL=postgres://me:hunter2@db/app?pool_max_conns=9": `"pool_max_conns" is not supported`,
		"DATABASE_URL=host=db\tpassword='hunter2":                    "DATABASE_URL: has an unclosed '",
		"DATABASE_URL=host=db\tsslcrl=x\tpassword=hunter2":           `"sslcrl" is not supported`,
		"DATABASE_URL=postgres://me:hunter2@db/app?hostaddr=here":    "DATABASE_URL=here: is not an IP address",
		url + "PGHOST=other":                                         "PGHOST=other: is set although DATABASE_URL",
		url + "PGPORT=6000":                                          "PGPORT=6000: is set although DATABASE_URL",
		url + "PGHOSTADDR=192.0.2.7":                                 "PGHOSTADDR=192.0.2.7: is set although DATABASE_URL",
		url + "PGSERVICE=main PGSERVICEFILE=" + services(t):          "PGSERVICE=main: is set although DATABASE_URL",
		url + "PGUSER=you":                                           "PGUSER=you: contradicts DATABASE_URL",
		url + "PGDATABASE=other":                                     "PGDATABASE=other: contradicts DATABASE_URL",
		url + "PGPASSWORD=other-hunter2":                             "PGPASSWORD: contradicts DATABASE_URL",
		"PGHOST=db PGSSLCRL=/crl":                                    "PGSSLCRL=/crl: is not supported",
		"PGHOST=db PGREQUIREPEER=postgres":                           "PGREQUIREPEER=postgres: is not supported",
		"PGHOST=db PGGSSENCMODE=require":                             "PGGSSENCMODE=require: is not supported",
		"PGHOSTADDR=db.example.com":                                  "PGHOSTADDR=db.example.com: is not an IP address",
		"PGHOST=a,b PGHOSTADDR=192.0.2.7":                            "PGHOSTADDR=192.0.2.7: must have as many addresses",
		"PGSERVICE=odd PGSERVICEFILE=" + services(t):                 `"gssencmode" is not supported`,
	} {
		_, err := config.Load(strings.Split(environ, " "), t.TempDir())
		var failed *config.Error
		require.ErrorAs(t, err, &failed, environ)
		require.Contains(t, err.Error(), want)
		require.NotContains(t, err.Error(), "\n")
		require.NotContains(t, err.Error(), "hunter2")
	}
}

func services(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "pg_service.conf")
	require.NoError(t, os.WriteFile(file, []byte("[main]\nhost=svc\nport=6543\n[odd]\nhost=svc\ngssencmode=require\n"), 0o600))
	return file
}

func TestTheSystemsServiceFile(t *testing.T) {
	t.Parallel()
	cfg := load(t, "PGSERVICE=main", "PGSYSCONFDIR="+filepath.Dir(services(t)), "HOME="+t.TempDir())
	require.Equal(t, "svc:6543", cfg.Server())
}

// Each variable, empty, means what it means unset.
func TestEmptyVariablesCountAsUnset(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile("../../.env.example")
	require.NoError(t, err)
	dir := t.TempDir()
	var set, empty []string
	for line := range strings.Lines(string(content)) {
		name, _, ok := strings.Cut(strings.TrimPrefix(line, "#"), "=")
		if ok && strings.HasPrefix(line, "#") && name == strings.ToUpper(name) && !strings.Contains(name, " ") {
			set, empty = append(set, name+"=nonsense"), append(empty, name+"=")
		}
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, ".env"), []byte(strings.Join(set, "\n")), 0o600))
	empty = append(empty, "PGHOSTADDR=", "PGSERVICE=", "PGSSLMODE=", "PGSSLCRL=", "PGOPTIONS=")
	cfg, err := config.Load(empty, dir)
	require.NoError(t, err)
	defaults := load(t)
	require.Equal(t, defaults.String(), cfg.String())
	require.Equal(t, []any{defaults.AllowedHosts, defaults.Location, defaults.MaxConns, defaults.MaxIdleTime, defaults.LocalDir},
		[]any{cfg.AllowedHosts, cfg.Location, cfg.MaxConns, cfg.MaxIdleTime, cfg.LocalDir})
}
