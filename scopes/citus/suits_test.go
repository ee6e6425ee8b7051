package citus_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"tenanted/scopes/citus"
	"tenanted/scopes/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func TestSuits(t *testing.T) {
	t.Parallel()
	conn := pgtest.Database(t, "citus", func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, `create table houses (org text, id int, primary key (org, id)); create table rooms (org text, id int, house int, primary key (org, id))`)
		return err
	}).Connect(t, pgtest.Owner)
	tables := []citus.Table{{Name: "houses", Column: "org"}, {Name: "rooms", Column: "org"}}
	for sql, suits := range map[string]bool{
		"select * from rooms where org = $1": true,
		"select * from rooms r join houses h on h.org = r.org and h.id = r.house where r.org = $1":      true,
		"select * from rooms r left join houses h on h.org = r.org and h.id = r.house where r.org = $1": true,
		"select * from rooms r join houses h on h.id = r.house where r.org = $1":                        false,
		"select * from rooms where org > $1":                                                            false,
		"select * from rooms where org = $1 or id = 1":                                                  false,
		"select (select count(*) from houses) from rooms where org = $1":                                false,
		"select from rooms where org = $1":                                                              false,
		"update rooms set id = 1 where org = $1":                                                        true,
		"delete from rooms where id = 1 and $1 <> ''":                                                   false,
		"insert into rooms values ($1, 1, 1)":                                                           true,
		"with recursive r as (select id, house from rooms where org = $1 union all select o.id, o.house from rooms o join r on o.id = r.house) table r": false,
	} {
		err := citus.Suits(t.Context(), conn, tables, sql, "a")
		if suits {
			require.NoError(t, err, sql)
		} else {
			require.Error(t, err, sql)
		}
	}
}
