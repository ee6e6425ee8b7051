package cli_test

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"

	"tenanted/app/config"
	"tenanted/migrations"
	"tenanted/scopes/audit"
	"tenanted/scopes/pgtest"
)

// entriesOf returns the entries of an archive in the fixture's directory.
func (w *fixture) entriesOf(t *testing.T, name string) map[string]string {
	t.Helper()
	file, err := os.Open(filepath.Join(w.dir, name))
	require.NoError(t, err)
	defer file.Close()
	z, err := zstd.NewReader(file)
	require.NoError(t, err)
	defer z.Close()
	all := map[string]string{}
	for r := tar.NewReader(z); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		require.NoError(t, err)
		content, err := io.ReadAll(r)
		require.NoError(t, err)
		all[header.Name] = string(content)
	}
}

// tablesOf returns the rows and checksums of an archive's tables.
func (w *fixture) tablesOf(t *testing.T, name string) (tables map[string]string) {
	t.Helper()
	tables = w.entriesOf(t, name)
	delete(tables, "manifest.json")
	delete(tables, "checksums.json")
	require.Len(t, tables, 5)
	return tables
}

// One tenant's files are the same bytes in every configuration, and remain so on the way through all of them.
func TestAnExportIsTheSameInEveryConfiguration(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var fixtures []*fixture
	for _, strategy := range config.Strategies() {
		w := newFixture(t, strategy)
		w.dir = dir
		w.ok(t, "migrate")
		w.ok(t, "seed", "--accounts", "3")
		fixtures = append(fixtures, w)
	}
	want := map[string]string{}
	for i, w := range fixtures {
		file := string(w.strategy)
		require.Regexp(t, `^exported tenant 2 \(tenant-1\): \d+ rows to `+file, w.ok(t, "tenants", "export", "tenant-1", "-o", file))
		if i == 0 {
			want = w.tablesOf(t, file)
		}
		require.Equal(t, want, w.tablesOf(t, file), "%s", w.strategy)
	}
	shared := fixtures[0]
	const others = "select sum(('x' || left(md5(r::text), 8))::bit(32)::bigint) from (select * from subtasks where account_id in (1, 2, 3)) r"
	before := shared.count(t, others)
	file := "SingleSchema"
	for i := range 4 {
		w := fixtures[(i+1)%3]
		require.Contains(t, w.ok(t, "tenants", "import", file, "--slug", fmt.Sprintf("again-%d", i), "--name", "Again"), fmt.Sprintf("(again-%d) in ", i))
		file = fmt.Sprintf("%s-%d", w.strategy, i)
		w.ok(t, "tenants", "export", fmt.Sprintf("again-%d", i), "-o", file)
		require.Equal(t, want, w.tablesOf(t, file), file)
		require.Empty(t, w.check(t, 0).ids(audit.Defect))
	}
	require.Equal(t, before, shared.count(t, others), "rows of others")
	s := shared.serve(t)
	require.Contains(t, s.becomes(t, "again-2", 200), "Again")
	require.Zero(t, s.end(t))
	log := shared.ok(t, "tenants", "log", "again-2")
	require.Contains(t, log, "import")
	require.Contains(t, log, "export")
}

func TestImportUnderTheSameSlugAndWithNewKeys(t *testing.T) {
	t.Parallel()
	eachStrategy(t, func(t *testing.T, w *fixture) {
		w.ok(t, "migrate")
		w.ok(t, "seed", "--accounts", "1")
		w.ok(t, "tenants", "create", "acme", "--name", "Acme Inc.")
		w.ok(t, "tenants", "exec", "--tenant", "acme", "--write", "insert into projects (account_id, name) values (1000001, 'Ünïcode, \"quoted\"')")
		w.ok(t, "tenants", "export", "acme", "-o", "acme.tar.zst")
		before := w.ok(t, "tenants", "list", "--format", "json")
		for _, args := range []string{"acme.tar.zst", "acme.tar.zst --dry-run"} {
			w.fails(t, 1, `tenant "acme" exists, in state "active": choose another slug`, append([]string{"tenants", "import"}, strings.Fields(args)...)...)
		}
		require.Contains(t, w.ok(t, "tenants", "import", "acme.tar.zst", "--slug", "bolt", "--dry-run"), "nothing was kept: without --dry-run, 2 rows would be imported as bolt into ")
		require.Equal(t, before, w.ok(t, "tenants", "list", "--format", "json"))
		require.Zero(t, w.count(t, "select count(*) from pg_namespace where nspname in ('dry_run', 'bolt')"))

		w.ok(t, "tenants", "import", "acme.tar.zst", "--slug", "bolt", "--new-keys")
		names := w.ok(t, "tenants", "exec", "--tenant", "bolt", "--format", "json", "select name from projects")
		require.Contains(t, names, `Ünïcode, \"quoted\"`)
		var made struct{ ID int64 }
		require.NoError(t, json.Unmarshal([]byte(w.ok(t, "tenants", "import", "acme.tar.zst", "--slug", "coil", "--format", "json")), &made))
		require.Greater(t, made.ID, int64(1_000_002))

		// A row that the program makes next does not get an imported key.
		w.ok(t, "tenants", "exec", "--tenant", "coil", "--write", fmt.Sprintf("insert into projects (account_id, name) values (%d, 'next')", made.ID))

		require.Contains(t, w.ok(t, "tenants", "clone", "tenant-0", "copy", "--name", "A copy"), "cloned to tenant ")
		for slug, file := range map[string]string{"tenant-0": "one", "copy": "two"} {
			w.ok(t, "tenants", "export", slug, "-o", file)
		}
		require.Equal(t, w.tablesOf(t, "one"), w.tablesOf(t, "two"))
		require.Empty(t, w.check(t, 0).ids(audit.Defect))
	})
}

func TestArchivesThatCannotBeWrittenOrRead(t *testing.T) {
	t.Parallel()
	w := newFixture(t, config.SingleSchema)
	w.ok(t, "migrate")
	w.ok(t, "seed", "--accounts", "1")
	w.ok(t, "tenants", "export", "tenant-0", "-o", "good")
	w.fails(t, 1, "good exists: choose another name, or give --force", "tenants", "export", "tenant-0", "-o", "good")
	w.ok(t, "tenants", "export", "tenant-0", "-o", "good", "--force")
	info, err := os.Stat(filepath.Join(w.dir, "good"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	w.fails(t, 2, "name the file", "tenants", "export", "tenant-0")
	w.fails(t, 2, "export takes the tenant", "tenants", "export", "-o", "x")
	w.fails(t, 1, "no such file or directory", "tenants", "export", "tenant-0", "-o", "no/where")
	w.fails(t, 1, `no tenant is called "nobody"`, "tenants", "export", "nobody", "-o", "x")
	r := w.run(t, "tenants", "export", "tenant-0", "-o", "-")
	require.Zero(t, r.code, r.err)
	require.Contains(t, r.err, "exported tenant 1 (tenant-0): ")
	require.NoError(t, os.WriteFile(filepath.Join(w.dir, "piped"), []byte(r.out), 0o600))
	require.Equal(t, w.tablesOf(t, "good"), w.tablesOf(t, "piped"))

	good, err := os.ReadFile(filepath.Join(w.dir, "good"))
	require.NoError(t, err)
	for name, content := range map[string][]byte{"cut": good[:len(good)/2], "empty": nil, "text": []byte("select 1"), "more": append(append([]byte{}, good...), 'x')} {
		require.NoError(t, os.WriteFile(filepath.Join(w.dir, name), content, 0o600))
		w.fails(t, 1, name+": th", "tenants", "import", name, "--slug", "x")
	}
	w.fails(t, 1, "no such file", "tenants", "import", "none")
	w.fails(t, 2, "not a slug", "tenants", "import", "good", "--slug", "A B")
	w.fails(t, 1, "reserved", "tenants", "import", "good", "--slug", "www")
	w.fails(t, 1, `no tenant is called "nobody"`, "tenants", "clone", "nobody", "x")
	w.fails(t, 1, "exists, in state", "tenants", "clone", "tenant-0", "tenant-0")
	w.db.Exec(t, pgtest.Owner, "insert into control.tenants (id, slug, name, schema) values (77, 'half', 'half', 'public')")
	w.fails(t, 1, `tenant "half" is in state "creating", and has nothing to export`, "tenants", "export", "half", "-o", "x")
	w.db.Exec(t, pgtest.Owner, "update tenant_version set version_id = 999 where version_id = (select max(version_id) from tenant_version)")
	w.fails(t, 1, "999", "tenants", "export", "tenant-0", "-o", "x")
	require.NoFileExists(t, filepath.Join(w.dir, "x"))
	require.NoFileExists(t, filepath.Join(w.dir, "x.partial"))
	require.Equal(t, 2, w.count(t, "select count(*) from control.tenants"))
}

// An archive of other tables than the program's is refused.
func TestImportOfAnotherSchemaVersion(t *testing.T) {
	t.Parallel()
	w := newFixture(t, config.SingleSchema)
	w.ok(t, "migrate")
	w.ok(t, "seed", "--accounts", "1")
	w.ok(t, "tenants", "export", "tenant-0", "-o", "good")
	for _, version := range []string{"0", "99"} {
		want := "the archive is of version " + version + " of the tables, and this program knows versions 1 to "
		w.rewrite(t, "good", version, fmt.Sprintf(`"schema_version": %d`, migrations.Tenant.Newest()), `"schema_version": `+version)
		for _, more := range []string{"", "--dry-run"} {
			w.fails(t, 1, want, append([]string{"tenants", "import", version, "--slug", "x"}, strings.Fields(more)...)...)
		}
	}
	require.Equal(t, 1, w.count(t, "select count(*) from control.tenants"))
}

// largeTenant gives the fixture a tenant with as many subtasks.
func (w *fixture) largeTenant(t *testing.T, subtasks int) {
	w.ok(t, "migrate")
	w.ok(t, "tenants", "create", "large")
	w.ok(t, "tenants", "exec", "--tenant", "large", "--write", fmt.Sprintf(`do $$ begin
		insert into projects (account_id, name) values (1000001, 'p'); insert into tasks (account_id, project_id, name) select account_id, id, 't' from projects;
		insert into subtasks (account_id, task_id, name) select account_id, id, 'subtask ' || n from tasks, generate_series(1, %d) n; end $$`, subtasks))
}

// Commands that are killed at any moment leave nothing that is served, and the same commands complete what they left.
func TestKilledImportsAreCompleted(t *testing.T) {
	t.Parallel()
	eachUnmixed(t, func(t *testing.T, w *fixture) {
		w.largeTenant(t, 10_000)
		took := time.Now()
		w.ok(t, "tenants", "export", "large", "-o", "file")
		want := w.tablesOf(t, "file")
		w.ok(t, "tenants", "clone", "large", "first")
		within := time.Since(took)
		inTime, creating := 0, 0
		killed(4, func(i int) {
			slug := fmt.Sprintf("t%d", i)
			args := []string{"tenants", "import", "file", "--slug", slug}
			if i%2 == 1 {
				args = []string{"tenants", "clone", "large", slug}
			}
			cmd := w.command(t, args...)
			require.NoError(t, cmd.Start())
			time.Sleep(randomly(within))
			_ = cmd.Process.Kill() // it may have ended
			_ = cmd.Wait()
			require.Empty(t, w.check(t, 0).ids(audit.Defect))
			state := "select count(*) from control.tenants where slug = '" + slug + "' and state = "
			creating += w.count(t, state+"'creating'")
			if w.count(t, state+"'active'") == 0 {
				inTime++
				w.ok(t, args...)
			}
			w.ok(t, "tenants", "export", slug, "-o", slug)
			require.Equal(t, want, w.tablesOf(t, slug), slug)
			w.ok(t, "tenants", "drop", slug, "--yes", "--no-export")
		})
		require.Empty(t, w.count(t, "select count(*) from control.tenants where state <> 'active'"))
		t.Logf("%d killed in time, %d of them while creating", inTime, creating)
	})
}

// What a command leaves when its import was committed and it could not say so: the next one begins anew.
func TestAnImportIsCompletedAfterItsCommit(t *testing.T) {
	t.Parallel()
	eachStrategy(t, func(t *testing.T, w *fixture) {
		w.largeTenant(t, 100)
		w.ok(t, "tenants", "export", "large", "-o", "file")
		for _, more := range []string{"", "--new-keys"} {
			slug := "copy" + strings.TrimPrefix(more, "--new")
			args := append([]string{"tenants", "import", "file", "--slug", slug}, strings.Fields(more)...)
			w.ok(t, args...)
			w.db.Exec(t, pgtest.Owner, "update control.tenants set state = 'creating' where slug = $1", slug)
			w.ok(t, args...)
			w.fails(t, 1, "exists, in state", args...)
		}
		w.ok(t, "tenants", "export", "copy", "-o", "copy")
		require.Equal(t, w.tablesOf(t, "file"), w.tablesOf(t, "copy"))
	})
}

// An export that is stopped or killed leaves nothing under the file's name, and the next one works.
func TestAnInterruptedExportLeavesNoFile(t *testing.T) {
	t.Parallel()
	w := newFixture(t, config.SingleSchema)
	w.largeTenant(t, 20_000)
	partial := filepath.Join(w.dir, "file.partial")
	begun := func() bool { _, err := os.Stat(partial); return err == nil }
	w.kill(t, begun, "tenants", "export", "large", "-o", "file")
	require.NoFileExists(t, filepath.Join(w.dir, "file"))

	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan result, 1)
	_ = os.Remove(partial)
	go func() { done <- w.runUntil(ctx, "tenants", "export", "large", "-o", "file") }()
	require.Eventually(t, begun, time.Minute, time.Millisecond)
	cancel()
	if r := <-done; r.code != 0 { // it may have been quicker
		require.Equal(t, "tenanted: interrupted\n", r.err)
		require.NoFileExists(t, filepath.Join(w.dir, "file"))
		require.Eventually(t, func() bool { return !begun() }, 10*time.Second, time.Millisecond)
	}
	require.NoError(t, os.WriteFile(partial, []byte("left behind"), 0o600))
	w.ok(t, "tenants", "export", "large", "-o", "file", "--force")
	require.NoFileExists(t, partial)
	w.ok(t, "tenants", "import", "file", "--slug", "again")
}

// rewrite writes an archive with another manifest, and the right checksum of that.
func (w *fixture) rewrite(t *testing.T, from, to, old, by string) {
	t.Helper()
	all := w.entriesOf(t, from)
	sum := func(text string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(text))) }
	before := all["manifest.json"]
	all["manifest.json"] = strings.Replace(before, old, by, 1)
	require.NotEqual(t, before, all["manifest.json"])
	all["checksums.json"] = strings.Replace(all["checksums.json"], sum(before), sum(all["manifest.json"]), 1)
	file, err := os.Create(filepath.Join(w.dir, to))
	require.NoError(t, err)
	z, err := zstd.NewWriter(file)
	require.NoError(t, err)
	out := tar.NewWriter(z)
	for _, name := range []string{"manifest.json", "accounts", "projects", "tasks", "users", "subtasks", "checksums.json"} {
		if !strings.HasSuffix(name, ".json") {
			name = "tables/" + name + "/000001.csv"
		}
		require.NoError(t, out.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: int64(len(all[name])), Typeflag: tar.TypeReg}))
		_, err := io.WriteString(out, all[name])
		require.NoError(t, err)
	}
	require.NoError(t, errors.Join(out.Close(), z.Close(), file.Close()))
}
