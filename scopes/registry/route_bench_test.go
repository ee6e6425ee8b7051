package registry

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"

	"tenanted/scopes"
	"tenanted/scopes/pgtest"
)

// BenchmarkRoute takes a connection and gives it back, with no statement in between: from database/sql's own
// pool, and for a tenant.
func BenchmarkRoute(b *testing.B) {
	pg := pgtest.Database(b, "empty", func(context.Context, *pgx.Conn) error { return nil })
	ctx := scopes.WithTenant(context.Background(), scopes.Tenant{ID: 1, Placement: scopes.Placement{Database: pg.Name}})

	b.Run("sql", func(b *testing.B) {
		db := stdlib.OpenDB(*pg.Config(pgtest.Runtime))
		defer db.Close()
		b.ReportAllocs()
		for b.Loop() {
			conn, err := db.Conn(ctx)
			if err != nil {
				b.Fatal(err)
			}
			_ = conn.Close()
		}
	})
	b.Run("tenanted", func(b *testing.B) {
		r, err := Open(Config{Runtime: pg.Config(pgtest.Runtime)})
		require.NoError(b, err)
		defer r.Close()
		bind := func(h any) error {
			_, err := h.(*routedConn).bind(ctx)
			return err
		}
		b.ReportAllocs()
		for b.Loop() {
			conn, err := r.DB().Conn(ctx)
			if err != nil {
				b.Fatal(err)
			}
			if err := conn.Raw(bind); err != nil {
				b.Fatal(err)
			}
			_ = conn.Close()
		}
	})
}
