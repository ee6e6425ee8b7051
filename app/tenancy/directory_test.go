package tenancy_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tenanted/app/config"
	"tenanted/app/tenancy"
	"tenanted/migrations"
	"tenanted/models"
	"tenanted/scopes"
	"tenanted/scopes/pgtest"
)

func TestLookupAndList(t *testing.T) {
	t.Parallel()
	eachStrategy(t, func(t *testing.T, _ *pgtest.DB, cfg config.Config) {
		withTenants(t, cfg, 3)
		directory := openDirectory(t, cfg)
		listed, err := directory.List(t.Context(), tenancy.ByID, 0)
		require.NoError(t, err)
		require.Len(t, listed, 3)
		for number, entry := range listed {
			placement, err := cfg.PlacementFor(entry.Slug, planned(cfg, number).Where)
			require.NoError(t, err)
			want := scopes.Tenant{ID: scopes.TenantID(number + 1), Slug: fmt.Sprintf("tenant-%d", number), Name: fmt.Sprintf("Company %d", number), Placement: placement}
			require.Equal(t, tenancy.Entry{Tenant: want, State: "active", Version: migrations.Tenant.Newest()}, entry)
			for range 2 { // the second answer is remembered
				found, err := directory.Lookup(t.Context(), entry.Slug)
				require.NoError(t, err)
				require.Equal(t, want, found)
			}
		}
	})
}

// Names and slugs are in the order of people, and there is one home for them.
func TestListInOrder(t *testing.T) {
	t.Parallel()
	db, cfg := bare(t, config.SingleSchema)
	withTenants(t, cfg, 12)
	db.Exec(t, pgtest.Owner, "update control.tenants set name = 'company 0' where id = 12")
	directory := openDirectory(t, cfg)
	slugs := func(order tenancy.Order) (slugs []string) {
		entries, err := directory.List(t.Context(), order, 0)
		require.NoError(t, err)
		for _, entry := range entries {
			slugs = append(slugs, strings.TrimPrefix(entry.Slug, "tenant-"))
		}
		return slugs
	}
	require.Equal(t, strings.Fields("0 1 2 3 4 5 6 7 8 9 10 11"), slugs(tenancy.BySlug))
	require.Equal(t, strings.Fields("11 0 1 2 3 4 5 6 7 8 9 10"), slugs(tenancy.ByName), "small letters before capitals, of the same word")
	entries, err := directory.WithIDs(t.Context(), []scopes.TenantID{12, 3, 99})
	require.NoError(t, err)
	require.Len(t, entries, 2)
	require.Equal(t, scopes.TenantID(3), entries[0].ID)
	tenant, err := directory.Lookup(t.Context(), "tenant-11")
	require.NoError(t, err)
	require.Equal(t, entries[1].Tenant, tenant)
	require.Equal(t, "company 0", tenant.Name)
}

func TestOnlyActiveTenantsAreServed(t *testing.T) {
	t.Parallel()
	db, cfg := bare(t, config.SingleSchema)
	withTenants(t, cfg, 1)
	for _, state := range []string{"creating", "suspended", "dropping"} {
		db.Exec(t, pgtest.Owner, "update control.tenants set state = $1", state)
		directory := openDirectory(t, cfg)
		for range 2 {
			_, err := directory.Lookup(t.Context(), "tenant-0")
			require.Equal(t, &scopes.TenantUnavailableError{Slug: "tenant-0", State: state}, err)
		}
	}
}

func TestUnknownAndImpossibleSlugs(t *testing.T) {
	t.Parallel()
	_, cfg := bare(t, config.SingleSchema)
	withTenants(t, cfg, 1)
	directory := openDirectory(t, cfg)
	for _, slug := range []string{
		"tenant-9", "tenant-00", "", "Tenant-0", "tenant_0", "tenant-0'", `tenant-0" or "`, "tenant-0; drop table x", "../tenant-0",
		"tenant-0.", "-tenant", "tenant-", "téñant", "tenant-0\x00", string(make([]byte, 64)),
	} {
		_, err := directory.Lookup(t.Context(), slug)
		require.Equal(t, &scopes.TenantUnknownError{Slug: slug}, err)
	}
}

func TestALookupThatFailsIsNotRemembered(t *testing.T) {
	t.Parallel()
	db, cfg := bare(t, config.SingleSchema)
	withTenants(t, cfg, 1)
	directory := openDirectory(t, cfg)
	db.Exec(t, pgtest.Owner, "alter function control.tenant_by_slug rename to away")
	_, err := directory.Lookup(t.Context(), "tenant-0")
	require.ErrorContains(t, err, `look up tenant "tenant-0"`)
	require.NotErrorIs(t, err, scopes.ErrUnavailable)
	db.Exec(t, pgtest.Owner, "alter function control.away rename to tenant_by_slug")
	_, err = directory.Lookup(t.Context(), "tenant-0")
	require.NoError(t, err)
}

func TestALookupOnAServerThatIsAway(t *testing.T) {
	t.Parallel()
	cfg, err := config.Load([]string{"PGHOST=localhost", "PGPORT=1", "PGOWNER=boss"}, t.TempDir())
	require.NoError(t, err)
	directory := openDirectory(t, cfg)
	_, err = directory.Lookup(t.Context(), "tenant-0")
	require.ErrorIs(t, err, scopes.ErrUnavailable)
	_, err = directory.List(t.Context(), tenancy.ByID, 0)
	require.ErrorIs(t, err, scopes.ErrUnavailable)
	require.ErrorIs(t, directory.Ping(t.Context()), scopes.ErrUnavailable)
}

// pgxpool reads the process's environment by itself, where PGSERVICE may be without its file.
func TestTheDirectoryGoesByItsSettingsAlone(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "services")
	require.NoError(t, os.WriteFile(file, []byte("[main]\nhost=localhost\n"), 0o600))
	t.Setenv("PGSERVICE", "main")
	t.Setenv("HOME", dir)
	cfg, err := config.Load([]string{"PGSERVICE=main", "PGSERVICEFILE=" + file}, dir)
	require.NoError(t, err)
	openDirectory(t, cfg)
}

// Connections that the server has ended are replaced: lookups recover without a restart.
func TestLookupsSurviveTheEndOfTheirConnections(t *testing.T) {
	t.Parallel()
	db, cfg := bare(t, config.SingleSchema)
	withTenants(t, cfg, 3)
	directory := openDirectory(t, cfg)
	_, err := directory.Lookup(t.Context(), "tenant-0")
	require.NoError(t, err)
	db.Exec(t, pgtest.Superuser, "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()")
	require.Eventually(t, func() bool {
		_, err := directory.Lookup(t.Context(), "tenant-1")
		return err == nil
	}, 10*time.Second, 5*time.Millisecond)
}

func TestManyLookupsAtOnce(t *testing.T) {
	t.Parallel()
	_, cfg := bare(t, config.SingleSchema)
	withTenants(t, cfg, 3)
	directory := openDirectory(t, cfg)
	var group sync.WaitGroup
	var wrong atomic.Int64
	for worker := range 32 {
		group.Go(func() {
			for i := range 50 {
				number := (worker + i) % 4 // tenant-3 does not exist
				found, err := directory.Lookup(t.Context(), fmt.Sprintf("tenant-%d", number))
				if (err == nil) != (number < 3) || err == nil && int(models.AccountID(found)) != number+1 {
					wrong.Add(1)
				}
			}
		})
	}
	group.Wait()
	require.Zero(t, wrong.Load())
}

func TestTheRuntimeRoleCannotList(t *testing.T) {
	t.Parallel()
	db, cfg := bare(t, config.SingleSchema)
	withTenants(t, cfg, 1)
	server := cfg.Runtime()
	alone, err := config.Load([]string{"PGHOST=" + server.Host, fmt.Sprintf("PGPORT=%d", server.Port), "PGDATABASE=" + db.Name, "PGUSER=" + cfg.User}, t.TempDir())
	require.NoError(t, err)
	_, err = openDirectory(t, alone).List(t.Context(), tenancy.ByID, 0)
	require.ErrorIs(t, err, tenancy.ErrNoOwner)
	_, err = db.Connect(t, pgtest.Runtime).Exec(t.Context(), "select * from control.tenants")
	require.ErrorContains(t, err, "permission denied")
}
