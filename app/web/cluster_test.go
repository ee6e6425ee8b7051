package web

import (
	"context"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"tenanted/models"
	"tenanted/scopes/citus"
	"tenanted/scopes/pgtest"
)

// sentStatements are the statements that tests have sent for tenants of shared tables, each once for all tests. When a test ends, those that
// are new must suit a Citus cluster.
type sentStatements struct {
	mutex      sync.Mutex
	statements map[string][]any
}

var sentBefore sync.Map

var _ pgx.QueryTracer = (*sentStatements)(nil)

// TraceQueryStart implements pgx.QueryTracer.
func (s *sentStatements) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.statements[data.SQL] = data.Args
	return ctx
}

// TraceQueryEnd implements pgx.QueryTracer.
func (*sentStatements) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// watchStatements has config's statements checked when the test ends.
func (w *fixture) watchStatements(t testing.TB, config *pgx.ConnConfig) {
	s := &sentStatements{statements: map[string][]any{}}
	w.watched, config.Tracer = s, s
	t.Cleanup(func() {
		var conn *pgx.Conn
		for sql, args := range s.statements {
			if _, before := sentBefore.LoadOrStore(sql, true); before || isTransaction(sql) || t.Failed() {
				continue
			}
			if conn == nil {
				var err error
				conn, err = pgx.ConnectConfig(context.Background(), w.db.Config(pgtest.Owner))
				require.NoError(t, err)
				defer conn.Close(context.Background())
			}
			require.NoError(t, citus.Suits(context.Background(), conn, tenantedTables(), sql, args...))
		}
	})
}

func isTransaction(sql string) bool { return sql == "begin" || sql == "commit" || sql == "rollback" }

func tenantedTables() (tables []citus.Table) {
	for _, t := range models.Tables() {
		tables = append(tables, citus.Table{Name: t.Name, Column: t.Tenant})
	}
	return tables
}

// It would be seen if what a page sends were not looked at.
func TestStatementsAreWatched(t *testing.T) {
	t.Parallel()
	w := newFixture(t, single, nil)
	w.page(t, "GET tenant-0.localhost /subtasks/")
	if !pgtest.HasCitus() {
		require.NotEmpty(t, w.watched.statements)
	}
}
