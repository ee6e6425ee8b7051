package tenancy_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"tenanted/app/config"
	"tenanted/app/tenancy"
	"tenanted/models"
	"tenanted/scopes"
	"tenanted/scopes/pgtest"
)

func newCreator(t testing.TB, cfg config.Config) *tenancy.Creator {
	t.Helper()
	creator, err := newSetup(t, cfg, nil).NewCreator(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { creator.Close(context.Background()) })
	return creator
}

// The whole way: a tenant is created, and the application reads that tenant's row, and no other's.
func TestCreatedTenantsAreServed(t *testing.T) {
	t.Parallel()
	eachStrategy(t, func(t *testing.T, _ *pgtest.DB, cfg config.Config) {
		withTenants(t, cfg, 3)
		require.NoError(t, tenancy.Ready(t.Context(), cfg))
		app, err := tenancy.Open(t.Context(), cfg, slog.Default())
		require.NoError(t, err)
		defer func() { require.NoError(t, app.Close()) }()
		require.NoError(t, app.Ping(t.Context()))
		for number := range 3 {
			tenant, err := app.Directory.Lookup(t.Context(), numbered(number).Slug)
			require.NoError(t, err)
			require.Equal(t, numbered(number).Name, tenant.Name)
			var projects []models.Project
			require.NoError(t, app.DB.WithContext(scopes.WithTenant(t.Context(), tenant)).Find(&projects).Error)
			require.Len(t, projects, 1)
			require.Equal(t, numbered(number).Name, projects[0].Name)
		}
		require.Zero(t, app.Stats().InUse)

		var accounts []models.Account
		across := app.DB.WithContext(scopes.AllTenants(t.Context(), "a test counts all accounts")).Find(&accounts)
		if shared, ok := map[config.Strategy]int{config.SingleSchema: 3, config.Mixed: 1}[cfg.Strategy]; ok {
			require.NoError(t, across.Error)
			require.Len(t, accounts, shared)
		} else {
			require.ErrorContains(t, across.Error, "no cross-tenant view")
		}
	})
}

var errKilled = errors.New("killed")

// Create is interrupted after each of its steps, and the next one continues.
func TestCreateContinuesWhereItWasStopped(t *testing.T) {
	t.Parallel()
	eachStrategy(t, func(t *testing.T, _ *pgtest.DB, cfg config.Config) {
		withTenants(t, cfg, 0)
		creator, directory := newCreator(t, cfg), openDirectory(t, cfg)
		n := planned(cfg, 2)
		for _, fill := range []tenancy.Fill{
			func(context.Context, tenancy.Placed) error { return errKilled },
			func(ctx context.Context, in tenancy.Placed) error { return errors.Join(account(n)(ctx, in), errKilled) },
		} {
			_, err := creator.Create(t.Context(), n, fill)
			require.ErrorIs(t, err, errKilled)
			entries, err := directory.List(t.Context(), tenancy.ByID, 0)
			require.NoError(t, err)
			require.Equal(t, "creating", entries[0].State)
			require.NoError(t, tenancy.Ready(t.Context(), cfg), "a tenant half made does not keep the others from being served")
			fleet, err := tenancy.Fleet(t.Context(), cfg)
			require.NoError(t, err)
			placement, err := cfg.PlacementFor(n.Slug, n.Where)
			require.NoError(t, err)
			want := []scopes.Placement{placement}
			if shared, ok := cfg.SharedPlacement(); ok && shared != placement {
				want = []scopes.Placement{shared, placement}
			}
			require.Equal(t, want, fleet)
		}
		tenant, err := creator.Create(t.Context(), n, account(n))
		require.NoError(t, err)
		found, err := directory.Lookup(t.Context(), n.Slug)
		require.NoError(t, err)
		require.Equal(t, tenant, found)
	})
}

func TestCreateAgainLeavesStateAndPlacementAlone(t *testing.T) {
	t.Parallel()
	db, cfg := bare(t, config.MultipleSchemas)
	withTenants(t, cfg, 2)
	db.Exec(t, pgtest.Owner, "update control.tenants set state = 'suspended' where id = 1")
	db.Exec(t, pgtest.Owner, `create schema elsewhere; update control.tenants set schema = 'elsewhere' where id = 1`) // moved
	to := scopes.Placement{Database: cfg.Database, Schema: "elsewhere"}
	require.NoError(t, newSetup(t, cfg, nil).Migrate(t.Context(), []scopes.Placement{to}, tenancy.Migrate{}))
	tenant, err := newCreator(t, cfg).Create(t.Context(), numbered(0), account(numbered(0)))
	require.NoError(t, err)
	require.Equal(t, "elsewhere", tenant.Schema)
	entries, err := openDirectory(t, cfg).List(t.Context(), tenancy.ByID, 0)
	require.NoError(t, err)
	require.Equal(t, "suspended", entries[0].State)

	db.Exec(t, pgtest.Owner, "update control.tenants set state = 'dropping' where id = 1")
	_, err = newCreator(t, cfg).Create(t.Context(), numbered(0), account(numbered(0)))
	require.ErrorAs(t, err, new(*tenancy.ExistsError))
}

func TestTwoTenantsCannotShareASlugOrAnID(t *testing.T) {
	t.Parallel()
	_, cfg := bare(t, config.SingleSchema)
	withTenants(t, cfg, 1)
	creator := newCreator(t, cfg)
	for _, n := range []tenancy.NewTenant{{ID: 1, Slug: "other"}, {ID: 7, Slug: "tenant-0"}} {
		_, err := creator.Create(t.Context(), n, account(n))
		require.ErrorContains(t, err, "tenant 1 (tenant-0) is in the directory already")
	}
}

func TestSlugsThatCannotBe(t *testing.T) {
	t.Parallel()
	eachStrategy(t, func(t *testing.T, db *pgtest.DB, cfg config.Config) {
		withTenants(t, cfg, 0)
		before := everything(t, db)
		creator := newCreator(t, cfg)
		slugs := []string{"", "Upper", "a_b", `x"; drop schema public; --`, strings.Repeat("x", 64), "a.b", "ä"}
		switch cfg.Strategy {
		case config.MultipleSchemas:
			slugs = append(slugs, "public", "control")
		case config.MultipleDb:
			slugs = append(slugs, strings.Repeat("x", 63)) // as a database's name it would be cut off
		}
		for _, slug := range slugs {
			_, err := creator.Create(t.Context(), tenancy.NewTenant{ID: 9, Slug: slug}, account(tenancy.NewTenant{}))
			require.ErrorContains(t, err, "create tenant", slug)
		}
		require.Equal(t, before, everything(t, db))
	})
}

func TestAnySlugIsATenantsInEveryStrategy(t *testing.T) {
	t.Parallel()
	eachStrategy(t, func(t *testing.T, _ *pgtest.DB, cfg config.Config) {
		withTenants(t, cfg, 0)
		for id, slug := range []string{"7", "acme", "select", "pg-catalog"} {
			n := tenancy.NewTenant{ID: scopes.TenantID(id + 100), Slug: slug, Name: slug}
			_, err := newCreator(t, cfg).Create(t.Context(), n, account(n))
			require.NoError(t, err)
		}
		require.NoError(t, tenancy.Ready(t.Context(), cfg))
		require.NoError(t, newSetup(t, cfg, nil).Run(t.Context()))
	})
}

func TestManyCreatorsAtOnce(t *testing.T) {
	t.Parallel()
	eachStrategy(t, func(t *testing.T, _ *pgtest.DB, cfg config.Config) {
		withTenants(t, cfg, 0)
		var group sync.WaitGroup
		errs := make([]error, 4)
		for i := range errs { // all make the same tenants, in different orders
			creator := newCreator(t, cfg)
			group.Go(func() {
				for number := range 3 {
					n := planned(cfg, (number+i)%3)
					_, err := creator.Create(t.Context(), n, account(n))
					errs[i] = errors.Join(errs[i], err)
				}
			})
		}
		group.Wait()
		require.NoError(t, errors.Join(errs...))
		entries, err := openDirectory(t, cfg).List(t.Context(), tenancy.ByID, 0)
		require.NoError(t, err)
		require.Len(t, entries, 3)
	})
}

func TestDryRunLeavesNothing(t *testing.T) {
	t.Parallel()
	eachStrategy(t, func(t *testing.T, db *pgtest.DB, cfg config.Config) {
		withTenants(t, cfg, 1)
		before := everything(t, db)
		creator := newCreator(t, cfg)
		for number := range 2 { // one that exists, one that does not
			var counted int
			tenant, err := creator.DryRun(t.Context(), planned(cfg, number), func(tx pgx.Tx) error {
				_, err := tx.Exec(t.Context(), "insert into accounts (id) values (77)")
				require.NoError(t, err)
				return tx.QueryRow(t.Context(), "select count(*) from accounts").Scan(&counted)
			})
			require.NoError(t, err)
			require.Equal(t, numbered(number).Name, tenant.Name)
			want := 2 - number
			if cfg.Strategy == config.SingleSchema {
				want = 2
			}
			require.Equal(t, want, counted, fmt.Sprint(number))
			_, err = creator.DryRun(t.Context(), numbered(number), func(pgx.Tx) error { return errKilled })
			require.ErrorIs(t, err, errKilled)
		}
		require.Equal(t, before, everything(t, db))
	})
}
