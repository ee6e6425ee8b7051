package config_test

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tenanted/app/config"
	"tenanted/scopes"
)

func load(t *testing.T, environ ...string) config.Config {
	t.Helper()
	cfg, err := config.Load(environ, t.TempDir())
	require.NoError(t, err)
	return cfg
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	for name, database := range map[string]string{
		"":                "tenanted",
		"SingleSchema":    "tenanted",
		"MultipleDb":      "tenanted_multipledb",
		"MultipleSchemas": "tenanted_multipleschemas",
		"Mixed":           "tenanted_mixed",
	} {
		cfg := load(t, "DJANGO_CONFIGURATION="+name)
		require.Equal(t, database, cfg.Database)
		require.Equal(t, "tenanted", cfg.User)
		require.Equal(t, "tenanted_owner", cfg.Owner)
		require.Equal(t, 5, cfg.MultiDBCount)
		require.Equal(t, []string{"localhost"}, cfg.AllowedHosts)
		require.Equal(t, time.UTC, cfg.Location)
		require.Equal(t, 40, cfg.MaxConns)
		require.Equal(t, 5*time.Minute, cfg.MaxIdleTime)
		require.True(t, cfg.Private())
		require.False(t, cfg.SignInRequired)
	}
}

func TestSignInIsRequiredOnAServerOfOnesOwn(t *testing.T) {
	t.Parallel()
	for environ, required := range map[string]bool{
		"":                               false,
		"SIGN_IN=required":               true,
		"PGHOST=db.example.com":          true,
		"PGHOST=db.example.com SIGN_IN=": true,
		"DATABASE_URL=postgres://x@db.example.com/x": true,
		"PGHOST=db.example.com SIGN_IN=optional":     false,
	} {
		require.Equal(t, required, load(t, strings.Fields(environ)...).SignInRequired, environ)
	}
}

func TestInvalidSettingsNameVariableAndValueInOneLine(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 64)
	for _, test := range []struct{ environ, want string }{
		{"DJANGO_CONFIGURATION=Single", "DJANGO_CONFIGURATION=Single: is unknown: choose SingleSchema, MultipleDb, MultipleSchemas or Mixed"},
		{"DJANGO_CONFIGURATION=singleschema", "choose SingleSchema, MultipleDb, MultipleSchemas or Mixed"},
		{"MULTIDB_COUNT=many", "MULTIDB_COUNT=many: is not a whole number"},
		{"MULTIDB_COUNT=0", "MULTIDB_COUNT=0: must be from 1 to 10000"},
		{"MULTIDB_COUNT=-3", "MULTIDB_COUNT=-3: must be"},
		{"DB_MAX_CONNS=1", "DB_MAX_CONNS=1: must be at least 2"},
		{"DB_MAX_IDLE_TIME=5", "DB_MAX_IDLE_TIME=5: is not a duration"},
		{"DB_MAX_IDLE_TIME=-5s", "DB_MAX_IDLE_TIME=-5s: must be above zero"},
		{"SIGN_IN=no", "SIGN_IN=no: is unknown: choose required or optional"},
		{"SIGN_IN=Required", "choose required or optional"},
		{"TZ=Mars/Olympus", "TZ=Mars/Olympus: is not a known time zone"},
		{"DB_TRANSACTIONS=both", "DB_TRANSACTIONS=both: is unknown: choose auto, implicit or explicit"},
		{"PGPORT=http", "PGPORT=http: must be from 1 to 65535"},
		{"PGPORT=65536", "PGPORT=65536: must be"},
		{"PGDATABASE=" + long, "PGDATABASE=" + long + ": has 64 bytes"},
		{"PGUSER=tenanted_owner", "PGOWNER=tenanted_owner: is PGUSER too"},
		{"PGSERVICE=main", "PGSERVICE=main: the service file"},
		{"ALLOWED_HOSTS=*", `ALLOWED_HOSTS=*: "*" is not a domain`},
		{"ALLOWED_HOSTS=localhost:8080", "is not a domain"},
		{"ALLOWED_HOSTS=localhost,", "is not a domain"},
		{"PGHOST=localhost PGSSLMODE=loud", "PG* variables: "},
	} {
		_, err := config.Load(strings.Fields(test.environ), t.TempDir())
		var failed *config.Error
		require.ErrorAs(t, err, &failed, test.environ)
		require.Contains(t, err.Error(), test.want)
		require.NotContains(t, err.Error(), "\n")
	}
}

func TestMultipleDbRefusesNamesThatPostgreSQLWouldCutOff(t *testing.T) {
	t.Parallel()
	name := strings.Repeat("x", 54) // with "_tenant-4" 63 bytes, with "_tenant-10" one too many
	environ := []string{"DJANGO_CONFIGURATION=MultipleDb", "PGDATABASE=" + name}
	load(t, environ...)
	_, err := config.Load(append(environ, "MULTIDB_COUNT=11"), t.TempDir())
	require.ErrorContains(t, err, "PGDATABASE="+name)
}

func TestPlacements(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		strategy string
		shared   bool
		tenant3  scopes.Placement
	}{
		{"SingleSchema", true, scopes.Placement{Database: "app", Schema: "public"}},
		{"MultipleDb", false, scopes.Placement{Database: "app_tenant-3", Schema: "public"}},
		{"MultipleSchemas", false, scopes.Placement{Database: "app", Schema: "tenant-3"}},
		{"Mixed", true, scopes.Placement{Database: "app", Schema: "public"}},
	} {
		cfg := load(t, "PGDATABASE=app", "DJANGO_CONFIGURATION="+test.strategy)
		placement, err := cfg.PlacementFor("tenant-3", config.Choice{})
		require.NoError(t, err)
		require.Equal(t, test.tenant3, placement)
		shared, ok := cfg.SharedPlacement()
		require.Equal(t, test.shared, ok)
		require.Equal(t, test.shared, cfg.Shared(placement))
		require.Equal(t, test.shared, shared == placement)
		limit, limited := cfg.TenantLimit()
		require.Equal(t, test.strategy == "MultipleDb", limited)
		require.Equal(t, 5, limit)
		require.Equal(t, test.shared, cfg.ListsAllTenants())
		require.Equal(t, test.strategy == "Mixed", cfg.SomeApart())
	}
}

func TestMultipleSchemasKeepsItsOwnSchemas(t *testing.T) {
	t.Parallel()
	cfg := load(t, "DJANGO_CONFIGURATION=MultipleSchemas")
	for _, slug := range []string{"public", "control"} {
		_, err := cfg.PlacementFor(slug, config.Choice{})
		require.ErrorContains(t, err, slug)
	}
}

// What is chosen for a tenant is had where the configuration has it, and refused by the flag that says it.
func TestChosenPlacements(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 64)
	for _, test := range []struct {
		strategy string
		choice   config.Choice
		want     scopes.Placement
		refused  string
	}{
		{"Mixed", config.Choice{Schema: "acme"}, scopes.Placement{Database: "App!", Schema: "acme"}, ""},
		{"Mixed", config.Choice{Database: "acme_db"}, scopes.Placement{Database: "acme_db", Schema: "public"}, ""},
		{"Mixed", config.Choice{Database: "App!_acme"}, scopes.Placement{Database: "App!_acme", Schema: "public"}, ""},
		{"Mixed", config.Choice{Database: "acme_db", Schema: "x"}, scopes.Placement{Database: "acme_db", Schema: "x"}, ""},
		{"MultipleDb", config.Choice{Database: "acme_db"}, scopes.Placement{Database: "acme_db", Schema: "public"}, ""},
		{"MultipleSchemas", config.Choice{Schema: "other"}, scopes.Placement{Database: "App!", Schema: "other"}, ""},
		{strategy: "SingleSchema", choice: config.Choice{Database: "x"}, refused: "--database=x: contradicts DJANGO_CONFIGURATION=SingleSchema"},
		{strategy: "SingleSchema", choice: config.Choice{Schema: "x"}, refused: "--schema=x: contradicts"},
		{strategy: "SingleSchema", choice: config.Choice{Server: "eu"}, refused: "--server=eu: contradicts"},
		{strategy: "MultipleDb", choice: config.Choice{Schema: "x"}, refused: "--schema=x: contradicts"},
		{strategy: "MultipleSchemas", choice: config.Choice{Database: "x"}, refused: "--database=x: contradicts"},
		{strategy: "MultipleSchemas", choice: config.Choice{Server: "eu"}, refused: "--server=eu: contradicts"},
		{strategy: "Mixed", choice: config.Choice{Database: "App!"}, refused: "is the default database"},
		{strategy: "Mixed", choice: config.Choice{Database: "template1"}, refused: "--database=template1: is the server's own"},
		{strategy: "Mixed", choice: config.Choice{Database: `x"; drop database y; --`}, refused: "is not a name"},
		{strategy: "Mixed", choice: config.Choice{Database: long}, refused: "is not a name"},
		{strategy: "Mixed", choice: config.Choice{Schema: "Upper"}, refused: "--schema=Upper: is not a name"},
		{strategy: "Mixed", choice: config.Choice{Schema: long}, refused: "is not a name"},
		{strategy: "Mixed", choice: config.Choice{Schema: "public"}, refused: "--schema=public: is taken"},
		{strategy: "Mixed", choice: config.Choice{Schema: "control"}, refused: "is taken"},
		{strategy: "Mixed", choice: config.Choice{Schema: "pg_toast"}, refused: "is taken"},
	} {
		got, err := load(t, "PGDATABASE=App!", "DJANGO_CONFIGURATION="+test.strategy).PlacementFor("acme", test.choice)
		if test.refused == "" {
			require.NoError(t, err)
			require.Equal(t, test.want, got)
			continue
		}
		require.ErrorAs(t, err, new(*config.Error))
		require.ErrorContains(t, err, test.refused)
		require.NotContains(t, err.Error(), "\n")
	}
}

// Another server is the default one but for what its variables say.
func TestServers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	services := filepath.Join(dir, "services")
	require.NoError(t, os.WriteFile(services, []byte("[asia]\nhost=asia.example.com\nport=7000\nuser=svc\npassword=secret\ndbname=no\n"), 0o600))
	cfg := load(t, "PGHOST=main", "PGPORT=6000", "PGHOSTADDR=192.0.2.1", "PGUSER=app", "PGPASSWORD=one", "PGOWNER=boss", "PGOWNERPASSWORD=two",
		"PGSSLMODE=require", "DB_MAX_CONNS=30", "PGDATABASE=app", "PGSERVICEFILE="+services,
		"SERVER_EU_HOST=eu.example.com", "SERVER_EU_USER=eu_app", "SERVER_EU_PASSWORD=three", "SERVER_EU_SSLMODE=disable", "SERVER_EU_MAX_CONNS=7",
		"SERVER_ASIA_SERVICE=asia", "SERVER_NEAR_PORT=6001", "SERVER_SOFTWARE=nginx", "SERVER_ADMIN_EMAIL=me@example.com")
	var names []string
	for _, server := range cfg.Servers() {
		names = append(names, fmt.Sprintf("%q %s as %s, at most %d", server.Name, server.Address(), server.User, server.MaxConns))
	}
	require.Equal(t, []string{`"" main:6000 as app, at most 30`, `"asia" asia.example.com:7000 as svc, at most 30`,
		`"eu" eu.example.com:6000 as eu_app, at most 7`, `"near" main:6001 as app, at most 30`}, names)

	eu, err := cfg.Conn(config.AsRuntime, scopes.Placement{Server: "eu", Database: "acme"})
	require.NoError(t, err)
	require.Equal(t, "acme eu_app three", strings.Join([]string{eu.Database, eu.User, eu.Password}, " "))
	require.Nil(t, eu.TLSConfig)
	eu, err = cfg.Conn(config.AsOwner, scopes.Placement{Server: "eu", Database: "acme"})
	require.NoError(t, err)
	require.Equal(t, "boss two", eu.User+" "+eu.Password)
	asia, err := cfg.Conn(config.AsRuntime, scopes.Placement{Server: "asia", Database: "acme"})
	require.NoError(t, err)
	require.Equal(t, "acme secret", asia.Database+" "+asia.Password)
	require.NotNil(t, asia.TLSConfig)

	server, err := cfg.ServerOf(scopes.Placement{Server: "eu", Database: "acme"})
	require.NoError(t, err)
	environ := strings.Join(server.Environ(config.AsRuntime), "\n")
	for _, want := range []string{"PGHOST=eu.example.com", "PGPORT=6000", "PGUSER=eu_app", "PGPASSWORD=three", "PGSSLMODE=disable"} {
		require.Contains(t, environ, want)
	}
	for _, other := range []string{"PGHOSTADDR", "one", "two", "SERVER_EU"} {
		require.NotContains(t, environ, other)
	}

	var unknown *scopes.ServerUnknownError
	_, err = cfg.Conn(config.AsRuntime, scopes.Placement{Server: "mars", Database: "app"})
	require.ErrorAs(t, err, &unknown, "nothing stands in for it")
	require.ErrorContains(t, err, `server "mars" is not configured: set SERVER_MARS_HOST`)
	require.NotContains(t, fmt.Sprintf("%v %+v %#v", cfg, cfg.Servers(), struct{ c config.Config }{cfg}), "three")
}

func TestServersOfThePrivateServersUser(t *testing.T) {
	t.Parallel()
	cfg := load(t, "SERVER_EU_HOST=eu.example.com")
	require.True(t, cfg.Private())
	cfg, err := cfg.At("/tmp/socket", 5432)
	require.NoError(t, err)
	eu, err := cfg.Conn(config.AsOwner, scopes.Placement{Server: "eu", Database: "acme"})
	require.NoError(t, err)
	require.Equal(t, "eu.example.com tenanted_owner", eu.Host+" "+eu.User)
	require.Equal(t, "/tmp/socket", cfg.Runtime().Host)
}

func TestServersThatCannotBe(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ environ, want string }{
		{"SERVER_EU_USER=app", "SERVER_EU_HOST: is not set: name the server"},
		{"SERVER_EU_HOST=eu SERVER_EU_HSOT=x", "SERVER_EU_HSOT: is not supported: unset it"},
		{"SERVER_EU_HOST=eu SERVER_EU_DATABASE=x", "SERVER_EU_DATABASE: is not supported"},
		{"SERVER_EU_HOST=eu SERVER_EU_PORT=99999", "SERVER_EU_PORT=99999: must be from 1 to 65535"},
		{"SERVER_EU_HOST=eu SERVER_EU_MAX_CONNS=1", "SERVER_EU_MAX_CONNS=1: must be a whole number of at least 2"},
		{"SERVER_EU_HOST=eu SERVER_EU_SSLMODE=loud", "SERVER_EU_* variables: "},
		{"SERVER_EU_HOST=eu SERVER_EU_USER=boss PGOWNER=boss", "SERVER_EU_OWNER=boss: is SERVER_EU_USER too"},
		{"SERVER_EU_SERVICE=x", "SERVER_EU_SERVICE=x: the service file"},
		{"SERVER_EU_HOST=h", "SERVER_EU_HOST=h: is the address of the default server too"},
		{"SERVER_EU_HOST=eu SERVER_US_HOST=eu", "SERVER_US_HOST=eu: is the address of eu too"},
	} {
		_, err := config.Load(append(strings.Fields(test.environ), "PGHOST=h", "HOME=/nowhere"), t.TempDir())
		require.ErrorAs(t, err, new(*config.Error), test.environ)
		require.ErrorContains(t, err, test.want)
		require.NotContains(t, err.Error(), "\n")
	}
	_, err := load(t, "PGHOST=h", "SERVER_EU_HOST=eu", "DJANGO_CONFIGURATION=Mixed").PlacementFor("acme", config.Choice{Server: "mars"})
	require.ErrorContains(t, err, "--server=mars: is not configured: set SERVER_MARS_HOST")
	p, err := load(t, "PGHOST=h", "PGDATABASE=app", "SERVER_EU_HOST=eu", "DJANGO_CONFIGURATION=Mixed").PlacementFor("acme", config.Choice{Server: "eu"})
	require.NoError(t, err)
	require.Equal(t, scopes.Placement{Server: "eu", Database: "app_acme", Schema: "public"}, p)
}

// The seed's databases are bounded by MULTIDB_COUNT; where a tenant is depends on its number alone.
func TestSeedChoices(t *testing.T) {
	t.Parallel()
	cfg := load(t, "PGDATABASE=app", "DJANGO_CONFIGURATION=Mixed", "MULTIDB_COUNT=2")
	var kinds []string
	for number := range 9 {
		slug := fmt.Sprintf("tenant-%d", number)
		placement, err := cfg.PlacementFor(slug, cfg.SeedChoice(slug, number))
		require.NoError(t, err)
		kinds = append(kinds, placement.String())
	}
	require.Equal(t, []string{"app.public", "app.tenant-1", "app_tenant-2.public", "app.public", "app.tenant-4", "app_tenant-5.public",
		"app.public", "app.tenant-7", "app.public"}, kinds)
	_, limited := cfg.TenantLimit()
	require.False(t, limited)
	for _, strategy := range []string{"SingleSchema", "MultipleDb", "MultipleSchemas"} {
		require.Zero(t, load(t, "DJANGO_CONFIGURATION="+strategy).SeedChoice("tenant-2", 2))
	}
}

func TestDotEnvBelowTheRealEnvironment(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	content := "MULTIDB_COUNT=7\nPGDATABASE=fromfile\nPGUSER=\nPGPASSWORD='p$w #1'\nPGHOST=db.example.com\n"
	require.NoError(t, os.WriteFile(filepath.Join(dir, ".env"), []byte(content), 0o600))
	cfg, err := config.Load([]string{"PGDATABASE=real", "PGUSER="}, dir)
	require.NoError(t, err)
	require.Equal(t, 7, cfg.MultiDBCount)
	require.Equal(t, "real", cfg.Database)
	require.Equal(t, "tenanted", cfg.User)
	require.False(t, cfg.Private())
	require.Equal(t, "db.example.com:5432", cfg.Server())
	require.Equal(t, "p$w #1", cfg.Runtime().Password)
}

func TestMalformedDotEnvIsNotQuoted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, ".env"), []byte("PGPASSWORD hunter2\n"), 0o600))
	_, err := config.Load(nil, dir)
	require.ErrorContains(t, err, ".env: is malformed")
	require.NotContains(t, err.Error(), "hunter2")
}

func TestRolesHaveTheirOwnPasswords(t *testing.T) {
	t.Parallel()
	cfg := load(t, "PGHOST=h", "PGUSER=app", "PGPASSWORD=it's\\1", "PGOWNER=boss")
	require.Equal(t, "it's\\1", cfg.Runtime().Password)
	require.Equal(t, "boss", cfg.OwnerConn().User)
	require.Empty(t, cfg.OwnerConn().Password, "the runtime role's password must not be tried as the owner's")

	cfg = load(t, "PGHOST=h", "PGPASSWORD=one", "PGOWNER=boss", "PGOWNERPASSWORD=two")
	require.Equal(t, "two", cfg.OwnerConn().Password)
	require.Nil(t, load(t, "PGHOST=h").OwnerConn(), "no owner on a user's server unless one is named")
}

func TestPasswordFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	passfile := filepath.Join(dir, "pgpass")
	require.NoError(t, os.WriteFile(passfile, []byte("h:5432:*:boss:two\nh:5432:*:app:one\n"), 0o600))
	cfg, err := config.Load([]string{"PGHOST=h", "PGUSER=app", "PGOWNER=boss", "PGPASSFILE=" + passfile}, dir)
	require.NoError(t, err)
	require.Equal(t, "one", cfg.Runtime().Password)
	require.Equal(t, "two", cfg.OwnerConn().Password)
}

func TestServiceFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "services")
	require.NoError(t, os.WriteFile(file, []byte("[main]\nhost=svc.example.com\nport=6543\nuser=svc\npassword=sesame\n"), 0o600))
	environ := []string{"PGSERVICE=main", "PGSERVICEFILE=" + file, "PGHOST=ignored", "PGOWNER=boss"}
	cfg, err := config.Load(environ, dir)
	require.NoError(t, err)
	require.False(t, cfg.Private())
	require.Equal(t, "svc.example.com:6543", cfg.Server())
	require.Equal(t, "svc", cfg.User)
	require.Equal(t, "tenanted", cfg.Database, "the service names no database: the strategy's default")
	require.Equal(t, "sesame", cfg.Runtime().Password)
	require.Empty(t, cfg.OwnerConn().Password)

	_, err = config.Load([]string{"PGSERVICE=other", "PGSERVICEFILE=" + file}, dir)
	require.ErrorContains(t, err, "no section [other]")
}

// pgx reads the process's environment by itself, where PGSERVICE may be without its file.
func TestServiceWithItsFileInDotEnv(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "services")
	require.NoError(t, os.WriteFile(file, []byte("[main]\nhost=svc.example.com\n"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, ".env"), []byte("PGSERVICEFILE="+file+"\n"), 0o600))
	t.Setenv("PGSERVICE", "main")
	t.Setenv("HOME", dir)
	cfg, err := config.Load([]string{"PGSERVICE=main"}, dir)
	require.NoError(t, err)
	require.Equal(t, "svc.example.com:5432", cfg.Server())
}

func TestAtLeadsToThePrivateServer(t *testing.T) {
	t.Parallel()
	cfg, err := load(t).At("/tmp/socket's dir", 5433)
	require.NoError(t, err)
	require.Equal(t, "/tmp/socket's dir", cfg.Runtime().Host)
	require.EqualValues(t, 5433, cfg.OwnerConn().Port)
	require.Nil(t, cfg.Runtime().TLSConfig)
	require.True(t, cfg.Private())
}

func TestEnvironForPsql(t *testing.T) {
	t.Parallel()
	cfg := load(t, "HOME=/home/me", "PGHOST=h", "PGPASSWORD=one", "PGOWNER=boss", "PGOWNERPASSWORD=two", "PGSSLMODE=require")
	runtime, owner := cfg.Environ(config.AsRuntime), cfg.Environ(config.AsOwner)
	for _, want := range []string{"HOME=/home/me", "PGHOST=h", "PGPORT=5432", "PGDATABASE=tenanted", "PGSSLMODE=require"} {
		require.Contains(t, runtime, want)
		require.Contains(t, owner, want)
	}
	require.Contains(t, runtime, "PGUSER=tenanted")
	require.Contains(t, runtime, "PGPASSWORD=one")
	require.Contains(t, owner, "PGUSER=boss")
	require.Contains(t, owner, "PGPASSWORD=two")
	require.NotContains(t, strings.Join(runtime, "\n"), "two", "the runtime shell must not know the owner's password")
}

func TestNothingPrintsAPassword(t *testing.T) {
	t.Parallel()
	cfg := load(t, "PGHOST=h", "PGPASSWORD=hunter2", "PGOWNER=boss", "PGOWNERPASSWORD=hunter2", "PGSSLPASSWORD=hunter2")
	type wrapper struct{ hidden config.Config }
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("start", "config", cfg)
	for _, printed := range []string{
		log.String(), cfg.String(), fmt.Sprintf("%v %+v %#v %s", cfg, cfg, cfg, cfg),
		fmt.Sprintf("%v %+v %#v", wrapper{cfg}, wrapper{cfg}, wrapper{cfg}),
	} {
		require.NotContains(t, printed, "hunter2")
	}
	require.Contains(t, log.String(), "runtime role tenanted")
}

func TestSettingErrorsHideThePassword(t *testing.T) {
	t.Parallel()
	_, err := config.Load([]string{"PGHOST=h", "PGPASSWORD=hunter2", "PGSSLMODE=verify-full", "PGSSLROOTCERT=/does/not/exist", "PGSSLPASSWORD=hunter2"}, t.TempDir())
	require.ErrorContains(t, err, "/does/not/exist")
	require.NotContains(t, err.Error(), "hunter2")
}

// Taking every # off .env.example must give the defaults: the file is the settings' documentation.
func TestEnvExampleShowsTheDefaults(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile("../../.env.example")
	require.NoError(t, err)
	dir := t.TempDir()
	var settings []string
	for line := range strings.Lines(string(content)) {
		if name, ok := strings.CutPrefix(line, "#"); ok && !strings.HasPrefix(name, " ") && strings.Contains(name, "=") {
			settings = append(settings, name)
		}
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, ".env"), []byte(strings.Join(settings, "")), 0o600))
	documented, err := config.Load(nil, dir)
	require.NoError(t, err)
	defaults := load(t)
	require.Equal(t, defaults.String(), documented.String())
	require.Equal(t, []any{defaults.MultiDBCount, defaults.AllowedHosts, defaults.Location, defaults.MaxConns, defaults.MaxIdleTime, defaults.MaxLifetime, defaults.MaxLag},
		[]any{documented.MultiDBCount, documented.AllowedHosts, documented.Location, documented.MaxConns, documented.MaxIdleTime, documented.MaxLifetime, documented.MaxLag})
	for _, name := range []string{"DJANGO_CONFIGURATION", "MULTIDB_COUNT", "PGHOST", "PGPORT", "PGDATABASE", "PGUSER", "PGPASSWORD", "PGOWNER",
		"PGOWNERPASSWORD", "PGPASSWORD_FILE", "PGREPLICA_HOST", "DB_MAX_CONNS", "DB_MAX_IDLE_TIME", "DB_MAX_LIFETIME", "DB_REPLICA_MAX_LAG", "LOCALPG_DIR", "LOCALPG_BINDIR", "ALLOWED_HOSTS", "TZ"} {
		require.Contains(t, strings.Join(settings, ""), name+"=")
	}
}
