package fleet_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"tenanted/scopes"
	"tenanted/scopes/fleet"
	"tenanted/scopes/pgtest"
)

func (w *fixture) fleet(t testing.TB, c fleet.Config) *fleet.Fleet {
	t.Helper()
	f, err := fleet.New(c)
	require.NoError(t, err)
	return f
}

// granting has a right given after each migration, as a program does.
func granting(c fleet.Config) fleet.Config {
	c.After = func(ctx context.Context, conn *pgx.Conn, _ scopes.Placement) error {
		_, err := conn.Exec(ctx, "grant select on notes to "+pgtest.Runtime)
		return err
	}
	return c
}

// What the migrations made is compared with what they make now, at each placement's version, and nothing is left behind.
func TestDrifts(t *testing.T) {
	t.Parallel()
	w := newFixture(t, 3)
	placements := w.placements(4)
	for _, p := range placements[:4] {
		w.exec(t, p.Database, "create schema "+p.Schema)
	}
	old := w.fleet(t, granting(w.config(makeNotes)))
	_, err := old.Up(pgtest.Context(t), placements[:6])
	require.NoError(t, err)
	f := w.fleet(t, granting(w.config(makeNotes, addText)))
	_, err = f.Up(pgtest.Context(t), placements[3:10])
	require.NoError(t, err)
	part := fleet.Part{Fleet: f, Placements: placements}
	before := w.everything(t)
	for _, d := range fleet.Drifts(t.Context(), part) {
		require.NoError(t, d.Err, d.Placement)
		require.Empty(t, d.Differences, d.Placement)
	}
	for _, d := range fleet.Drifts(t.Context(), fleet.Part{Fleet: old, Placements: placements}) {
		switch i := index(placements, d.Placement); {
		case i >= 3 && i < 10:
			require.ErrorIs(t, d.Err, fleet.ErrNewer, d.Placement)
		default:
			require.NoError(t, d.Err)
		}
	}
	require.Equal(t, before, w.everything(t))

	w.exec(t, placements[0].Database, "alter table s0.notes alter id type int; revoke select on s0.notes from "+pgtest.Runtime)
	w.exec(t, placements[5].Database, "alter table s1.notes drop text; create index more on s1.notes (id); revoke select on s1.notes from "+pgtest.Runtime)
	drifts := fleet.Drifts(t.Context(), part)
	require.Len(t, drifts, len(placements))
	for i, d := range drifts {
		require.Equal(t, placements[i], d.Placement)
		require.NoError(t, d.Err)
		var found []string
		for _, difference := range d.Differences {
			found = append(found, difference.String())
		}
		switch i {
		case 0:
			require.Equal(t, []string{"column id on notes has type integer, not bigint"}, found, "of an old version the rights do not count")
		case 5:
			require.Equal(t, []string{"column text on notes is missing", "index more on notes is not of the migrations", "right of test_runtime to select on table notes is missing"}, found)
		default:
			require.Empty(t, found)
		}
	}
}

func index(placements []scopes.Placement, p scopes.Placement) int {
	for i := range placements {
		if placements[i] == p {
			return i
		}
	}
	return -1
}

// everything lists the relations and schemas of all databases.
func (w *fixture) everything(t testing.TB) (all []string) {
	for _, database := range w.databases {
		rows, err := w.connect(t, database).Query(t.Context(), "select nspname::text from pg_namespace union all select oid::regclass::text from pg_class order by 1")
		require.NoError(t, err)
		names, err := pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(t, err)
		all = append(all, fmt.Sprint(database, names))
	}
	return all
}

// A schema that two sets of migrations made, and one that the migrations name, are compared with what these make.
func TestDriftsOfSeveralSets(t *testing.T) {
	t.Parallel()
	w := newFixture(t, 1)
	placements := w.placements(3)
	notes := w.fleet(t, w.config(makeNotes, addText))
	more := w.config("create index notes_text on notes (text)")
	more.Table = "more_version"
	indexes := w.fleet(t, more)
	named := w.config("create table named.notes (id int)")
	named.NamesSchema = true
	control, schema := w.fleet(t, named), []scopes.Placement{{Database: w.db.Name, Schema: "named"}}
	for _, part := range []fleet.Part{{notes, placements}, {indexes, placements[1:]}, {control, schema}} {
		_, err := part.Fleet.Up(pgtest.Context(t), part.Placements)
		require.NoError(t, err)
	}
	parts := []fleet.Part{{notes, placements}, {indexes, placements[1:]}, {control, schema}}
	drifts := fleet.Drifts(t.Context(), parts...)
	require.Len(t, drifts, 4)
	for _, d := range drifts {
		require.NoError(t, d.Err)
		require.Empty(t, d.Differences)
	}
	w.exec(t, w.db.Name, "drop index s1.notes_text; alter table named.notes add text text; create index notes_text on s0.notes (text)")
	drifts = fleet.Drifts(t.Context(), parts...)
	for i, want := range []string{"index notes_text on notes is not of the migrations", "index notes_text on notes is missing", "", "column text on notes is not of the migrations"} {
		require.Equal(t, want != "", len(drifts[i].Differences) == 1)
		if want != "" {
			require.Equal(t, want, drifts[i].Differences[0].String())
		}
	}
	require.Equal(t, "CREATE INDEX CONCURRENTLY notes_text ON \"s1\".notes USING btree (text);", drifts[1].Differences[0].SQL)
	require.Empty(t, fleet.Drifts(t.Context()))
	away := scopes.Placement{Database: w.db.Name + "_none", Schema: "s0"}
	require.ErrorContains(t, fleet.Drifts(t.Context(), fleet.Part{Fleet: notes, Placements: []scopes.Placement{away}})[0].Err, "does not exist")
}

// While a schema that is named is looked at, others use it.
func TestDriftsKeepNobodyWaiting(t *testing.T) {
	t.Parallel()
	w := newFixture(t, 1)
	named := w.config("create table named.notes (id int)")
	named.NamesSchema = true
	began, goOn := make(chan bool), make(chan bool)
	named.After = func(context.Context, *pgx.Conn, scopes.Placement) error { return nil }
	schema := []scopes.Placement{{Database: w.db.Name, Schema: "named"}}
	_, err := up(t, named, schema)
	require.NoError(t, err)
	named.After = func(context.Context, *pgx.Conn, scopes.Placement) error { close(began); <-goOn; return nil }
	done := make(chan []fleet.Drift)
	f := w.fleet(t, named)
	go func() { done <- fleet.Drifts(t.Context(), fleet.Part{Fleet: f, Placements: schema}) }()
	<-began
	w.exec(t, w.db.Name, "set statement_timeout = '5s'; insert into named.notes values (1); select from named.notes")
	close(goOn)
	for _, d := range <-done {
		require.NoError(t, d.Err)
		require.Empty(t, d.Differences)
	}
}

func BenchmarkDrifts(b *testing.B) {
	w := newFixture(b, 1)
	for _, n := range []int{1, 500} {
		b.Run(fmt.Sprintf("%d schemas", n), func(b *testing.B) {
			placements := w.placements(n)
			f := w.fleet(b, w.config(makeNotes, addText))
			_, err := f.Up(context.Background(), placements)
			require.NoError(b, err)
			for b.Loop() {
				for _, d := range fleet.Drifts(b.Context(), fleet.Part{Fleet: f, Placements: placements}) {
					if d.Err != nil || len(d.Differences) > 0 {
						b.Fatal(d)
					}
				}
			}
		})
	}
}

// A table that is locked keeps its own placement from being compared, and no other.
func TestDriftsBesideALock(t *testing.T) {
	t.Parallel()
	w := newFixture(t, 1)
	placements := w.placements(3)
	f := w.fleet(t, w.config(makeNotes))
	_, err := f.Up(pgtest.Context(t), placements)
	require.NoError(t, err)
	tx, err := w.connect(t, w.db.Name).Begin(t.Context())
	require.NoError(t, err)
	defer tx.Rollback(context.Background())
	_, err = tx.Exec(t.Context(), "alter table s1.notes add more int")
	require.NoError(t, err)
	for i, d := range fleet.Drifts(pgtest.Context(t), fleet.Part{Fleet: f, Placements: placements}) {
		if i == 1 {
			require.ErrorIs(t, d.Err, fleet.ErrLocked)
		} else {
			require.NoError(t, d.Err)
			require.Empty(t, d.Differences)
		}
	}
}
