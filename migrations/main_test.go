package migrations_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"tenanted/migrations"
	"tenanted/scopes"
	"tenanted/scopes/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// empty returns a database without anything, and a runner for it.
func empty(t *testing.T) (*pgtest.DB, migrations.Runner) {
	t.Helper()
	db := pgtest.Database(t, "empty", func(context.Context, *pgx.Conn) error { return nil })
	return db, migrations.Runner{Owner: db.Config(pgtest.Owner), Runtime: pgtest.Runtime}
}

func target(db *pgtest.DB, set migrations.Set, schema string) migrations.Target {
	return migrations.Target{Set: set, Placement: scopes.Placement{Database: db.Name, Schema: schema}}
}

func up(t *testing.T, runner migrations.Runner, targets ...migrations.Target) {
	t.Helper()
	for _, target := range targets {
		require.NoError(t, runner.Up(t.Context(), target).Err)
	}
}

// query returns a single column of text as role.
func query(t *testing.T, db *pgtest.DB, role, sql string, args ...any) []string {
	t.Helper()
	rows, err := db.Connect(t, role).Query(t.Context(), sql, args...)
	require.NoError(t, err)
	values, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	return values
}
