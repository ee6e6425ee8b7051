package scopestest_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"tenanted/scopes/pgtest"
	"tenanted/scopes/scopestest"
)

// A pooler in transaction mode gives each transaction whichever server connection is free.
func TestBehindPgBouncer(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(*testing.T) scopestest.Target{"shared": shared, "schemas": schemas, "databases": databases} {
		for pooler, through := range map[string]func(*testing.T, *pgx.ConnConfig) *pgx.ConnConfig{
			"unprepared": func(t *testing.T, to *pgx.ConnConfig) *pgx.ConnConfig { return pgtest.PgBouncer(t, to) },
			"prepared":   pgtest.PgBouncerPrepared,
		} {
			t.Run(name+"/"+pooler, func(t *testing.T) {
				t.Parallel()
				target := open(t)
				target.Runtime = through(t, target.Runtime)
				scopestest.Run(t, application, target)
			})
		}
	}
}

// The tenant as a setting of the session reaches another client's session there. That is why it is never one.
func TestPgBouncerLeaksSessionSettings(t *testing.T) {
	t.Parallel()
	bouncer := pgtest.PgBouncer(t, pgtest.Database(t, "scopestest-shared", nothing).Config(pgtest.Runtime))
	connect := func() *pgx.Conn {
		conn, err := pgx.ConnectConfig(t.Context(), bouncer)
		require.NoError(t, err)
		t.Cleanup(func() { _ = conn.Close(context.Background()) })
		return conn
	}
	one, other := connect(), connect()
	var leaked string
	ask := func(conn *pgx.Conn, sql string) string {
		require.NoError(t, conn.QueryRow(t.Context(), sql).Scan(&leaked))
		return leaked
	}
	ask(one, "select set_config('app.tenant_id', '1', false)")
	require.Equal(t, "1", ask(other, "select current_setting('app.tenant_id', true)"))
	ask(one, "select set_config('app.tenant_id', '', false)")
	ask(one, "select set_config('app.tenant_id', '2', true)")
	require.Empty(t, ask(other, "select current_setting('app.tenant_id', true)"), "for the transaction only")
}
