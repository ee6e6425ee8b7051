package talk

import (
	"context"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"tenanted/scopes/pgtest"
)

func TestForeignDatabaseIsLeftAlone(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t, "empty", func(context.Context, *pgx.Conn) error { return nil })
	db.Exec(t, pgtest.Owner, "create table precious (id int)")
	server := serverOf(db)
	server.Database = db.Name
	_, err := Open(t.Context(), server, func(string) {})
	require.ErrorAs(t, err, new(*ForeignError))
	db.Exec(t, pgtest.Owner, "select from precious")

	// One of the others is refused before the first is made.
	server.Database = db.Name + "_lab"
	db.Exec(t, pgtest.Owner, `create database "`+server.Database+`_tenant-3"`)
	_, err = Open(t.Context(), server, func(string) {})
	require.ErrorAs(t, err, new(*ForeignError))
	var made int
	require.NoError(t, db.Connect(t, pgtest.Owner).QueryRow(t.Context(), "select count(*) from pg_database where datname = $1", server.Database).Scan(&made))
	require.Zero(t, made)
}

func TestLabIsMadeOnce(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t, "empty", func(context.Context, *pgx.Conn) error { return nil })
	var said []string
	say := func(line string) { said = append(said, line) }
	lab, err := Open(t.Context(), serverOf(db), say)
	require.NoError(t, err)
	require.Len(t, said, 1)
	_, err = Open(t.Context(), serverOf(db), say)
	require.NoError(t, err)
	require.Len(t, said, 1, "nothing was missing")

	// A database that is not complete, as after a crash, is made anew, and no other.
	own := lab.ownDatabase(lab.Tenants[2]).Database
	db.Exec(t, pgtest.Owner, `comment on database "`+own+`" is `+quoteLiteral(markPrefix+"not complete"))
	_, err = Open(t.Context(), serverOf(db), say)
	require.NoError(t, err)
	require.Equal(t, "making 1 databases for the experiments, from "+own+" on", said[1])
}

// TestExperimentsChangeNothing compares all rows before and after the attacks, with all layers off.
func TestExperimentsChangeNothing(t *testing.T) {
	t.Parallel()
	lab := newLab(t)
	conn, err := pgx.ConnectConfig(t.Context(), lab.as(lab.server.Owner, lab.server.Database))
	require.NoError(t, err)
	defer conn.Close(t.Context())
	rows := func() (all string) {
		const ask = `select string_agg(t::text, ' ' order by t::text) from (select 'u', u::text from bare.users u union all select 'p', p::text from bare.projects p
			union all select 's', s::text from bare.subtasks s) t`
		require.NoError(t, conn.QueryRow(t.Context(), ask).Scan(&all))
		return all
	}
	before := rows()
	for _, a := range attacks() {
		_, err := lab.Run(t.Context(), a.experiment(), Layers{})
		require.NoError(t, err)
	}
	require.Equal(t, before, rows())
}

func TestServerIsAway(t *testing.T) {
	t.Parallel()
	lab := newLab(t)
	lab.server.Runtime.Port = 1
	_, err := lab.Run(t.Context(), forget.experiment(), AllLayers())
	require.ErrorContains(t, err, "experiment forget-the-tenant: ")
}

func TestMarkedPieces(t *testing.T) {
	t.Parallel()
	marked := func(s Statement) string {
		var text strings.Builder
		for _, p := range s.Pieces() {
			if p.Tenant {
				text.WriteString("«" + p.Text + "»")
			} else {
				text.WriteString(p.Text)
			}
		}
		return text.String()
	}
	for want, s := range map[string]Statement{
		`select «set_config('app.tenant_id', '1', true)», x`: {SQL: `select set_config('app.tenant_id', $1, true), x`, Args: []string{"'1'"}},
		`SELECT * FROM "tasks" WHERE «"tasks"."account_id" = 2» AND (name = 'it''s' OR 1 = 1)`: {
			SQL: `SELECT * FROM "tasks" WHERE "tasks"."account_id" = $1 AND (name = $2 OR 1 = 1)`, Args: []string{"2", "'it''s'"}},
		`JOIN tasks ON «tasks.account_id = subtasks.account_id»`: {SQL: `JOIN tasks ON tasks.account_id = subtasks.account_id`},
		`SELECT 1`: {SQL: "SELECT 1\n-- session_5f"},
	} {
		require.Equal(t, want, marked(s))
	}
}

// TestCodeIsWhatRan takes the text of the functions from their files, with the comment above.
func TestCodeIsWhatRan(t *testing.T) {
	t.Parallel()
	require.Equal(t, `// countByRawSQL goes around the ORM, and has no WHERE at all.
func countByRawSQL(ctx context.Context, db *gorm.DB) (n int64, err error) {
    return n, db.WithContext(ctx).Raw("SELECT count(*) FROM subtasks").Scan(&n).Error
}`, rawSQL.experiment().Code())
}
