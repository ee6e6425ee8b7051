package scopestest_test

import (
	"context"
	"flag"
	"io"
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"tenanted/migrations"
	"tenanted/models"
	"tenanted/scopes"
	"tenanted/scopes/pgtest"
	"tenanted/scopes/scopestest"
	"tenanted/scopes/session"
)

var update = flag.Bool("update", false, "write docs/security-attacks.md")

func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.NewTextHandler(io.Discard, nil))) // AllTenants warns
	flag.Parse()
	setChains()
	pgtest.Main(m)
}

// setChains sets how many random chains each property test makes, unless the command line does: ten thousand in CI, over
// the two of them, but for the short run under the race detector.
func setChains() {
	chains, set := "150", false
	if os.Getenv("CI") == "true" && !testing.Short() {
		chains = "5000"
	}
	flag.Visit(func(f *flag.Flag) { set = set || f.Name == "rapid.checks" })
	if !set {
		_ = flag.Set("rapid.checks", chains)
	}
}

// application describes two of the application's models.
var application = scopestest.Subject{
	Parent:    func(text string) any { return &models.Project{Name: text} },
	Child:     func(text string) any { return &models.Task{Name: text} },
	BelongsTo: "Project",
	HasMany:   "Tasks",
	Nested:    "Project.Account",
}

// shared, databases and schemas are the three ways to place tenants A and B alike; mixed are those to place them differently.
func shared(t *testing.T) scopestest.Target {
	db := pgtest.Database(t, "scopestest-shared", nothing)
	return target(t, db,
		scopes.Placement{Database: db.Name, Schema: "public"},
		scopes.Placement{Database: db.Name, Schema: "public"})
}

func schemas(t *testing.T) scopestest.Target {
	db := pgtest.Database(t, "scopestest-shared", nothing)
	return target(t, db,
		scopes.Placement{Database: db.Name, Schema: "tenant-0"},
		scopes.Placement{Database: db.Name, Schema: `tenant "1" \`})
}

func databases(t *testing.T) scopestest.Target {
	db := pgtest.Database(t, "scopestest-shared", nothing)
	db.Exec(t, pgtest.Owner, "create database "+pgx.Identifier{db.Name + "_b"}.Sanitize())
	return target(t, db,
		scopes.Placement{Database: db.Name, Schema: "public"},
		scopes.Placement{Database: db.Name + "_b", Schema: "public"})
}

// mixed returns a target for each pair of ways.
func mixed(t *testing.T) map[string]scopestest.Target {
	targets := map[string]scopestest.Target{}
	for name, of := range map[string]func(database string) (a, b scopes.Placement){
		"shared and schema": func(database string) (a, b scopes.Placement) {
			return scopes.Placement{Database: database, Schema: "public"}, scopes.Placement{Database: database, Schema: "tenant-1"}
		},
		"database and shared": func(database string) (a, b scopes.Placement) {
			return scopes.Placement{Database: database + "_a", Schema: "public"}, scopes.Placement{Database: database, Schema: "public"}
		},
		"schema and database": func(database string) (a, b scopes.Placement) {
			return scopes.Placement{Database: database, Schema: "tenant-0"}, scopes.Placement{Database: database + "_b", Schema: "public"}
		},
	} {
		db := pgtest.Database(t, "scopestest-shared", nothing)
		a, b := of(db.Name)
		for _, p := range []scopes.Placement{a, b} {
			if p.Database != db.Name {
				db.Exec(t, pgtest.Owner, "create database "+pgx.Identifier{p.Database}.Sanitize())
			}
		}
		targets[name] = target(t, db, a, b)
	}
	return targets
}

func nothing(context.Context, *pgx.Conn) error { return nil }

// target migrates the placements and adds the tenants' accounts.
func target(t *testing.T, db *pgtest.DB, a, b scopes.Placement) scopestest.Target {
	runner := migrations.Runner{Owner: db.Config(pgtest.Owner), Runtime: pgtest.Runtime}
	made := scopestest.Target{
		Runtime: db.Config(pgtest.Runtime),
		Owner:   db.Config(pgtest.Owner),
		Judge:   db.Config(pgtest.Superuser),
		A:       scopes.Tenant{ID: 1, Slug: "tenant-0", Placement: a},
		B:       scopes.Tenant{ID: 2, Slug: "tenant-1", Placement: b},
	}
	for _, tenant := range []scopes.Tenant{made.A, made.B} {
		require.NoError(t, runner.Up(t.Context(), migrations.Target{Set: migrations.Tenant, Placement: tenant.Placement}).Err)
		addAccount(t, db, tenant)
	}
	return made
}

func addAccount(t *testing.T, db *pgtest.DB, tenant scopes.Tenant) {
	config := db.Config(pgtest.Owner)
	config.Database = tenant.Database
	conn, err := pgx.ConnectConfig(t.Context(), config)
	require.NoError(t, err)
	defer conn.Close(t.Context())
	table := pgx.Identifier{tenant.Schema, "accounts"}.Sanitize()
	_, err = conn.Exec(t.Context(), "insert into "+table+" (id) values ($1)", tenant.ID)
	require.NoError(t, err)
}

func TestSharedTables(t *testing.T) {
	t.Parallel()
	scopestest.Run(t, application, shared(t))
}

func TestDatabaseEach(t *testing.T) {
	t.Parallel()
	scopestest.Run(t, application, databases(t))
}

func TestSchemaEach(t *testing.T) {
	t.Parallel()
	scopestest.Run(t, application, schemas(t))
}

func TestMixed(t *testing.T) {
	t.Parallel()
	for name, target := range mixed(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			scopestest.Run(t, application, target)
		})
	}
}

// Whatever the form in which the tenant goes to the server.
func TestExplicitTransactions(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(*testing.T) scopestest.Target{"shared": shared, "schemas": schemas, "databases": databases} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			target := open(t)
			target.Options.TxForm = session.ExplicitTx
			scopestest.Run(t, application, target)
		})
	}
}

// On a cluster the policies that count are the workers'.
func TestOnCitus(t *testing.T) {
	t.Parallel()
	db := pgtest.Citus(t, "", nil)
	placement := scopes.Placement{Database: db.Name, Schema: "public"}
	target := target(t, db, placement, placement)
	runner := migrations.Runner{Owner: db.Config(pgtest.Owner), Runtime: pgtest.Runtime}
	require.NoError(t, runner.Up(t.Context(), migrations.Target{Set: migrations.Shared, Placement: placement}).Err)
	scopestest.Run(t, application, target)
}

const tablePath = "../../docs/security-attacks.md"

const preface = `# Which layer stops which attack

Written by the conformance suite (scopes/scopestest), and compared with what it sees each time it runs. To write it
anew: go test ./scopes/scopestest -run TestLayers -update

Each attack is made with all layers on, and once for each layer with the others off. A cell says how the attack ended where
it was stopped: with a panic, with an error, or without an error but with nothing of the other tenant's (no rows). A dash:
the attack succeeded. The last two columns are the session layer alone where each tenant has a database, or a schema,
of its own. "only" names the one layer that stops an attack in shared tables; "none" means that no layer does so alone.

`

func TestLayers(t *testing.T) {
	t.Parallel()
	table := scopestest.Layers(t, application, shared(t)).With(
		scopestest.SessionAlone(t, "own database", application, databases(t)),
		scopestest.SessionAlone(t, "own schema", application, schemas(t)))
	text := preface + table.Markdown()
	if *update {
		require.NoError(t, os.WriteFile(tablePath, []byte(text), 0o644))
	}
	recorded, err := os.ReadFile(tablePath)
	require.NoError(t, err)
	require.Equal(t, strings.Split(string(recorded), "\n"), strings.Split(text, "\n"), "the table in %s is another: see its preface", tablePath)
}
