package cli_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"tenanted/app/config"
	"tenanted/scopes/audit"
	"tenanted/scopes/pgtest"
)

// One fleet has tenants in shared tables, schemas and databases, and every command works on all of them.
func TestAMixedFleet(t *testing.T) {
	t.Parallel()
	w := newFixture(t, config.Mixed)
	w.ok(t, "migrate")
	w.ok(t, "seed", "--accounts", "3")
	s := w.serve(t, "--metrics")
	w.ok(t, "tenants", "create", "rows")
	w.ok(t, "tenants", "create", "tables", "--schema", "tables_of")
	w.ok(t, "tenants", "create", "base", "--database", w.db.Name+"_x")
	places := map[string]string{
		"tenant-0": "public", "tenant-1": "tenant-1", "tenant-2": w.db.Name + "_tenant-2.public",
		"rows": "public", "tables": "tables_of", "base": w.db.Name + "_x.public",
	}
	list := w.ok(t, "tenants", "list")
	for slug, place := range places {
		if slug[0] != 'b' && slug != "tenant-2" {
			place = w.db.Name + "." + place
		}
		require.Regexp(t, slug+` .* `+place+` +active +\d+\n`, list)
		s.becomes(t, slug, 200)
		require.Equal(t, "1\n", w.ok(t, "dbshell", "--tenant", slug, "--", "-XAtc", "select count(*) from accounts"))
	}
	require.Empty(t, w.check(t, 0).ids(audit.Defect))
	require.Len(t, w.check(t, 0).Databases, 3)
	status := w.ok(t, "migrate", "--status")
	for _, row := range []string{" control ", " public +tenant ", " public +shared ", " tenant-1 +tenant ", "_tenant-2 +public +tenant ", " tables_of ", "_x +public "} {
		require.Regexp(t, row+".* current\n", status)
	}
	require.NotRegexp(t, "_x +public +shared", status, "what shared tables have besides is for them alone")

	status2, page := s.get(t, "localhost", "/subtasks/")
	require.Equal(t, 200, status2)
	require.Contains(t, page, "Of the tenants in the shared tables")
	_, page = s.get(t, "localhost", "/metrics")
	require.Contains(t, page, fmt.Sprintf(`tenanted_db_connections{database="%s_x",server="",state="idle"} 1`, w.db.Name))
	w.fails(t, 2, "would drop every tenant's tables", "migrate", "--down", "--tenant", "rows")
	require.Zero(t, s.end(t))
}

// A tenant that is not in order is alone with that, whatever the others' placements are.
func TestOneOfAMixedFleetIsNotServed(t *testing.T) {
	t.Parallel()
	w := newFixture(t, config.Mixed)
	w.ok(t, "migrate")
	w.ok(t, "seed", "--accounts", "3")
	w.db.Exec(t, pgtest.Superuser, fmt.Sprintf(`alter database "%s_tenant-2" allow_connections false`, w.db.Name))
	w.db.Exec(t, pgtest.Owner, `drop table "tenant-1".subtasks`)
	s := w.serve(t)
	s.becomes(t, "tenant-0", 200)
	s.becomes(t, "tenant-1", 503)
	s.becomes(t, "tenant-2", 503)
	_, ready := s.get(t, "localhost", "/readyz")
	require.Regexp(t, `\Aready\nnot served: tenant-1: .*\nnot served: tenant-2: .*not currently accepting connections`, ready)
	require.Zero(t, s.end(t))
	require.Equal(t, 1, w.run(t, "migrate").code)
	require.Equal(t, 1, w.run(t, "check").code)
}

func TestPlacesThatATenantCannotHave(t *testing.T) {
	t.Parallel()
	w := newFixture(t, config.Mixed)
	create := func(args ...string) []string { return append([]string{"tenants", "create"}, args...) }
	w.fails(t, 2, "--schema=control: is taken", create("a", "--schema", "control")...)
	w.fails(t, 2, "is not a name", create("a", "--database", "A; drop")...)
	w.fails(t, 2, "--schema is empty", create("a", "--schema", "")...)
	w.with("DJANGO_CONFIGURATION=MultipleDb").fails(t, 2, "--schema=x: contradicts DJANGO_CONFIGURATION=MultipleDb", create("a", "--schema", "x")...)
	w.ok(t, "migrate")
	w.ok(t, create("a", "--schema", "x")...)
	w.fails(t, 1, w.db.Name+".x is another tenant's", create("b", "--schema", "x")...)
	other := pgtest.Database(t, "others", func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, "create table theirs (id int)")
		return err
	})
	w.fails(t, 1, "has tables of something else, such as theirs", create("c", "--database", other.Name)...)
	require.Contains(t, w.ok(t, "tenants", "drop", "c", "--yes"), "dropped tenant c ")
	other.Exec(t, pgtest.Owner, "insert into theirs values (1)")
	w.db.Exec(t, pgtest.Owner, "update control.tenants set state = 'creating'") // as if it had been killed
	w.fails(t, 1, fmt.Sprintf("it is being created in %s.x, and not in %[1]s.y", w.db.Name), create("a", "--schema", "y")...)
	require.Contains(t, w.ok(t, create("a")...), "created tenant 1000001 (a) in "+w.db.Name+".x\n")
}
