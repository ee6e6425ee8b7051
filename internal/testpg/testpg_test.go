package testpg

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) { Main(m) }

func table(ctx context.Context, conn *pgx.Conn) error {
	_, err := conn.Exec(ctx, `create table things (id bigint); insert into things values (1), (2)`)
	return err
}

func TestDatabaseIsACloneOfItsOwn(t *testing.T) {
	t.Parallel()
	a := Database(t, "testpg-things-1", table)
	b := Database(t, "testpg-things-1", table)
	a.Exec(t, Owner, `delete from things`)

	var left int
	require.NoError(t, b.Connect(t, Owner).QueryRow(t.Context(), `select count(*) from things`).Scan(&left))
	require.Equal(t, 2, left)
}
