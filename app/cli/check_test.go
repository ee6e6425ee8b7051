package cli_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tenanted/app/config"
	"tenanted/scopes/audit"
	"tenanted/scopes/pgtest"
)

// checked is what `check --format json` prints.
type checked struct {
	InForce   bool           `json:"in_force"`
	Summary   audit.Summary  `json:"summary"`
	Databases []audit.Report `json:"databases"`
}

// check runs the command, which must exit with code.
func (w *fixture) check(t *testing.T, code int) (c checked) {
	t.Helper()
	r := w.run(t, "check", "--format", "json")
	require.Equal(t, code, r.code, r.err)
	require.NoError(t, json.Unmarshal([]byte(r.out), &c))
	require.Equal(t, code == 0, c.InForce)
	return c
}

// ids returns the IDs of the checks of a status, over all databases.
func (c checked) ids(status audit.Status) (ids []string) {
	for _, report := range c.Databases {
		for _, check := range report.Checks {
			if check.Status == status {
				ids = append(ids, check.ID)
			}
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// What is wrong with the control plane is found in every configuration.
func TestCheckLooksAtTheControlPlane(t *testing.T) {
	t.Parallel()
	eachUnmixed(t, func(t *testing.T, w *fixture) {
		w.ok(t, "migrate")
		w.ok(t, "seed", "--accounts", "2")
		whole := w.check(t, 0)
		require.Equal(t, w.db.Name, whole.Databases[0].Database)
		require.Len(t, whole.Databases, map[config.Strategy]int{config.SingleSchema: 1, config.MultipleSchemas: 1, config.MultipleDb: 3}[w.strategy])

		for plant, id := range map[string]string{
			"grant select, update on control.tenants to %s; revoke select, update on control.tenants from %[1]s":                                                                                                   "grant-private",
			"grant select (slug) on control.tenants to public; revoke select (slug) on control.tenants from public":                                                                                                "grant-private",
			"grant select on control.deployment to %s; revoke select on control.deployment from %[1]s":                                                                                                             "grant-private",
			"drop trigger tenant_changes on control.tenants; create trigger tenant_changes after insert or update or delete on control.tenants for each statement execute function control.notify_tenant_change()": "requirement",
			"alter table control.tenants drop constraint tenants_slug_key; alter table control.tenants add unique (slug)":                                                                                          "requirement",
		} {
			do, undo, _ := strings.Cut(plant, "; ")
			if strings.Contains(plant, "%") {
				do, undo = fmt.Sprintf(do, pgtest.Runtime), fmt.Sprintf(strings.ReplaceAll(undo, "%[1]s", "%s"), pgtest.Runtime)
			}
			w.db.Exec(t, pgtest.Owner, do)
			c := w.check(t, 1)
			require.Equal(t, []string{id}, c.ids(audit.Defect), plant)
			require.Equal(t, "not in force", c.Summary.Result)
			w.db.Exec(t, pgtest.Owner, undo)
		}
		w.check(t, 0)
	})
}

// Nothing looked at is not in force, and the role is judged whatever tenants there are.
func TestCheckAndServeJudgeTheRoleWithoutAnyTenant(t *testing.T) {
	t.Parallel()
	eachStrategy(t, func(t *testing.T, w *fixture) {
		w.ok(t, "migrate")
		c := w.check(t, 3)
		require.Equal(t, "not checked", c.Summary.Result)
		require.Contains(t, c.ids(audit.NotChecked), "tenants")
		require.Empty(t, c.ids(audit.Defect))

		role := pgtest.Role(t, "superuser")
		strong := w.with("PGUSER=" + role)
		strong.ok(t, "migrate")
		require.Contains(t, strong.check(t, 1).ids(audit.Defect), "runtime-superuser")
		strong.fails(t, 1, "has SUPERUSER", "serve", "--addr", "localhost:0")
		require.NotContains(t, strong.run(t, "check").out, "nosuperuser", "that would lock people out of their server")

		w.db.Exec(t, pgtest.Superuser, "alter role "+role+" nosuperuser")
		c = w.check(t, map[config.Strategy]int{config.SingleSchema: 1, config.Mixed: 1, config.MultipleDb: 3, config.MultipleSchemas: 3}[w.strategy])
		if w.sharesTables() { // the others have no table yet
			require.Equal(t, []string{"grant-other-role"}, c.ids(audit.Defect), "an earlier runtime role keeps its rights")
		}
	})
}

// One database that cannot be looked at does not keep the others from it, and is told from a defect.
func TestCheckTellsWhatItCouldNotLookAt(t *testing.T) {
	t.Parallel()
	w := newFixture(t, config.MultipleDb)
	w.ok(t, "migrate")
	w.ok(t, "seed")
	away := w.db.Name + "_tenant-1"
	w.db.Exec(t, pgtest.Superuser, `alter database "`+away+`" allow_connections false`)
	c := w.check(t, 3)
	require.Equal(t, []string{"connect", "probe-rls", "probe-tenant"}, c.ids(audit.NotChecked))
	require.Equal(t, "not checked", c.Summary.Result)
	require.Len(t, c.Databases, 4)

	w.ok(t, "dbshell", "--tenant", "tenant-0", "--owner", "--", "-qc", "alter table tasks disable row level security")
	c = w.check(t, 1)
	require.Equal(t, "not in force", c.Summary.Result, "a defect comes first")
	w.db.Exec(t, pgtest.Superuser, `alter database "`+away+`" allow_connections true`)
}
