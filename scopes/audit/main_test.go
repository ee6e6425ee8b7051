package audit_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"tenanted/models"
	"tenanted/scopes/audit"
	"tenanted/scopes/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// fixture is a database with a runtime role of its own: most defects of a role are the whole server's.
type fixture struct {
	*pgtest.DB
	runtime string
	admin   *pgx.Conn // the superuser's
}

var made atomic.Int64

// newFixture returns the application's tables with what the runtime role needs, and nothing more.
func newFixture(t *testing.T) fixture {
	t.Helper()
	tables := tenantTables(t)
	w := emptyFixture(t, "audit_app", func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, tables)
		return err
	}, tables)
	w.Exec(t, pgtest.Owner, grants)
	return w
}

const grants = `grant usage on schema public to {run};
	grant select, insert, update, delete on accounts, users, projects, tasks, subtasks, sessions, password_resets, api_tokens, sign_in_attempts, request_keys to {run};`

func emptyFixture(t *testing.T, key string, build func(context.Context, *pgx.Conn) error, inputs ...string) fixture {
	t.Helper()
	w := fixture{runtime: fmt.Sprintf("audit_%d_%d", os.Getpid(), made.Add(1))}
	t.Cleanup(func() { // after the database is gone, and with it what the role owns there
		w.onServer(t, w.sql("drop owned by {run} cascade; drop role {run}; drop role if exists {run}_group"))
	})
	w.DB = pgtest.Database(t, key, build, inputs...)
	w.admin = w.Connect(t, pgtest.Superuser)
	w.Exec(t, pgtest.Superuser, "create role {run} login")
	return w
}

// Exec runs SQL in the place of a role, over the one connection that there is for it.
func (w fixture) Exec(t *testing.T, role, sql string) {
	t.Helper()
	_, err := w.admin.Exec(t.Context(), "set role "+role+";"+w.sql(sql)+"; reset role")
	require.NoError(t, err)
}

// onServer runs SQL as superuser, connected to no test's database.
func (w fixture) onServer(t *testing.T, sql string) {
	config := w.Config(pgtest.Superuser)
	config.Database = "postgres"
	conn, err := pgx.ConnectConfig(context.Background(), config)
	require.NoError(t, err)
	defer conn.Close(context.Background())
	_, err = conn.Exec(context.Background(), sql)
	require.NoError(t, err)
}

// sql fills in {run}, the runtime role, and {db}, the database.
func (w fixture) sql(text string) string {
	r := strings.NewReplacer("{run}", w.runtime)
	if w.DB != nil {
		r = strings.NewReplacer("{run}", w.runtime, "{db}", w.Name)
	}
	return r.Replace(text)
}

// audit runs the audit of schema public, or of the given ones, as the runtime role.
func (w fixture) audit(t *testing.T, cfg audit.Config, schemas ...string) audit.Report {
	t.Helper()
	return w.auditAs(t, w.runtime, cfg, schemas...)
}

func (w fixture) auditAs(t *testing.T, role string, cfg audit.Config, schemas ...string) audit.Report {
	t.Helper()
	if cfg.Models == nil {
		cfg.Models = models.All()
	}
	if cfg.Runtime == "" {
		cfg.Runtime = w.runtime
	}
	if schemas == nil {
		schemas = []string{"public"}
	}
	report, err := audit.Run(t.Context(), w.Connect(t, role), cfg, schemas...)
	require.NoError(t, err)
	return report
}

// found returns the IDs of the checks with a status, each once.
func found(r audit.Report, status audit.Status) []string {
	ids := []string{}
	for _, c := range r.Checks {
		if c.Status == status {
			ids = append(ids, c.ID)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// tenantTables is what the application's migrations make of a placement.
func tenantTables(t *testing.T) string {
	files, err := filepath.Glob("../../migrations/tenant/*.sql")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	var all strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		up, _, ok := strings.Cut(string(text), "-- +goose Down")
		require.True(t, ok, file)
		all.WriteString(up)
	}
	return all.String()
}
