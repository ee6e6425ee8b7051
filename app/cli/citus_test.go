package cli_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"tenanted/app/config"
	"tenanted/scopes/pgtest"
)

// The commands on a cluster: the tables are distributed with what is in them, and everything goes on.
func TestCommandsOnCitus(t *testing.T) {
	t.Parallel()
	db := pgtest.Citus(t, "", nil)
	owner, runtime := db.Config(pgtest.Owner), db.Config(pgtest.Runtime)
	w := &fixture{strategy: config.SingleSchema, db: db, dir: t.TempDir(), environ: []string{
		"PATH=" + os.Getenv("PATH"), "PGHOST=" + owner.Host, fmt.Sprintf("PGPORT=%d", owner.Port), "PGDATABASE=" + db.Name,
		"PGUSER=" + pgtest.Runtime, "PGPASSWORD=" + runtime.Password, "PGOWNER=" + owner.User, "PGOWNERPASSWORD=" + owner.Password,
	}}
	w.with("DJANGO_CONFIGURATION=MultipleSchemas").fails(t, 2, "cannot be used on a Citus cluster", "migrate")
	require.Contains(t, w.ok(t, "migrate"), "distributed 5 tables")
	w.ok(t, "seed", "--accounts", "12", "--max-projects", "2")
	require.Contains(t, w.ok(t, "migrate", "--status", "--tenant", "tenant-3"), "tenant-3: shard ")
	require.Contains(t, w.ok(t, "tenants", "show", "tenant-3"), "shard ")
	w.ok(t, "check")

	file := filepath.Join(w.dir, "tenant-3.tar.zst")
	w.ok(t, "tenants", "export", "tenant-3", "-o", file)
	w.ok(t, "tenants", "import", file, "--slug", "again")
	w.ok(t, "tenants", "clone", "tenant-4", "copy")
	w.ok(t, "tenants", "create", "acme")
	w.ok(t, "tenants", "rename", "acme", "acme2")
	w.ok(t, "tenants", "exec", "--all", "select count(*) from subtasks")
	w.ok(t, "tenants", "drop", "copy", "--yes")

	s := w.serve(t)
	for _, at := range [][2]string{
		{"tenant-3.localhost", "/subtasks/"}, {"tenant-3.localhost", "/subtasks/?q=the"}, {"tenant-3.localhost", "/subtasks/?status=done&order=task"},
		{"again.localhost", "/projects/"}, {"acme2.localhost", "/subtasks/"}, {"localhost", "/subtasks/"}, {"localhost", "/subtasks/?q=the"}, {"localhost", "/subtasks/?page=last"},
	} {
		status, page := s.get(t, at[0], at[1])
		require.Equal(t, http.StatusOK, status, "%v: %s", at, page)
	}
	_, page := s.get(t, "tenant-3.localhost", "/subtasks/")
	require.Contains(t, page, "#1")
	require.Zero(t, s.end(t))

	// Sabotage is named, and serve refuses.
	set := "alter role " + pgtest.Runtime + " in database \"" + db.Name + "\" set citus.propagate_set_commands = "
	db.Exec(t, pgtest.Owner, set+"'none'")
	r := w.run(t, "check")
	require.Equal(t, 1, r.code)
	require.Contains(t, r.out, "DEFECT citus-propagation")
	w.fails(t, 1, "citus.propagate_set_commands = none", "serve", "--addr", "localhost:0")
	db.Exec(t, pgtest.Owner, set+"'local'")
	w.ok(t, "check")
}
