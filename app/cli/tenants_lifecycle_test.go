package cli_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tenanted/scopes/audit"
	"tenanted/scopes/pgtest"
)

// A running server is told of a change, which takes a moment.
const (
	eventually = 5 * time.Second
	tick       = 5 * time.Millisecond
)

// becomes waits for the answer to a tenant's page.
func (s *server) becomes(t *testing.T, slug string, want int) (body string) {
	t.Helper()
	require.Eventually(t, func() bool {
		var status int
		status, body = s.get(t, slug+".localhost", "/subtasks/")
		return status == want
	}, eventually, tick, "%s: not %d: %s", slug, want, body)
	return body
}

func TestATenantIsCreatedSuspendedAndResumedWhileServing(t *testing.T) {
	t.Parallel()
	eachStrategy(t, func(t *testing.T, w *fixture) {
		w.ok(t, "migrate")
		w.ok(t, "seed", "--accounts", "3") // as many as MULTIDB_COUNT, which bounds the seed and nothing else
		s := w.serve(t)
		s.becomes(t, "acme", 404)
		require.Contains(t, w.ok(t, "tenants", "create", "acme", "--name", "Acme Inc."), "created tenant 1000001 (acme) in ")
		w.ok(t, "tenants", "create", "bolt")
		s.becomes(t, "acme", 200)
		require.Regexp(t, `1000001 +acme +Acme Inc\. .* active +\d+\n1000002 +bolt +bolt .* active`, w.ok(t, "tenants", "list"))
		w.fails(t, 1, `tenant "acme" exists, in state "active": choose another slug`, "tenants", "create", "acme")

		require.Equal(t, "tenant acme is suspended\n", w.ok(t, "tenants", "suspend", "acme"))
		require.Contains(t, s.becomes(t, "acme", 503), "This account is suspended.")
		require.NotContains(t, s.becomes(t, "acme", 503), "Acme Inc.")
		w.ok(t, "tenants", "suspend", "acme") // again
		s.becomes(t, "bolt", 200)
		require.Equal(t, "tenant acme is served\n", w.ok(t, "tenants", "resume", "acme"))
		s.becomes(t, "acme", 200)
		w.ok(t, "tenants", "resume", "acme")
		require.Empty(t, w.check(t, 0).ids(audit.Defect))
		require.Zero(t, s.end(t))
	})
}

func TestTenantsThatCannotBeCreatedOrChanged(t *testing.T) {
	t.Parallel()
	eachUnmixed(t, func(t *testing.T, w *fixture) {
		w.ok(t, "migrate")
		for _, slug := range []string{"Acme", "a_b", "-a", "a-", "a.b", "", "a'; drop table x", strings.Repeat("a", 64), "téñant"} {
			w.fails(t, 2, "is not a slug", "tenants", "create", "--", slug)
		}
		for _, slug := range []string{"www", "api", "public", "control"} {
			w.fails(t, 1, "reserved", "tenants", "create", slug)
		}
		w.fails(t, 2, "create takes the new tenant's slug", "tenants", "create")
		w.fails(t, 2, "--name is empty", "tenants", "create", "a", "--name", "")
		w.fails(t, 2, "use at most 200", "tenants", "create", "a", "--name", strings.Repeat("ä", 201))
		w.fails(t, 2, "cannot be shown", "tenants", "create", "a", "--name", "a\nb")
		for _, verb := range []string{"suspend", "resume"} {
			w.fails(t, 1, `no tenant is called "nobody"`, "tenants", verb, "nobody")
		}
		require.Zero(t, w.count(t, "select count(*) from control.tenants"))
		w.ok(t, "tenants", "create", "a")
		w.db.Exec(t, pgtest.Owner, "update control.tenants set state = 'dropping'")
		for _, verb := range []string{"suspend", "resume"} {
			w.fails(t, 1, `tenant "a" is in state "dropping": only one`, "tenants", verb, "a")
		}
		w.fails(t, 1, `exists, in state "dropping"`, "tenants", "create", "a")
	})
}

// Ids are given once, and of several who create one tenant one does.
func TestManyTenantsAreCreatedAtOnce(t *testing.T) {
	t.Parallel()
	eachUnmixed(t, func(t *testing.T, w *fixture) {
		w.ok(t, "migrate")
		var group sync.WaitGroup
		for i := range 8 {
			group.Go(func() {
				r := w.run(t, "tenants", "create", fmt.Sprintf("t%d", i/2))
				if r.code != 0 && !strings.Contains(r.err, "exists, in state") {
					t.Error(r.err)
				}
			})
		}
		group.Wait()
		require.Equal(t, 4, w.count(t, "select count(distinct id) from control.tenants where state = 'active'"))
		require.Empty(t, w.check(t, 0).ids(audit.Defect))
	})
}

// A create that is killed leaves nothing, or a tenant that is not served and that the same command completes.
func TestAKilledCreateIsCompleted(t *testing.T) {
	t.Parallel()
	eachUnmixed(t, func(t *testing.T, w *fixture) {
		w.ok(t, "migrate")
		w.ok(t, "tenants", "create", "first") // so that there is something to check
		completed, made := 0, 1
		killed(4, func(i int) {
			slug := fmt.Sprintf("t%d", i)
			moment := time.Now().Add(time.Hour)
			entered := func() bool {
				if moment.After(time.Now().Add(time.Minute)) && w.count(t, "select count(*) from control.tenants where slug = '"+slug+"'") > 0 {
					moment = time.Now().Add(randomly(60 * time.Millisecond))
				}
				return time.Now().After(moment)
			}
			w.kill(t, entered, "tenants", "create", slug)
			require.Empty(t, w.check(t, 0).ids(audit.Defect))
			if r := w.run(t, "tenants", "create", slug); r.code == 0 {
				completed++
			} else {
				require.Contains(t, r.err, `exists, in state "active"`)
			}
			made++
		})
		require.Equal(t, made, w.count(t, "select count(*) from control.tenants where state = 'active'"))
		t.Log("killed in time:", completed)
	})
}
