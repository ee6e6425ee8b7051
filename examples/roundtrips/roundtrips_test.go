package roundtrips

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"tenanted/scopes"
	"tenanted/scopes/pgtest"
)

func TestRoundTrips(t *testing.T) {
	t.Parallel()
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			db := open(t)
			way := w.open(t, db.Runtime)
			require.Equal(t, w.read, trips(t, db, func() error { _, err := way.read(db.acme); return err }), "to read a row")
			require.Equal(t, w.readTwice, trips(t, db, func() error { return way.readTwice(db.acme) }), "for a transaction of two statements")
		})
	}
}

// trips counts f's round trips, warm. It takes the least of some runs: pgx pings a connection that has been idle for a second.
func trips(t *testing.T, db fixture, f func() error) int64 {
	least := int64(math.MaxInt64)
	for range 5 {
		before := db.Sent.N()
		require.NoError(t, f())
		least = min(least, db.Sent.N()-before)
	}
	return least
}

func TestForgottenTenant(t *testing.T) {
	t.Parallel()
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			db := open(t)
			way := w.open(t, db.Runtime)
			if !w.failsClosed {
				_, err := way.forgetful(t.Context())
				require.ErrorIs(t, err, sql.ErrNoRows, "row-level security shows nothing, and nobody is told why")
				return
			}
			db.RequireNothingSent(t, func() {
				_, err := way.forgetful(t.Context())
				require.ErrorAs(t, err, new(*scopes.TenantMissingError))
			})
		})
	}
}

// Both tenants' clients share one server connection.
func TestBehindPgBouncer(t *testing.T) {
	t.Parallel()
	for _, w := range ways {
		if !w.pgBouncer {
			continue // see the next test
		}
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			db := open(t)
			way := w.open(t, pgtest.PgBouncer(t, db.Config(pgtest.Runtime)))
			var clients errgroup.Group
			for range 4 {
				clients.Go(func() error { return readOften(db.acme, way, "anvil") })
				clients.Go(func() error { return readOften(db.umbrella, way, "leaks") })
			}
			require.NoError(t, clients.Wait())
		})
	}
}

func readOften(ctx context.Context, w way, want string) error {
	for range 25 {
		switch got, err := w.read(ctx); {
		case err != nil:
			return err
		case got != want:
			return fmt.Errorf("read %q, want %q", got, want)
		}
		if err := w.readTwice(ctx); err != nil {
			return err
		}
	}
	return nil
}

// What is set for the session reaches another client's session behind PgBouncer.
func TestSessionLevelBehindPgBouncer(t *testing.T) {
	t.Parallel()
	db := open(t)
	bouncer := pgtest.PgBouncer(t, db.Config(pgtest.Runtime))
	client := func(tenant context.Context) *pgx.Conn {
		conn, err := pgx.ConnectConfig(tenant, bouncer)
		require.NoError(t, err)
		t.Cleanup(func() { _ = conn.Close(context.Background()) })
		_, err = conn.Exec(tenant, setSession, key(tenant))
		require.NoError(t, err)
		return conn
	}
	acme, _ := client(db.acme), client(db.umbrella)
	var text string
	require.NoError(t, acme.QueryRow(db.acme, selectNote).Scan(&text))
	require.Equal(t, "leaks", text, "Acme's client reads Umbrella's note")
}

// TestTable prints the README's table, and fails where the README has another: cd examples && go test ./roundtrips -run Table -v.
func TestTable(t *testing.T) {
	t.Parallel()
	var table strings.Builder
	table.WriteString("| | read a row | transaction of two statements | fails closed | behind PgBouncer | jobs |\n|---|---|---|---|---|---|\n")
	yes := map[bool]string{true: "yes", false: "no"}
	for _, w := range ways {
		fmt.Fprintf(&table, "| %s | %d | %d | %s | %s | %s |\n", w.name, w.read, w.readTwice, yes[w.failsClosed], yes[w.pgBouncer], w.jobs)
	}
	t.Log("\n" + table.String())
	readme, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	require.Contains(t, string(readme), table.String())
}
