package archive_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"tenanted/scopes"
	"tenanted/scopes/archive"
	"tenanted/scopes/pgtest"
)

func itemPlaces(t *testing.T) places {
	return newPlaces(t, "items", itemTables(inOrder), itemTables(otherOrder), itemTables(otherOrder))
}

var itemTableNames = []string{"orgs", "labels", "items", "item_labels"}

// texts hold what CSV and COPY are known to stumble over.
func texts() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.SampledFrom([]string{"", `\.`, "\n", "\r\n", `"`, `""`, ",", `\N`, "NULL", "\t", " ", "a\n\\.\nb", `","`, "'; drop table items; --", "ß€😀", "é", "\u2028"}),
		rapid.StringOfN(rapid.RuneFrom([]rune("ab\",\\\n\r\t.'ß😀{}")), 0, 20, -1),
	)
}

func maybe(t *rapid.T, name string, g *rapid.Generator[string]) *string {
	if rapid.IntRange(0, 3).Draw(t, name+" is null") == 0 {
		return nil
	}
	text := g.Draw(t, name)
	return &text
}

// addItems gives a tenant random rows.
func addItems(t *rapid.T, p place, org int64) {
	ctx := context.Background()
	require.NoError(t, p.in(t, pgx.ReadCommitted, func(tx pgx.Tx) error {
		batch := &pgx.Batch{}
		batch.Queue("insert into orgs (id, name) values ($1, $2)", org, texts().Draw(t, "name"))
		items := rapid.IntRange(0, 12).Draw(t, "items")
		ids := rapid.SliceOfNDistinct(rapid.Int64Range(-5, 1<<40), items, items, rapid.ID[int64]).Draw(t, "ids")
		for i, id := range ids {
			var parent *int64
			if i > 0 && rapid.Bool().Draw(t, "has parent") {
				parent = &ids[rapid.IntRange(0, i-1).Draw(t, "parent")]
			}
			batch.Queue(`insert into items (org_id, id, parent_id, title, raw, amount, numbers, doc, at, span, ratio, done) overriding system value
				values ($1, $2::bigint, $3, $4::text, decode(md5($4), 'hex'), $5::text::numeric, array[$2, null, 0], to_jsonb($4::text), 'epoch'::timestamptz + $2::bigint * interval '1 ms',
				$2::bigint % 99999 * interval '1 h', $2::bigint / 7.0::float8, $2::bigint % 3 = 0)`,
				org, id, parent, maybe(t, "title", texts()), maybe(t, "amount", rapid.SampledFrom([]string{"0", "-0.10", "NaN", "1e-20", "12345678901234567890.50"})))
			batch.Queue("insert into labels (org_id, id, text) values ($1, $2, $3)", org, i, texts().Draw(t, "label"))
			batch.Queue("insert into item_labels (org_id, item_id, label_id) values ($1, $2, $3)", org, id, i)
		}
		return tx.SendBatch(ctx, batch).Close()
	}))
}

// A tenant goes from shared tables to a schema, to a database and back under another id, and is the same everywhere.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	w, m := itemPlaces(t), parse(t, &Item{})
	_, err := w.shared.conn.Exec(t.Context(), `insert into orgs values ('other', 9); insert into labels (org_id, id, text) values (9, 1, 'x');
		insert into items (org_id, id, title) values (9, 1, 'y'); insert into item_labels (org_id, item_id, label_id) values (9, 1, 1)`)
	require.NoError(t, err)
	others := w.shared.text(t, itemTableNames...)
	rapid.Check(t, func(t *rapid.T) {
		defer func() {
			for _, p := range []place{w.shared, w.schema, w.database} {
				p.remove(t, m, 1)
				p.remove(t, m, 2)
			}
			require.Equal(t, others, w.shared.text(t, itemTableNames...), "rows of others")
		}()
		addItems(t, w.shared, 1)
		file, first := w.shared.export(t, m, 1)
		for i, p := range []place{w.schema, w.database, w.shared} {
			id := 1 + i/2
			require.NoError(t, p.load(t, m, file, id, archive.ImportOptions{}))
			again, contents := p.export(t, m, id)
			require.Equal(t, first.Checksums.Tables, contents.Checksums.Tables)
			require.Equal(t, first.Manifest.Tables, contents.Manifest.Tables)
			file = again
		}
		require.Equal(t, first.Rows(), w.shared.remove(t, m, 1))
	})
}

// With new keys the rows are the same but for their keys, which are nobody else's.
func TestNewKeys(t *testing.T) {
	t.Parallel()
	w, m := itemPlaces(t), parse(t, &Item{})
	rapid.Check(t, func(t *rapid.T) {
		defer func() { w.shared.remove(t, m, 1); w.shared.remove(t, m, 2); w.schema.remove(t, m, 2) }()
		addItems(t, w.shared, 1)
		file, first := w.shared.export(t, m, 1)
		for _, p := range []place{w.shared, w.schema} {
			require.NoError(t, p.load(t, m, file, 2, archive.ImportOptions{NewKeys: true}))
			_, contents := p.export(t, m, 2)
			for i, sum := range first.Checksums.Tables {
				require.Equal(t, sum.Rows, contents.Checksums.Tables[i].Rows, sum.Name)
			}
		}
		const titles = `select coalesce(string_agg(format('%s|%s|%s|%s', coalesce(i.title, '-'), coalesce(p.title, '-'), p.id is null, l.text), ',' order by i.raw, i.title, l.text, p.title, i.span), '')
			from items i left join items p on p.org_id = i.org_id and p.id = i.parent_id
			left join item_labels j on j.org_id = i.org_id and j.item_id = i.id left join labels l on l.org_id = j.org_id and l.id = j.label_id where i.org_id = $1`
		var before, after string
		require.NoError(t, w.shared.conn.QueryRow(context.Background(), titles, 1).Scan(&before))
		require.NoError(t, w.shared.conn.QueryRow(context.Background(), titles, 2).Scan(&after))
		require.Equal(t, before, after)
		var shared int
		require.NoError(t, w.shared.conn.QueryRow(context.Background(), "select count(*) from items a join items b using (id) where a.org_id = 1 and b.org_id = 2 and a.id > 1000000").Scan(&shared))
		require.Zero(t, shared, "keys that the sequence did not make")
	})
}

// Tenants and rows with UUIDs or texts, in shared tables whose keys are unique over all tenants.
func TestIDsOfAnyKind(t *testing.T) {
	t.Parallel()
	for name, kind := range map[string]struct {
		tables func(global bool) string
		m      *archive.Models
		names  []string
		add    string
		a, b   any
	}{
		"uuid": {
			tables: func(global bool) string { return pairTables("houses", "rooms", "org_id", "house_id", "uuid", global) },
			m:      parse(t, &House{}), names: []string{"houses", "rooms"},
			add: `insert into houses (org_id, name) select $1, 'house ' || n from generate_series(1, 50) n;
				insert into rooms (org_id, house_id, name) select org_id, id, 'room of ' || name from houses where org_id = $1`,
			a: uuid.MustParse("aaaaaaaa-0000-4000-8000-000000000001"), b: "bbbbbbbb-0000-4000-8000-000000000002",
		},
		"text": {
			tables: func(global bool) string {
				return pairTables("boards", "cards", "workspace", "board_id", "text", global)
			},
			m: parse(t, &Card{}), names: []string{"boards", "cards"},
			add: `insert into boards (workspace, id, name) select $1, chr(64 + n) || chr(123 - n), 'board ' || n from generate_series(1, 26) n;
				insert into boards (workspace, id, name) values ($1, 'ä''"\', 'x'), ($1, 'Z z', ''), ($1, 'a-b', ''), ($1, 'ab', '');
				insert into cards (workspace, board_id, name) select workspace, id, 'card of ' || name from boards where workspace = $1`,
			a: `o'hara "x" \ ü`, b: "zoë,\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newPlaces(t, name, kind.tables(true), kind.tables(false), kind.tables(false))
			require.NoError(t, w.shared.in(t, pgx.ReadCommitted, func(tx pgx.Tx) error {
				for add := range strings.SplitSeq(kind.add, ";") {
					if _, err := tx.Exec(t.Context(), add, scopes.Tenant{ID: kind.a}.Key()); err != nil {
						return err
					}
				}
				return nil
			}))
			file, first := w.shared.export(t, kind.m, kind.a)
			require.NotZero(t, first.Rows())
			for _, p := range []place{w.schema, w.database} {
				require.NoError(t, p.load(t, kind.m, file, kind.a, archive.ImportOptions{}))
				_, contents := p.export(t, kind.m, kind.a)
				require.Equal(t, first.Checksums.Tables, contents.Checksums.Tables)
			}
			before := w.shared.text(t, kind.names...)
			var taken *archive.KeyError
			require.ErrorAs(t, w.shared.load(t, kind.m, file, kind.b, archive.ImportOptions{}), &taken)
			require.Equal(t, before, w.shared.text(t, kind.names...))
			require.NoError(t, w.shared.load(t, kind.m, file, kind.b, archive.ImportOptions{NewKeys: true}))
			_, second := w.shared.export(t, kind.m, kind.b)
			require.Equal(t, first.Rows(), second.Rows())
			require.Equal(t, second.Rows(), w.shared.remove(t, kind.m, kind.b))
			require.Equal(t, before, w.shared.text(t, kind.names...))
			require.Equal(t, first.Rows(), w.shared.remove(t, kind.m, kind.a))
			require.NoError(t, w.shared.load(t, kind.m, file, kind.a, archive.ImportOptions{}))
			require.Equal(t, before, w.shared.text(t, kind.names...))
		})
	}
}

// The file is what docs/archive.md says, for the tools that everybody has.
func TestOrdinaryToolsReadAnArchive(t *testing.T) {
	t.Parallel()
	w, m := itemPlaces(t), parse(t, &Item{})
	_, err := w.shared.conn.Exec(t.Context(), `insert into orgs values ('Acme', 1);
		insert into items (org_id, id, title, done, amount) values (1, 7, null, true, 1.50), (1, 8, '', false, null), (1, 9, e'a "b"\nc', null, 'NaN')`)
	require.NoError(t, err)
	file, contents := w.shared.export(t, m, 1)
	require.Equal(t, archive.Who{ID: "1", Slug: "acme", Name: "Acme"}, contents.Manifest.Tenant)
	require.EqualValues(t, 7, contents.Manifest.SchemaVersion)

	dir := t.TempDir()
	run := func(script string) string {
		cmd := exec.Command("sh", "-c", script)
		cmd.Dir, cmd.Stdin = dir, bytes.NewReader(file)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		return string(out)
	}
	if _, err := exec.LookPath("zstd"); err == nil {
		run("zstd -dc | tar -xf -")
	} else {
		cmd := exec.Command("tar", "-xf", "-")
		plain, err := zstd.NewReader(bytes.NewReader(file))
		require.NoError(t, err)
		defer plain.Close()
		cmd.Dir, cmd.Stdin = dir, plain
		require.NoError(t, cmd.Run())
	}
	require.Equal(t, "checksums.json\nmanifest.json\ntables/item_labels/000001.csv\ntables/items/000001.csv\ntables/labels/000001.csv\ntables/orgs/000001.csv\n",
		run("find . -type f | sort | sed 's|^./||'"))
	require.Equal(t, "id,parent_id,title,raw,amount,numbers,doc,at,span,ratio,done\n7,,,,1.50,,,,,,t\n8,,\"\",,,,,,,,f\n9,,\"a \"\"b\"\"\nc\",,NaN,,,,,,\n",
		run("cat tables/items/000001.csv"))
	require.Contains(t, run("for f in tables/items/*.csv; do tail -n +2 $f; done | sha256sum"), contents.Checksums.Tables[1].SHA256)
	require.Contains(t, run("sha256sum <manifest.json"), contents.Checksums.Manifest)

	// What they write is an archive again.
	plain, err := exec.Command("tar", "-C", dir, "-cf", "-", "manifest.json", "tables/"+contents.Manifest.Tables[0].Name+"/000001.csv",
		"tables/"+contents.Manifest.Tables[1].Name+"/000001.csv", "tables/"+contents.Manifest.Tables[2].Name+"/000001.csv",
		"tables/"+contents.Manifest.Tables[3].Name+"/000001.csv", "checksums.json").Output()
	require.NoError(t, err)
	_, err = archive.Verify(t.Context(), bytes.NewReader(compressed(plain)))
	require.NoError(t, err)
}

// encoder is one for all: it takes longer to make than to use.
var encoder = sync.OnceValue(func() *zstd.Encoder {
	z, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(1<<20))
	if err != nil {
		panic(err) // the options are constants
	}
	return z
})

func compressed(plain []byte) []byte { return encoder().EncodeAll(plain, nil) }

// A large table has several parts, always cut at the same rows, and memory does not grow with it.
func TestPartsAreBoundedAndCutAtTheSameRows(t *testing.T) {
	t.Parallel()
	w, m := itemPlaces(t), parse(t, &Item{})
	_, err := w.shared.conn.Exec(t.Context(), `insert into orgs values ('Acme', 1);
		insert into items (org_id, id, title) select 1, n, repeat(md5(n::text), 30) from generate_series(1, 20000) n`)
	require.NoError(t, err)
	file, contents := w.shared.export(t, m, 1)
	items := contents.Checksums.Tables[1]
	require.Equal(t, "items", items.Name)
	require.Equal(t, 5, items.Parts)
	require.NoError(t, w.database.load(t, m, file, 1, archive.ImportOptions{}))
	again, _ := w.database.export(t, m, 1)
	first, second := entries(t, file), entries(t, again)
	require.Len(t, second, len(first))
	for i, e := range first {
		require.Equal(t, e.name, second[i].name)
		if strings.HasPrefix(e.name, "tables/") {
			require.True(t, bytes.Equal(e.content, second[i].content), e.name)
			require.Less(t, len(e.content), 4<<20+2000)
		}
	}
}

type entry struct {
	name    string
	content []byte
}

func entries(t testing.TB, file []byte) (all []entry) {
	z, err := zstd.NewReader(bytes.NewReader(file))
	require.NoError(t, err)
	defer z.Close()
	for r := tar.NewReader(z); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		require.NoError(t, err)
		content, err := io.ReadAll(r)
		require.NoError(t, err)
		all = append(all, entry{header.Name, content})
	}
}

// The next row that the program makes does not get a key of an imported one.
func TestSequencesGoOnBehindTheKeys(t *testing.T) {
	t.Parallel()
	w, m := itemPlaces(t), parse(t, &Item{})
	_, err := w.shared.conn.Exec(t.Context(), `insert into orgs values ('Acme', 1); insert into items (org_id, id) values (1, 7), (1, 500)`)
	require.NoError(t, err)
	file, _ := w.shared.export(t, m, 1)
	dry := archive.ImportOptions{KeepSequences: true}
	require.ErrorContains(t, w.schema.in(t, pgx.ReadCommitted, func(tx pgx.Tx) error {
		a, err := archive.Verify(t.Context(), bytes.NewReader(file))
		require.NoError(t, err)
		require.NoError(t, archive.Import(t.Context(), tx, m, a, scopes.Tenant{ID: 1}, dry))
		return errors.New("rolled back")
	}), "rolled back")
	var next int64
	require.NoError(t, w.schema.conn.QueryRow(t.Context(), "select last_value from own.items_id_seq").Scan(&next))
	require.EqualValues(t, 1, next)
	require.NoError(t, w.schema.load(t, m, file, 1, archive.ImportOptions{}))
	require.NoError(t, w.schema.conn.QueryRow(t.Context(), "insert into own.items (org_id) values (1) returning id").Scan(&next))
	require.Greater(t, next, int64(500))

	// One tenant's file must not use the sequence up for all.
	_, err = w.shared.conn.Exec(t.Context(), "update items set id = 9223372036854775000 where id = 500")
	require.NoError(t, err)
	file, _ = w.shared.export(t, m, 1)
	w.schema.remove(t, m, 1)
	var refused *archive.KeyError
	require.ErrorAs(t, w.schema.load(t, m, file, 1, archive.ImportOptions{}), &refused)
	require.Empty(t, w.schema.text(t, itemTableNames...))
	require.NoError(t, w.schema.load(t, m, file, 1, archive.ImportOptions{NewKeys: true}))
}

// A role that row-level security binds exports its tenant, and cannot import. One that sees nothing is told so.
func TestUnderRowLevelSecurity(t *testing.T) {
	t.Parallel()
	w, m := itemPlaces(t), parse(t, &Item{})
	_, err := w.shared.conn.Exec(t.Context(), `insert into orgs values ('Acme', 1), ('Other', 2); insert into items (org_id, id) values (1, 7), (2, 8)`)
	require.NoError(t, err)
	for _, table := range itemTableNames {
		column := "org_id"
		if table == "orgs" {
			column = "id"
		}
		_, err := w.shared.conn.Exec(t.Context(), fmt.Sprintf(`alter table %s enable row level security; grant select, insert, delete on %[1]s to %[2]s;
			create policy tenant on %[1]s using (%[3]s = nullif(current_setting('shop.org', true), '')::bigint)`, table, pgtest.Runtime, column))
		require.NoError(t, err)
	}
	_, want := w.shared.export(t, m, 1)
	config := w.shared.conn.Config()
	config.User = pgtest.Runtime
	conn, err := pgx.ConnectConfig(t.Context(), config)
	require.NoError(t, err)
	defer conn.Close(context.Background())
	bound := place{conn, "public"}
	err = bound.in(t, pgx.RepeatableRead, func(tx pgx.Tx) error {
		_, err := archive.Export(t.Context(), tx, m, scopes.Tenant{ID: 1}, archive.ExportOptions{}, io.Discard)
		return err
	})
	require.ErrorContains(t, err, "sees no row: check Config.Setting")
	own, err := archive.Parse(archive.Config{Models: []any{&Item{}}, Setting: "shop.org"})
	require.NoError(t, err)
	file, contents := bound.export(t, own, 1)
	require.Equal(t, want.Checksums.Tables, contents.Checksums.Tables)
	require.ErrorContains(t, bound.load(t, own, file, 3, archive.ImportOptions{}), "import as the tables' owner")
}
