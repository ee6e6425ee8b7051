package session_test

import (
	"context"
	"database/sql"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"tenanted/scopes"
	"tenanted/scopes/pgtest"
	"tenanted/scopes/session"
)

// TestExplicit is every test of a kind again, with explicit transactions: see form.
func TestExplicit(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]func(*testing.T){
		"EachStatementCarriesItsTenant": TestEachStatementCarriesItsTenant, "NoTenant": TestNoTenant,
		"TransactionCarriesItsTenant": TestTransactionCarriesItsTenant, "Savepoints": TestSavepoints,
		"TransactionEndedBySQL": TestTransactionEndedBySQL, "TransactionOptions": TestTransactionOptions,
		"OneStatementAtATime": TestOneStatementAtATime, "DeferredConstraintSurfaces": TestDeferredConstraintSurfaces,
		"RowsClosedEarly": TestRowsClosedEarly, "CancelledWhileRowsAreOpen": TestCancelledWhileRowsAreOpen,
		"CancelledInATransaction": TestCancelledInATransaction, "TerminatedConnection": TestTerminatedConnection,
		"RoundTrips": TestRoundTrips, "Timeouts": TestTimeouts, "FurtherSchemas": TestFurtherSchemas, "ApplicationName": TestApplicationName,
		"Tracer": TestTracer, "TypesAreAsWithoutTheWrapper": TestTypesAreAsWithoutTheWrapper,
		"StatementsAreEvictedAndDeallocated":     TestStatementsAreEvictedAndDeallocated,
		"FailedPreparationLeavesTheCacheUsable":  TestFailedPreparationLeavesTheCacheUsable,
		"StatementDeallocatedByOthers":           TestStatementDeallocatedByOthers,
		"SchemaNamesAreQuoted":                   TestSchemaNamesAreQuoted,
		"SchemasThatDiffer":                      TestSchemasThatDiffer,
		"ChangeMeetsATransaction":                TestChangeMeetsATransaction,
		"ArgumentsAfterAColumnWasRetyped":        TestArgumentsAfterAColumnWasRetyped,
		"PoolCarriesTheTenantOfEachStatement":    TestPoolCarriesTheTenantOfEachStatement,
		"PoolTransactions":                       TestPoolTransactions,
		"PoolTransactionAfterACancelledContext":  TestPoolTransactionAfterACancelledContext,
		"PoolBatchesAndCopies":                   TestPoolBatchesAndCopies,
		"PoolTakesWhatPgxTakes":                  TestPoolTakesWhatPgxTakes,
		"PoolRoundTrips":                         TestPoolRoundTrips,
		"PoolOverSchemas":                        TestPoolOverSchemas,
		"PoolSurvivesTheServerEndingConnections": TestPoolSurvivesTheServerEndingConnections,
		"PoolTimeouts":                           TestPoolTimeouts,
	} {
		t.Run(name, test)
	}
}

// form is how the pools of a test send their settings.
func form(t *testing.T) session.TxForm {
	if strings.HasPrefix(t.Name(), "TestExplicit") {
		return session.ExplicitTx
	}
	return session.DetectTx
}

// The form is chosen by what the server has, and asked for once for a connection.
func TestFormIsDetectedOnce(t *testing.T) {
	t.Parallel()
	var trips pgtest.RoundTrips
	pool := open(t, trips.Watch(database(t).Config(pgtest.Runtime)))
	read := func() (explicit bool) {
		// In an implicit transaction, a savepoint is refused.
		_, err := pool.ExecContext(tenant(t.Context(), 1), "savepoint here")
		return err == nil
	}
	require.False(t, read(), "plain PostgreSQL keeps its form")
	read()
	before := trips.N()
	read()
	require.EqualValues(t, 1, trips.N()-before)
}

// whatEnds are ways for a statement, alone in its transaction, to end badly: the next one finds nothing of it.
var whatEnds = map[string]func(context.Context, *sql.DB) error{
	"an error":                func(ctx context.Context, pool *sql.DB) error { return exec(ctx, pool, "select 1/0") },
	"an error with arguments": func(ctx context.Context, pool *sql.DB) error { return exec(ctx, pool, "select 1/$1::int", 0) },
	"no such table": func(ctx context.Context, pool *sql.DB) error {
		return exec(ctx, pool, "select from nothing where id = $1", 1)
	},
	"an error after its rows": func(ctx context.Context, pool *sql.DB) error {
		return exec(ctx, pool, "select 1/(500-n) from generate_series(1, 1000) n")
	},
	"a key taken": func(ctx context.Context, pool *sql.DB) error {
		return exec(ctx, pool, "insert into things values (1, 1)")
	},
	"a deferred key taken": func(ctx context.Context, pool *sql.DB) error {
		return exec(ctx, pool, "insert into uniques values (1), (1)")
	},
	"another tenant's row": func(ctx context.Context, pool *sql.DB) error {
		return exec(ctx, pool, "insert into things values (2, 1000)")
	},
	"the statement timeout":       func(ctx context.Context, pool *sql.DB) error { return exec(ctx, pool, "select pg_sleep(60)") },
	"several statements":          func(ctx context.Context, pool *sql.DB) error { return exec(ctx, pool, "select 1; select 2") },
	"an argument that fits not":   func(ctx context.Context, pool *sql.DB) error { return exec(ctx, pool, "select $1::int", "x") },
	"begin":                       func(ctx context.Context, pool *sql.DB) error { return exec(ctx, pool, "begin") },
	"start transaction":           func(ctx context.Context, pool *sql.DB) error { return exec(ctx, pool, "start transaction") },
	"a context that ends earlier": func(ctx context.Context, pool *sql.DB) error { return execUntil(ctx, pool, "select pg_sleep(60)") },
	"a context that ends in rows": func(ctx context.Context, pool *sql.DB) error {
		return execUntil(ctx, pool, "select n, pg_sleep(n / 50000) from generate_series(1, 100000) n")
	},
	"a context that has ended": func(ctx context.Context, pool *sql.DB) error {
		ctx, cancel := context.WithCancel(ctx)
		cancel()
		return exec(ctx, pool, "select 1")
	},
}

func exec(ctx context.Context, pool *sql.DB, query string, args ...any) error {
	_, err := pool.ExecContext(ctx, query, args...)
	return err
}

func execUntil(ctx context.Context, pool *sql.DB, query string) error {
	ctx, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	return exec(ctx, pool, query)
}

func TestWhatEndsBadlyLeavesNothing(t *testing.T) {
	t.Parallel()
	db := database(t)
	config := db.Config(pgtest.Runtime)
	config.Database = db.Name
	for _, form := range []session.TxForm{session.ImplicitTx, session.ExplicitTx} {
		pool := openWith(t, config, session.Options{StatementTimeout: 200 * time.Millisecond, ApplicationName: "ours", TxForm: form})
		for name, end := range whatEnds {
			require.Error(t, end(tenant(t.Context(), 1), pool), "%s: %s", form, name)
			db.AssertQuiet(t)
			requireNothingSet(t, pool, name)
			setting, rows := ask(t, pool, tenant(t.Context(), 2))
			require.Equal(t, "2", setting, "%s: %s", form, name)
			require.Equal(t, 100, rows, "%s: %s", form, name)
		}
	}
}

// Statements that end their own transaction are executed, and what follows in the same message has no tenant.
func TestStatementsThatEndTheirTransaction(t *testing.T) {
	t.Parallel()
	db := database(t)
	pool := openWith(t, db.Config(pgtest.Runtime), session.Options{TxForm: session.ExplicitTx})
	for _, end := range []string{"commit", "rollback", "end", "abort", "commit and chain", "rollback and chain"} {
		require.NoError(t, exec(tenant(t.Context(), 1), pool, end))
		db.AssertQuiet(t)
		requireNothingSet(t, pool, end)
		setting, rows := ask(t, pool, tenant(t.Context(), 2))
		require.Equal(t, "2", setting, end)
		require.Equal(t, 100, rows, end)
	}
}

// requireNothingSet looks at the pool's one connection past the session.
func requireNothingSet(t *testing.T, pool *sql.DB, after string) {
	t.Helper()
	conn, err := pool.Conn(t.Context())
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.Raw(func(inner any) error {
		raw := session.PgConn(inner)
		require.Equal(t, byte('I'), raw.TxStatus(), after)
		const left = "select coalesce(current_setting('app.tenant_id', true), ''), current_setting('application_name'), current_setting('statement_timeout')"
		answer := raw.ExecParams(t.Context(), left, nil, nil, nil, nil).Read()
		require.NoError(t, answer.Err, after)
		for i, want := range []string{"", "", "0"} {
			require.Equal(t, want, string(answer.Rows[0][i]), after)
		}
		return nil
	}))
}

// A tenant's id stands in the text of SET LOCAL. Whatever it is, it is one literal, and the server reads back the same.
func TestLiteralsAreOneLiteral(t *testing.T) {
	t.Parallel()
	db := database(t)
	conns := map[string]*pgx.Conn{"default": db.Connect(t, pgtest.Runtime), "loose strings": db.Connect(t, pgtest.Runtime), "GBK": db.Connect(t, pgtest.Runtime), "SJIS": db.Connect(t, pgtest.Runtime)}
	for name, sql := range map[string]string{"loose strings": "set standard_conforming_strings = off; set backslash_quote = on", "GBK": "set client_encoding = GBK", "SJIS": "set client_encoding = SJIS"} {
		_, err := conns[name].Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	hostile := rapid.StringOfN(rapid.OneOf(rapid.SampledFrom([]rune(`'"\$;-/*E &éß¿縗表`)), rapid.Rune()), 1, 40, -1).
		Filter(func(s string) bool { return !strings.ContainsRune(s, 0) })
	rapid.Check(t, func(rt *rapid.T) {
		id := hostile.Draw(rt, "id")
		for name, conn := range conns {
			// In hexadecimal, since what a character is does not go through every encoding.
			sql := "set app.tenant_id = " + session.EscapeLiteral(id)
			if answer := conn.PgConn().ExecParams(t.Context(), sql, nil, nil, nil, nil).Read(); answer.Err != nil {
				rt.Fatalf("%s: %s: %v", name, sql, answer.Err)
			}
			got := conn.PgConn().ExecParams(t.Context(), "select encode(convert_to(current_setting('app.tenant_id'), 'UTF8'), 'escape') = encode(decode($1, 'hex'), 'escape')",
				[][]byte{hexed(id)}, nil, nil, nil).Read()
			if got.Err != nil || string(got.Rows[0][0]) != "t" {
				rt.Fatalf("%s: %q is read back as another: %v", name, id, got.Err)
			}
		}
	})
}

func hexed(s string) []byte {
	const digits = "0123456789abcdef"
	var out []byte
	for _, b := range []byte(s) {
		out = append(out, digits[b>>4], digits[b&15])
	}
	return out
}

// The id of a hostile tenant gets to the policies as it is, in both kinds of transactions.
func TestHostileIDsInExplicitTransactions(t *testing.T) {
	t.Parallel()
	pool := openWith(t, database(t).Config(pgtest.Runtime), session.Options{TxForm: session.ExplicitTx})
	for _, id := range []string{`'; reset app.tenant_id; select '`, `\'; commit; --`, "E'x'", "$1", "a\nb", "é表\\", `"`, " ", "default"} {
		ctx := scopes.WithTenant(t.Context(), scopes.Tenant{ID: id})
		var got string
		const show = "select current_setting('app.tenant_id')"
		require.NoError(t, pool.QueryRowContext(ctx, show).Scan(&got))
		require.Equal(t, id, got)
		require.NoError(t, inTransaction(ctx, pool, func(tx *sql.Tx) error { return tx.QueryRowContext(ctx, show).Scan(&got) }))
		require.Equal(t, id, got)
	}
}
