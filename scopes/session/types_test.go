package session_test

import (
	"context"
	"database/sql"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"

	"tenanted/scopes/pgtest"
)

type queryer interface {
	QueryRowContext(context.Context, string, ...any) *sql.Row
	QueryContext(context.Context, string, ...any) (*sql.Rows, error)
}

type beginner interface {
	BeginTx(context.Context, *sql.TxOptions) (*sql.Tx, error)
}

func quoted(s string) string { return strings.ReplaceAll(s, `"`, `""`) }

// What database/sql gets for a value must not depend on the driver being wrapped.
func TestTypesAreAsWithoutTheWrapper(t *testing.T) {
	t.Parallel()
	db := database(t)
	db.Exec(t, pgtest.Owner, "create type mood as enum ('good'); create domain positive as int check (value > 0); create type pair as (a int, b text)")
	for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeCacheStatement, pgx.QueryExecModeExec} {
		config := db.Config(pgtest.Runtime)
		config.DefaultQueryExecMode = mode
		wrapped, plain := open(t, config), stdlib.OpenDB(*config)
		t.Cleanup(func() { _ = plain.Close() })
		for _, expression := range []string{
			"true", "1::int2", "2::int4", "3::int8", "1.5::float4", "2.5::float8", "'NaN'::float8", "1.23::numeric", "'NaN'::numeric",
			"'text'::text", "'char'::char(6)", "'varchar'::varchar", "'c'::\"char\"", "'name'::name", `'\xdeadbeef'::bytea`, "''::bytea",
			"'2024-02-29'::date", "'infinity'::date", "'2024-02-29 12:00:00.123456'::timestamp", "'2024-02-29 12:00:00.123456+02'::timestamptz",
			"'infinity'::timestamptz", "'12:34:56.789'::time", "'12:34:56+01'::timetz", "'1 day 2 hours'::interval",
			`'{"a": 1}'::json`, `'{"a": 1}'::jsonb`, "'<a/>'::xml", "'550e8400-e29b-41d4-a716-446655440000'::uuid",
			"'{1,2,null}'::int[]", "'{a,\"b c\"}'::text[]", "'10.0.0.1/8'::inet", "'10.0.0.0/8'::cidr", "'08:00:2b:01:02:03'::macaddr",
			"'(1,2)'::point", "'[1,5)'::int4range", "b'101'::bit(3)", "'101'::varbit", "'a b'::tsvector", "12::oid", "'13'::xid", "'14'::cid",
			"'good'::mood", "5::positive", "row(1, 'x')::pair", "'things'::regclass", "'1.50'::money", "null::text", "null::int", "null::timestamptz",
		} {
			compare(t, wrapped, plain, "select "+expression, nil)
			compare(t, wrapped, plain, "select "+expression+" where $1 = 1", []any{1})
		}
		for _, arg := range []any{true, int64(1), 1.5, "text", []byte{1, 2}, nil} {
			compare(t, wrapped, plain, "select $1", []any{arg})
		}
		compare(t, wrapped, plain, "select $1::int[]", []any{[]int{1, 2}})
		compare(t, wrapped, plain, "select $1::jsonb", []any{map[string]any{"a": 1}})
	}
}

func compare(t *testing.T, wrapped, plain *sql.DB, query string, args []any) {
	t.Helper()
	got, gotTypes, gotErr := one(t, wrapped, query, args)
	want, wantTypes, wantErr := one(t, plain, query, args)
	require.Equal(t, wantErr == nil, gotErr == nil, "%s: %v, without the wrapper %v", query, gotErr, wantErr)
	if f, ok := want.(float64); ok && f != f {
		require.NotEqual(t, got, got, "%s", query)
		return
	}
	require.Equal(t, want, got, "%s %v", query, args)
	require.Equal(t, wantTypes, gotTypes, "%s %v", query, args)
}

// one returns the value of a query, and what is said of its column.
func one(t *testing.T, db *sql.DB, query string, args []any) (value any, column [3]string, err error) {
	rows, err := db.QueryContext(tenant(t.Context(), 1), query, args...)
	if err != nil {
		return nil, column, err
	}
	defer rows.Close()
	types, err := rows.ColumnTypes()
	if err != nil {
		return nil, column, err
	}
	column = [3]string{types[0].Name(), types[0].DatabaseTypeName(), types[0].ScanType().String()}
	for rows.Next() {
		if err := rows.Scan(&value); err != nil {
			return nil, column, err
		}
	}
	return value, column, rows.Err()
}
