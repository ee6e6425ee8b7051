package archive_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"

	"tenanted/scopes"
	"tenanted/scopes/archive"
)

// sample is an archive of a tenant with a few rows.
func sample(t *testing.T) (places, *archive.Models, []byte) {
	w, m := itemPlaces(t), parse(t, &Item{})
	_, err := w.shared.conn.Exec(t.Context(), `insert into orgs values ('Acme', 1);
		insert into items (org_id, id, parent_id, title) values (1, 7, null, 'a'), (1, 8, 7, e'b "c"\nd'); insert into labels (org_id, id, text) values (1, 1, '')`)
	require.NoError(t, err)
	file, _ := w.shared.export(t, m, 1)
	return w, m, file
}

func verify(file []byte) error {
	_, err := archive.Verify(context.Background(), bytes.NewReader(file))
	return err
}

// refused wants an error of one line and of one of the types that Verify documents.
func refused(t require.TestingT, err error, about string) {
	require.Error(t, err, about)
	var damaged *archive.DamagedError
	var foreign *archive.ForeignError
	var version *archive.VersionError
	known := errors.As(err, &damaged) || errors.As(err, &foreign) || errors.As(err, &version)
	require.True(t, known, "%s: %T %v", about, err, err)
	require.NotContains(t, err.Error(), "\n", about)
}

func TestVerifyRefusesWhatIsCutOffOrChanged(t *testing.T) {
	t.Parallel()
	_, _, file := sample(t)
	require.NoError(t, verify(file))
	for length := range file {
		refused(t, verify(file[:length]), fmt.Sprintf("cut off at %d of %d", length, len(file)))
	}
	for i := range file {
		changed := slices.Clone(file)
		changed[i] ^= 1 << (i % 8)
		if err := verify(changed); err != nil { // zstd has a bit or two that say nothing
			refused(t, err, fmt.Sprintf("changed at %d", i))
			continue
		}
		require.Equal(t, entries(t, file), entries(t, changed), "changed at %d", i)
	}
	for name, more := range map[string][]byte{"a byte": {0}, "text": []byte("something"), "itself": file, "a frame": compressed([]byte("x")), "zeros": make([]byte, 1<<20)} {
		refused(t, verify(slices.Concat(file, more)), name)
	}
}

func pack(t testing.TB, all []entry) []byte {
	var plain bytes.Buffer
	w := tar.NewWriter(&plain)
	for _, e := range all {
		require.NoError(t, w.WriteHeader(&tar.Header{Name: e.name, Mode: 0o600, Size: int64(len(e.content)), Typeflag: tar.TypeReg}))
		_, err := w.Write(e.content)
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return compressed(plain.Bytes())
}

// Entries that are not those of an export, whatever their checksums.
func TestVerifyRefusesAnotherStructure(t *testing.T) {
	t.Parallel()
	_, _, file := sample(t)
	whole := entries(t, file)
	require.NoError(t, verify(pack(t, whole)))
	at := func(name string) int { return slices.IndexFunc(whole, func(e entry) bool { return e.name == name }) }
	replaced := func(name, old, by string) []entry {
		changed := slices.Clone(whole)
		content := string(changed[at(name)].content)
		require.Contains(t, content, old)
		changed[at(name)].content = []byte(strings.Replace(content, old, by, 1))
		return changed
	}
	named := func(name, as string) []entry {
		changed := slices.Clone(whole)
		changed[at(name)].name = as
		return changed
	}
	const items = "tables/items/000001.csv"
	for name, test := range map[string]struct {
		entries []entry
		want    string
	}{
		"nothing":                {nil, "first entry is not manifest.json"},
		"no manifest":            {whole[1:], "first entry is not manifest.json"},
		"manifest alone":         {whole[:1], "tables/orgs/000001.csv should be there"},
		"no checksums":           {whole[:len(whole)-1], "checksums.json should be there"},
		"a table less":           {slices.Delete(slices.Clone(whole), 2, 3), "tables/items/000001.csv should be there"},
		"tables exchanged":       {[]entry{whole[0], whole[2], whole[1], whole[3], whole[4], whole[5]}, "tables/orgs/000001.csv should be there"},
		"a table twice":          {slices.Insert(slices.Clone(whole), 2, whole[1]), "should be there"},
		"an entry more":          {slices.Insert(slices.Clone(whole), 3, entry{"tables/items/README", nil}), "should be there"},
		"an entry at the end":    {append(slices.Clone(whole), entry{"evil", nil}), "after the last entry"},
		"checksums twice":        {append(slices.Clone(whole), whole[5]), "after the last entry"},
		"a part is missing":      {named(items, "tables/items/000002.csv"), "tables/items/000001.csv should be there"},
		"a path":                 {named(items, "tables/items/../items/000001.csv"), "should be there"},
		"an absolute path":       {named(items, "/tables/items/000001.csv"), "should be there"},
		"another format":         {replaced("manifest.json", "tenant-archive", "tenant-archives"), "does not say"},
		"another version":        {replaced("manifest.json", `"format_version": 1`, `"format_version": 2`), "format version 2"},
		"a field more":           {replaced("manifest.json", `"schema_version"`, `"evil": 1, "schema_version"`), "evil"},
		"files elsewhere":        {replaced("manifest.json", `"tables/items"`, `"../../items"`), "cannot be in"},
		"a column twice":         {replaced("manifest.json", `"parent_id"`, `"id"`), "twice"},
		"a key of no column":     {replaced("manifest.json", "\"primary_key\": [\n        \"id\"", "\"primary_key\": [\n        \"no\""), "primary key"},
		"manifest changed":       {replaced("manifest.json", "Acme", "Bcme"), "manifest.json: its checksum"},
		"another header":         {replaced(items, "title", "tutle"), "first line"},
		"a header of more":       {replaced(items, "title", "title,more"), "first line"},
		"a value changed":        {replaced(items, "b \"\"c", "b \"\"d"), "table items: its checksum"},
		"a row less":             {replaced(items, "7,,a,,,,,,,,\n", ""), "2 rows"},
		"a field less":           {replaced(items, "7,,a", "7,a"), "as many fields"},
		"a quote":                {replaced(items, "7,,a", "7,,\"a"), "tables/items/000001.csv: "},
		"no end of the row":      {replaced(items, "d\",,,,,,,,\n", "d\",,,,,,,,"), "has no end"},
		"a carriage return":      {replaced(items, "7,,a", "7,,\ra"), "carriage return"},
		"an empty part":          {replaced(items, string(whole[2].content), ""), "first line"},
		"a checksum":             {replaced("checksums.json", `"rows": 2`, `"rows": 3`), "3 rows"},
		"checksums are not JSON": {replaced("checksums.json", "{", "["), "JSON"},
		"checksums and more":     {replaced("checksums.json", "{", "{} {"), "checksums.json"},
		"a large manifest":       {replaced("manifest.json", "{", "{"+strings.Repeat(" ", 5<<20)), "more than"},
	} {
		err := verify(pack(t, test.entries))
		refused(t, err, name)
		require.ErrorContains(t, err, test.want, name)
	}
}

func TestVerifyRefusesForeignFiles(t *testing.T) {
	t.Parallel()
	for name, file := range map[string][]byte{
		"empty": {}, "short": {0x28, 0xb5}, "text": []byte("id,name\n1,x\n"), "gzip": {0x1f, 0x8b, 8, 0, 0, 0, 0, 0}, "zeros": make([]byte, 10_000),
		"zstd of nothing": compressed(nil), "zstd of text": compressed([]byte(strings.Repeat("text\n", 1000))),
		"another tar": pack(t, []entry{{"etc/passwd", []byte("root")}}), "another manifest": pack(t, []entry{{"manifest.json", []byte(`{"version": 3}`)}}),
	} {
		refused(t, verify(file), name)
	}
}

// Entries that are no plain files, although their names are right.
func TestVerifyRefusesLinksAndDevices(t *testing.T) {
	t.Parallel()
	_, _, file := sample(t)
	manifest := entries(t, file)[0]
	for _, kind := range []byte{tar.TypeLink, tar.TypeSymlink, tar.TypeChar, tar.TypeDir, tar.TypeFifo} {
		var plain bytes.Buffer
		w := tar.NewWriter(&plain)
		require.NoError(t, w.WriteHeader(&tar.Header{Name: "manifest.json", Size: int64(len(manifest.content)), Typeflag: tar.TypeReg}))
		_, err := w.Write(manifest.content)
		require.NoError(t, err)
		require.NoError(t, w.WriteHeader(&tar.Header{Name: "tables/orgs/000001.csv", Linkname: "/etc/passwd", Typeflag: kind}))
		require.NoError(t, w.Close())
		err = verify(compressed(plain.Bytes()))
		refused(t, err, string(kind))
		require.ErrorContains(t, err, "not a plain file")
	}
}

// A few kilobytes that say they are gigabytes must not take memory, whatever they are made of.
//
// It is not parallel: what others allocate meanwhile would count.
func TestVerifyNeedsLittleMemory(t *testing.T) {
	_, _, file := sample(t)
	manifest := entries(t, file)[0]
	for name, content := range map[string]string{"zeros": "\x00", "rows": "\"x\"\n", "one row": "\"x", "empty rows": "\n"} {
		read, write := io.Pipe()
		go func() {
			z, _ := zstd.NewWriter(write, zstd.WithEncoderLevel(zstd.SpeedFastest))
			w := tar.NewWriter(z)
			_ = w.WriteHeader(&tar.Header{Name: "manifest.json", Size: int64(len(manifest.content)), Typeflag: tar.TypeReg})
			_, _ = w.Write(manifest.content)
			const size = 256 << 20
			_ = w.WriteHeader(&tar.Header{Name: "tables/orgs/000001.csv", Size: size, Typeflag: tar.TypeReg})
			piece := []byte(strings.Repeat(content, 1<<20)[:1<<20])
			copy(piece, "name\n")
			for range size >> 20 {
				_, _ = w.Write(piece)
			}
			_ = w.Close()
			write.CloseWithError(z.Close())
		}()
		bomb, err := io.ReadAll(read)
		require.NoError(t, err)
		require.Less(t, len(bomb), 1<<20)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		refused(t, verify(bomb), name)
		runtime.ReadMemStats(&after)
		require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(80<<20), name)
	}
	_, err := zstd.NewWriter(io.Discard, zstd.WithWindowSize(64<<20))
	require.NoError(t, err)
	wide := wideWindow(t, manifest.content)
	refused(t, verify(wide), "a window of 64 MiB")
}

func wideWindow(t *testing.T, content []byte) []byte {
	var file bytes.Buffer
	z, err := zstd.NewWriter(&file, zstd.WithWindowSize(64<<20))
	require.NoError(t, err)
	for range 80 {
		_, err = z.Write(bytes.Repeat(content, 1<<20/len(content)))
		require.NoError(t, err)
	}
	require.NoError(t, z.Close())
	return file.Bytes()
}

type failing struct{ io.ReadSeeker }

var errDisk = errors.New("disk error")

func (failing) Read([]byte) (int, error) { return 0, errDisk }

// A file that cannot be read is not damaged.
func TestVerifyPassesTheFilesErrorsOn(t *testing.T) {
	t.Parallel()
	_, _, file := sample(t)
	_, err := archive.Verify(t.Context(), failing{bytes.NewReader(file)})
	require.ErrorIs(t, err, errDisk)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = archive.Verify(ctx, bytes.NewReader(file))
	require.ErrorIs(t, err, context.Canceled)
}

// The file is read twice. What was changed in between is refused, and nothing is written.
func TestAFileChangedAfterItWasVerified(t *testing.T) {
	t.Parallel()
	w, m, file := sample(t)
	all := entries(t, file)
	for name, change := range map[string]func() []byte{
		"cut off": func() []byte { return file[:len(file)-20] },
		"a value": func() []byte {
			changed := slices.Clone(all)
			changed[1].content = []byte(strings.Replace(string(all[1].content), "Acme", "Evil", 1))
			return pack(t, changed)
		},
		"another archive": func() []byte {
			_, err := w.shared.conn.Exec(t.Context(), "update orgs set name = 'Evil'")
			require.NoError(t, err)
			other, _ := w.shared.export(t, m, 1)
			return other
		},
	} {
		path := filepath.Join(t.TempDir(), "file")
		require.NoError(t, os.WriteFile(path, file, 0o600))
		opened, err := os.Open(path)
		require.NoError(t, err)
		a, err := archive.Verify(t.Context(), opened)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(path, change(), 0o600))
		err = w.schema.in(t, pgx.ReadCommitted, func(tx pgx.Tx) error {
			return archive.Import(t.Context(), tx, m, a, scopes.Tenant{ID: 1}, archive.ImportOptions{})
		})
		require.Error(t, err, name)
		require.NoError(t, opened.Close())
		require.Empty(t, w.schema.text(t, itemTableNames...), name)
	}
}

// go test ./scopes/archive -run - -fuzz FuzzVerify
func FuzzVerify(f *testing.F) {
	manifest := `{"format":"tenant-archive","format_version":1,"schema_version":1,"exported_at":"2026-01-02T03:04:05Z","tenant":{"id":"1","slug":"a","name":"A"},
		"tables":[{"name":"t","files":"tables/t","tenant_column":["org"],"columns":[{"name":"id","type":"bigint"}],"primary_key":["id"]}]}`
	f.Add([]byte(manifest), []byte("id\n1\n\"2\n\"\n"), []byte(`{"manifest":"","tables":[]}`), []byte{})
	f.Add([]byte(`{"format":"tenant-archive"}`), []byte(nil), []byte(`null`), []byte("tail"))
	f.Fuzz(func(t *testing.T, manifest, rows, checksums, tail []byte) {
		file := pack(t, []entry{{"manifest.json", manifest}, {"tables/t/000001.csv", rows}, {"checksums.json", checksums}})
		for _, text := range [][]byte{file, slices.Concat(file, tail), tail, slices.Concat(file[:min(len(file), len(tail))], tail)} {
			a, err := archive.Verify(t.Context(), bytes.NewReader(text))
			if err != nil {
				refused(t, err, "")
				continue
			}
			// What is accepted adds up.
			require.Len(t, a.Checksums.Tables, len(a.Manifest.Tables))
			require.Equal(t, archive.FormatVersion, a.Manifest.FormatVersion)
		}
	})
}
