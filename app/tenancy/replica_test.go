package tenancy_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tenanted/app/config"
	"tenanted/app/tenancy"
	"tenanted/models"
	"tenanted/scopes"
	"tenanted/scopes/pgtest"
)

// on returns the settings for a database on a server of the test's own.
func on(t *testing.T, server *pgtest.PrivateServer, strategy config.Strategy, more ...string) config.Config {
	to := server.Config("postgres", pgtest.Runtime)
	cfg, err := config.Load(append([]string{
		"DJANGO_CONFIGURATION=" + string(strategy), "PGHOST=" + to.Host, fmt.Sprintf("PGPORT=%d", to.Port), "PGSSLMODE=disable",
		"PGDATABASE=app_" + strings.ToLower(string(strategy)), "PGUSER=" + pgtest.Runtime, "PGOWNER=" + pgtest.Owner, "MULTIDB_COUNT=3",
	}, more...), t.TempDir())
	require.NoError(t, err)
	return cfg
}

func openTenancy(t *testing.T, cfg config.Config) *tenancy.Tenancy {
	app, err := tenancy.Open(t.Context(), cfg, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, app.Close()) })
	return app
}

// In each configuration, what a tenant only reads comes from a replica, confined as anywhere, and what it wrote is there.
func TestTenantsReadFromReplicas(t *testing.T) {
	t.Parallel()
	servers := pgtest.Replica(t, nil)
	for _, strategy := range config.Strategies() {
		cfg := on(t, servers.Primary, strategy, "PGREPLICA_HOST="+servers.Replica.Config("postgres", pgtest.Runtime).Host)
		withTenants(t, cfg, 3)
		app := openTenancy(t, cfg)
		for number := range 3 {
			tenant, err := app.Lookup(t.Context(), numbered(number).Slug)
			require.NoError(t, err)
			ctx := scopes.WithTenant(t.Context(), tenant)
			db := app.DB.WithContext(scopes.Reading(ctx))
			require.Eventually(t, func() bool {
				onReplica := false
				require.NoError(t, db.Raw("select pg_is_in_recovery()").Scan(&onReplica).Error)
				return onReplica
			}, 20*time.Second, 10*time.Millisecond, "%s: %v", strategy, app.ServersAway(t.Context()))
			var seen []int64
			require.NoError(t, db.Raw("select account_id from projects").Scan(&seen).Error)
			require.Equal(t, []int64{int64(number + 1)}, seen, strategy)
			require.ErrorContains(t, db.Create(&models.Project{ID: 2, Name: "new"}).Error, "25006")
			require.NoError(t, app.DB.WithContext(ctx).Create(&models.Project{ID: 2, Name: "new"}).Error)
			require.NoError(t, db.Raw("select account_id from projects").Scan(&seen).Error)
			require.Len(t, seen, 2)
		}
		require.Empty(t, app.ServersAway(t.Context()))
	}
}

// A password in a file may change while the program runs: its pools, the directory and what looks at placements read it anew.
func TestAPasswordFileThatChanges(t *testing.T) {
	t.Parallel()
	server := pgtest.Private(t, nil)
	file := filepath.Join(t.TempDir(), "password")
	change := func(password string) {
		server.Exec("postgres", "alter role "+pgtest.Runtime+" password '"+password+"'")
		require.NoError(t, os.WriteFile(file, []byte(password+"\n"), 0o600))
	}
	change("first")
	rules, err := os.ReadFile(filepath.Join(server.Data(), "pg_hba.conf"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(server.Data(), "pg_hba.conf"), append([]byte("local all "+pgtest.Runtime+" scram-sha-256\n"), rules...), 0o600))
	server.Exec("postgres", "select pg_reload_conf()")

	cfg := on(t, server, config.MultipleSchemas, "PGPASSWORD_FILE="+file)
	withTenants(t, cfg, 2)
	app := openTenancy(t, cfg)
	page := func(number int) error {
		tenant, err := app.Lookup(t.Context(), numbered(number).Slug)
		if err != nil {
			return err
		}
		return app.DB.WithContext(scopes.WithTenant(context.Background(), tenant)).Find(&[]models.Project{}).Error
	}
	require.NoError(t, page(0))
	change("second")
	server.Exec("postgres", "select pg_terminate_backend(pid) from pg_stat_activity where usename = '"+pgtest.Runtime+"'")
	require.Eventually(t, func() bool { return page(0) == nil && page(1) == nil }, 20*time.Second, 10*time.Millisecond)
	change("third")
	require.NoError(t, tenancy.Ready(t.Context(), cfg))
	server.Exec("postgres", "select pg_terminate_backend(pid) from pg_stat_activity where usename = '"+pgtest.Runtime+"'")
	require.Eventually(t, func() bool { return page(0) == nil && page(1) == nil }, 20*time.Second, 10*time.Millisecond)
}
