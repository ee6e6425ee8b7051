package fleet_test

import (
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"tenanted/scopes/fleet"
	"tenanted/scopes/pgtest"
)

// A dry run says what would fail and what would be locked, and changes nothing.
func TestDryRun(t *testing.T) {
	t.Parallel()
	w := newFixture(t, 2)
	placements := w.placements(3)
	_, err := up(t, w.config(makeNotes), placements[:5])
	require.NoError(t, err)
	w.exec(t, placements[1].Database, "alter table s1.notes add text int")
	c := w.config(makeNotes, addText, "create table s (id int); create index on notes (text)")
	f, err := fleet.New(c)
	require.NoError(t, err)
	for range 2 {
		results, err := f.DryRun(pgtest.Context(t), placements)
		require.ErrorContains(t, err, "1 of 6 placements are not migrated, first "+placements[1].String())
		for i, r := range results {
			if i == 1 {
				require.ErrorContains(t, r.Err, `column "text" of relation "notes" already exists`)
				continue
			}
			require.NoError(t, r.Err)
			require.EqualValues(t, 3, r.To)
			require.Positive(t, r.Took)
			if i < 5 {
				require.EqualValues(t, 1, r.From)
				require.Equal(t, []fleet.TableLock{{Table: "notes", Mode: "AccessExclusiveLock"}}, r.Locks)
			} else {
				require.Empty(t, r.Locks, "its tables are new")
			}
		}
	}
	var schemas, columns int
	require.NoError(t, w.connect(t, placements[5].Database).QueryRow(t.Context(), `select (select count(*) from pg_namespace where nspname = 's2'),
		(select count(*) from information_schema.columns where table_name = 'notes')`).Scan(&schemas, &columns))
	require.Zero(t, schemas)
	require.Equal(t, 2, columns)
	w.exec(t, placements[1].Database, "alter table s1.notes drop text")
	_, err = up(t, c, placements)
	require.NoError(t, err)
}

func TestDryRunOfWhatCannotBeTried(t *testing.T) {
	t.Parallel()
	w := newFixture(t, 1)
	_, err := up(t, w.config(makeNotes), w.placements(1))
	require.NoError(t, err)
	c := w.config(makeNotes)
	c.Migrations.(fstest.MapFS)["00002_index.sql"] = &fstest.MapFile{
		Data: []byte("-- +goose NO TRANSACTION\n-- +goose Up\ncreate index concurrently notes_id on notes (id);\n-- +goose Down\nselect 1;\n")}
	f, err := fleet.New(c)
	require.NoError(t, err)
	_, err = f.DryRun(t.Context(), w.placements(1))
	require.ErrorContains(t, err, "cannot run inside a transaction block")
	_, err = f.Up(t.Context(), w.placements(1))
	require.NoError(t, err)
}
