package tenancy_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tenanted/app/config"
	"tenanted/scopes"
	"tenanted/scopes/pgtest"
)

// A change made elsewhere is heard of long before what is remembered expires; the clock stands still here, so it
// never does.
func TestChangesAreHeardOf(t *testing.T) {
	t.Parallel()
	db, cfg := bare(t, config.SingleSchema)
	withTenants(t, cfg, 1)
	directory := openDirectory(t, cfg)
	began := time.Now()
	directory.SetClock(func() time.Time { return began })
	directory.Watch(t.Context(), cfg)
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

// The news of a change may come between a lookup's answer and the moment that it is remembered, which is when the clock
// is asked.
func TestAnAnswerFromBeforeAChangeIsNotRemembered(t *testing.T) {
	t.Parallel()
	db, cfg := bare(t, config.SingleSchema)
	withTenants(t, cfg, 1)
	directory := openDirectory(t, cfg)
	began, changed := time.Now(), false
	directory.SetClock(func() time.Time {
		if !changed {
			changed = true
			db.Exec(t, pgtest.Owner, "update control.tenants set state = 'suspended'")
			directory.Forget()
		}
		return began
	})
	_, err := directory.Lookup(t.Context(), "tenant-0")
	require.NoError(t, err)
	_, err = directory.Lookup(t.Context(), "tenant-0")
	require.Equal(t, &scopes.TenantUnavailableError{Slug: "tenant-0", State: "suspended"}, err)
}
