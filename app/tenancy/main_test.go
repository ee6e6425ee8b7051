package tenancy_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"tenanted/app/config"
	"tenanted/app/tenancy"
	"tenanted/scopes"
	"tenanted/scopes/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// eachStrategy runs a test for every strategy, each in a database of its own.
func eachStrategy(t *testing.T, test func(t *testing.T, db *pgtest.DB, cfg config.Config)) {
	for _, strategy := range config.Strategies() {
		t.Run(string(strategy), func(t *testing.T) {
			t.Parallel()
			db, cfg := bare(t, strategy)
			test(t, db, cfg)
		})
	}
}

// bare returns an empty database and the settings for it, with room for three tenants in MultipleDb.
func bare(t testing.TB, strategy config.Strategy, more ...string) (*pgtest.DB, config.Config) {
	t.Helper()
	db := pgtest.Database(t, "empty", func(context.Context, *pgx.Conn) error { return nil })
	return db, settings(t, db, strategy, more...)
}

func settings(t testing.TB, db *pgtest.DB, strategy config.Strategy, more ...string) config.Config {
	t.Helper()
	server := db.Config(pgtest.Runtime)
	cfg, err := config.Load(append([]string{
		"DJANGO_CONFIGURATION=" + string(strategy), "PGHOST=" + server.Host, fmt.Sprintf("PGPORT=%d", server.Port),
		"PGDATABASE=" + db.Name, "PGUSER=" + pgtest.Runtime, "PGOWNER=" + pgtest.Owner, "MULTIDB_COUNT=3",
	}, more...), t.TempDir())
	require.NoError(t, err)
	return cfg
}

func newSetup(t testing.TB, cfg config.Config, said *[]string) *tenancy.Setup {
	t.Helper()
	setup, err := tenancy.NewSetup(cfg, nil, func(line string) {
		if said != nil {
			*said = append(*said, line)
		}
	})
	require.NoError(t, err)
	return setup
}

// account is a fill that makes the tenant's own row, and a project called like the tenant.
func account(n tenancy.NewTenant) tenancy.Fill {
	return func(ctx context.Context, in tenancy.Placed) error {
		return in.Begin(ctx, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, "insert into accounts (id) values ($1) on conflict do nothing", n.ID); err != nil {
				return err
			}
			_, err := tx.Exec(ctx, "insert into projects (account_id, id, name) values ($1, 1, $2) on conflict do nothing", n.ID, n.Name)
			return err
		})
	}
}

func numbered(number int) tenancy.NewTenant {
	return tenancy.NewTenant{ID: scopes.TenantID(number + 1), Slug: fmt.Sprintf("tenant-%d", number), Name: fmt.Sprintf("Company %d", number)}
}

// planned is that tenant where the seed would put it.
func planned(cfg config.Config, number int) tenancy.NewTenant {
	n := numbered(number)
	n.Where = cfg.SeedChoice(n.Slug, number)
	return n
}

// withTenants sets cfg up and creates that many tenants.
func withTenants(t testing.TB, cfg config.Config, count int) {
	t.Helper()
	setup := newSetup(t, cfg, nil)
	require.NoError(t, setup.Run(t.Context()))
	creator, err := setup.NewCreator(t.Context())
	require.NoError(t, err)
	defer creator.Close(context.Background())
	for number := range count {
		_, err := creator.Create(t.Context(), planned(cfg, number), account(numbered(number)))
		require.NoError(t, err)
	}
}

func openDirectory(t *testing.T, cfg config.Config) *tenancy.Directory {
	t.Helper()
	directory, err := tenancy.OpenDirectory(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, directory.Close()) })
	return directory
}
