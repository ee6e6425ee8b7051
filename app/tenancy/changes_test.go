package tenancy_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tenanted/app/config"
	"tenanted/scopes/pgtest"
)

// A change made elsewhere is known long before what is remembered expires.
func TestChangesAreHeardOf(t *testing.T) {
	t.Parallel()
	db, cfg := bare(t, config.SingleSchema)
	withTenants(t, cfg, 1)
	directory := openDirectory(t, cfg)
	directory.Watch(t.Context())
	answers := func(slug, want string) {
		t.Helper()
		require.Eventually(t, func() bool {
			_, err := directory.Lookup(t.Context(), slug)
			return fmt.Sprint(err) == want
		}, 10*time.Second, 2*time.Millisecond, want)
	}
	const (
		active    = "<nil>"
		suspended = `tenant "tenant-0" is not served now: it is in state "suspended"`
		unknown   = `no tenant is called "%s"`
	)
	answers("tenant-0", active)
	answers("renamed", fmt.Sprintf(unknown, "renamed"))
	for range 3 {
		db.Exec(t, pgtest.Owner, "update control.tenants set state = 'suspended'")
		answers("tenant-0", suspended)
		db.Exec(t, pgtest.Owner, "update control.tenants set state = 'active'")
		answers("tenant-0", active)
	}
	db.Exec(t, pgtest.Superuser, "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and query like 'listen%'")
	db.Exec(t, pgtest.Owner, "update control.tenants set slug = 'renamed'")
	answers("tenant-0", fmt.Sprintf(unknown, "tenant-0"))
	answers("renamed", active)
}
