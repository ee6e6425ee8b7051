package session_test

import (
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"tenanted/scopes"
	"tenanted/scopes/pgtest"
)

func TestStatementsAreEvictedAndDeallocated(t *testing.T) {
	t.Parallel()
	for _, capacity := range []int{1, 2, 5} {
		t.Run(fmt.Sprint(capacity), func(t *testing.T) {
			t.Parallel()
			config := database(t).Config(pgtest.Runtime)
			config.StatementCacheCapacity = capacity
			pool := open(t, config)
			ctx := tenant(t.Context(), 1)
			for round := range 3 {
				for i := range 10 {
					var n int
					query := fmt.Sprintf("select $1::int + %d", i)
					require.NoError(t, pool.QueryRowContext(ctx, query, round).Scan(&n))
					require.Equal(t, round+i, n)
				}
			}
			var prepared int
			require.NoError(t, pool.QueryRowContext(ctx, "select count(*) from pg_prepared_statements").Scan(&prepared))
			require.LessOrEqual(t, prepared, capacity+2, "evicted ones go with the next preparation")
		})
	}
}

func TestFailedPreparationLeavesTheCacheUsable(t *testing.T) {
	t.Parallel()
	pool := open(t, database(t).Config(pgtest.Runtime))
	ctx := tenant(t.Context(), 1)
	for range 3 {
		_, err := pool.ExecContext(ctx, "select nonsense from things where id = $1", 1)
		require.ErrorContains(t, err, "42703")
		_, err = pool.ExecContext(ctx, "select $1::int", "no number")
		require.Error(t, err)
		_, rows := ask(t, pool, ctx)
		require.Equal(t, 100, rows)
	}
}

func TestStatementDeallocatedByOthers(t *testing.T) {
	t.Parallel()
	pool := open(t, database(t).Config(pgtest.Runtime))
	ctx := tenant(t.Context(), 1)
	read := func() error {
		return pool.QueryRowContext(ctx, "select name from things where id = $1", 1).Scan(new(string))
	}
	require.NoError(t, read())
	_, err := pool.ExecContext(ctx, "deallocate all")
	require.NoError(t, err)
	require.NoError(t, read())
}

// The same text means another table under another tenant's schema, prepared or not.
func TestPreparedStatementsOfTwoSchemas(t *testing.T) {
	t.Parallel()
	db := database(t)
	db.Exec(t, pgtest.Owner, `create schema one; create schema two; create table one.t (v text); create table two.t (v text);
		insert into one.t values ('one'); insert into two.t values ('two');
		grant usage on schema one, two to `+pgtest.Runtime+`; grant select on one.t, two.t to `+pgtest.Runtime)
	pool := open(t, db.Config(pgtest.Runtime))
	for i := range 6 {
		schema := []string{"one", "two"}[i%2]
		ctx := scopes.WithTenant(t.Context(), scopes.Tenant{ID: 1, Placement: scopes.Placement{Schema: schema}})
		var v string
		require.NoError(t, pool.QueryRowContext(ctx, "select v from t where v > $1", "").Scan(&v))
		require.Equal(t, schema, v)
	}
	_, err := pool.ExecContext(tenant(t.Context(), 1), "select v from t where v > $1", "")
	require.ErrorContains(t, err, "42P01", "without a schema the search_path is the connection's own")
}

// Whatever a schema is called, it arrives as one name: in a bare statement, and in BEGIN, which is text.
func TestSchemaNamesAreQuoted(t *testing.T) {
	t.Parallel()
	db := database(t)
	pool := open(t, db.Config(pgtest.Runtime))
	loose := db.Config(pgtest.Runtime)
	loose.RuntimeParams["standard_conforming_strings"] = "off"
	loosePool := open(t, loose)
	rapid.Check(t, func(rt *rapid.T) {
		name := rapid.StringOfN(rapid.OneOf(rapid.SampledFrom([]rune(`"'\$,;- a1é`)), rapid.Rune()), 1, 20, 63).
			Filter(func(s string) bool { return pgx.Identifier{s}.Sanitize() == `"`+quoted(s)+`"` }).Draw(rt, "schema")
		ctx := scopes.WithTenant(t.Context(), scopes.Tenant{ID: 7, Placement: scopes.Placement{Schema: name}})
		const show = "select current_setting('search_path'), current_setting('app.tenant_id')"
		want := `"` + quoted(name) + `", pg_temp`
		for _, pool := range []interface {
			queryer
			beginner
		}{pool, loosePool} {
			var path, id string
			if err := pool.QueryRowContext(ctx, show).Scan(&path, &id); err != nil || path != want || id != "7" {
				rt.Fatalf("bare: %q %q %v", path, id, err)
			}
			tx, err := pool.BeginTx(ctx, nil)
			if err != nil {
				rt.Fatal(err)
			}
			if err := tx.QueryRowContext(ctx, show).Scan(&path, &id); err != nil || path != want || id != "7" {
				rt.Fatalf("begin: %q %q %v", path, id, err)
			}
			if err := tx.Rollback(); err != nil {
				rt.Fatal(err)
			}
		}
	})
}
