package tenancy_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"tenanted/app/config"
	"tenanted/app/tenancy"
	"tenanted/migrations"
	"tenanted/scopes"
	"tenanted/scopes/archive"
	"tenanted/scopes/pgtest"
)

// older makes the tables of a first version, which had no details, and of a second, whose migration changes rows too.
func older(ctx context.Context, tx pgx.Tx, after, to int64) error {
	if after < 1 && to >= 1 {
		if err := migrations.Apply(ctx, tx, migrations.Tenant); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "alter table subtasks drop column details"); err != nil {
			return err
		}
	}
	if after < 2 && to >= 2 {
		_, err := tx.Conn().Exec(ctx, "alter table subtasks add details text not null default 'none'; update subtasks set name = upper(name)", pgx.QueryExecModeSimpleProtocol)
		return err
	}
	return nil
}

// olderArchive is what a program of the first version wrote.
func olderArchive(t *testing.T, db *pgtest.DB, creator *tenancy.Creator) *archive.Archive {
	var file bytes.Buffer
	contents, err := creator.Export(t.Context(), numbered(0).Slug, &file, nil)
	require.NoError(t, err)
	manifest := contents.Manifest
	for i, table := range manifest.Tables {
		manifest.Tables[i].Columns = slices.DeleteFunc(table.Columns, func(c archive.Column) bool { return c.Name == "details" })
	}
	file.Reset()
	options := pgx.TxOptions{IsoLevel: pgx.RepeatableRead}
	require.NoError(t, pgx.BeginTxFunc(t.Context(), db.Connect(t, pgtest.Owner), options, func(tx pgx.Tx) error {
		_, err := tx.Conn().Exec(t.Context(), "create schema before; set local search_path = before, pg_temp", pgx.QueryExecModeSimpleProtocol)
		require.NoError(t, err)
		require.NoError(t, older(t.Context(), tx, 0, 1))
		_, err = tx.Conn().Exec(t.Context(), `insert into accounts values (5); insert into projects values (5, 1, 'p'); insert into tasks values (5, 2, 1, 't');
			insert into subtasks values (5, 7, 2, 'write')`, pgx.QueryExecModeSimpleProtocol)
		require.NoError(t, err)
		_, err = archive.Export(t.Context(), tx, archive.ModelsOf(archive.Config{Ignore: []string{"sessions", "password_resets", "api_tokens", "sign_in_attempts", "request_keys"}}, manifest), scopes.Tenant{ID: 5, Slug: "old", Name: "Old"},
			archive.ExportOptions{SchemaVersion: 1}, &file)
		require.NoError(t, err)
		_, err = tx.Exec(t.Context(), "drop schema before cascade")
		return err
	}))
	a, err := archive.Verify(t.Context(), bytes.NewReader(file.Bytes()))
	require.NoError(t, err)
	return a
}

// A tenant exported by an older program is what it would be if its tables had been migrated.
func TestAnOlderArchiveIsBroughtUp(t *testing.T) {
	t.Parallel()
	eachStrategy(t, func(t *testing.T, db *pgtest.DB, cfg config.Config) {
		withTenants(t, cfg, 1)
		creator := newCreator(t, cfg)
		a := olderArchive(t, db, creator)
		before := everything(t, db)

		creator.SetVersions(2, func(ctx context.Context, tx pgx.Tx, after, to int64) error {
			return errors.Join(older(ctx, tx, after, to), errKilled)
		})
		_, err := creator.Import(t.Context(), a, tenancy.Import{})
		require.ErrorIs(t, err, errKilled)
		require.ErrorContains(t, err, `import tenant "old": bring the archive from version 1 of the tables to 2: `)
		require.Equal(t, before, everything(t, db))

		creator.SetVersions(2, older)
		_, err = creator.TryImport(t.Context(), a, tenancy.Import{})
		require.NoError(t, err)
		require.Equal(t, before, everything(t, db))
		tenant, err := creator.Import(t.Context(), a, tenancy.Import{})
		require.NoError(t, err)
		require.Equal(t, "Old", tenant.Name)
		creator.SetVersions(0, nil)
		var file bytes.Buffer
		contents, err := creator.Export(t.Context(), "old", &file, nil)
		require.NoError(t, err)
		require.EqualValues(t, 4, contents.Rows())
		config := db.Config(pgtest.Owner)
		config.Database = tenant.Database
		conn, err := pgx.ConnectConfig(t.Context(), config)
		require.NoError(t, err)
		defer conn.Close(context.Background())
		var row string
		query := "select format('%s %s %s %s', id, task_id, name, details) from " + pgx.Identifier{tenant.Schema, "subtasks"}.Sanitize() + " where account_id = $1"
		require.NoError(t, conn.QueryRow(t.Context(), query, tenant.Key()).Scan(&row))
		require.Equal(t, "7 2 WRITE none", row)
		for _, newest := range []int64{0, 1} {
			creator.SetVersions(newest, older)
			_, err = creator.Import(t.Context(), a, tenancy.Import{Slug: "another"})
			if newest == 0 {
				require.ErrorAs(t, err, new(*tenancy.SchemaError))
			} else {
				require.ErrorContains(t, err, "subtasks", "the tables are others than those versions say")
			}
		}
	})
}

// Tenants are written to while another one is exported and imported beside them: no write fails, waits long or is lost.
func TestOthersAreWrittenToWhileATenantIsImported(t *testing.T) {
	t.Parallel()
	eachStrategy(t, func(t *testing.T, db *pgtest.DB, cfg config.Config) {
		withTenants(t, cfg, 3)
		entries, err := openDirectory(t, cfg).List(t.Context(), tenancy.ByID, 0)
		require.NoError(t, err)
		stop := make(chan struct{})
		var writers sync.WaitGroup
		counts := make([]int, 3)
		for i, e := range entries {
			to := db.Config(pgtest.Owner)
			to.Database = e.Database
			conn, err := pgx.ConnectConfig(t.Context(), to)
			require.NoError(t, err)
			defer conn.Close(context.Background())
			_, err = conn.Exec(t.Context(), "select set_config('search_path', $1, false), set_config('lock_timeout', '5s', false)", pgx.Identifier{e.Schema}.Sanitize())
			require.NoError(t, err)
			writers.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					if _, err := conn.Exec(t.Context(), "insert into projects (account_id, id, name) values ($1, nextval('projects_id_seq') + 100, 'new')", i+1); err != nil {
						t.Error(err)
						return
					}
					counts[i]++
				}
			})
		}
		creator := newCreator(t, cfg)
		for i := range 4 {
			var file bytes.Buffer
			contents, err := creator.Export(t.Context(), numbered(i%3).Slug, &file, nil)
			require.NoError(t, err)
			a, err := archive.Verify(t.Context(), bytes.NewReader(file.Bytes()))
			require.NoError(t, err)
			require.Equal(t, contents, a.Contents)
			_, err = creator.Import(t.Context(), a, tenancy.Import{Slug: fmt.Sprintf("copy-%d", i), NewKeys: i%2 == 1})
			require.NoError(t, err)
		}
		close(stop)
		writers.Wait()
		for i := range entries {
			contents, err := creator.Export(t.Context(), numbered(i).Slug, io.Discard, nil)
			require.NoError(t, err)
			require.EqualValues(t, counts[i]+2, contents.Rows(), "an account, a project, and what was acknowledged")
			require.NotZero(t, counts[i])
		}
	})
}

// An archive is no bunch of keys: what lets people in stays behind, and goes with the tenant when that is dropped.
func TestAnArchiveLetsNobodyIn(t *testing.T) {
	t.Parallel()
	eachStrategy(t, func(t *testing.T, db *pgtest.DB, cfg config.Config) {
		withTenants(t, cfg, 2)
		entries, err := openDirectory(t, cfg).List(t.Context(), tenancy.ByID, 0)
		require.NoError(t, err)
		on := func(e tenancy.Entry) *pgx.Conn {
			config := db.Config(pgtest.Owner)
			config.Database = e.Database
			conn, err := pgx.ConnectConfig(t.Context(), config)
			require.NoError(t, err)
			t.Cleanup(func() { _ = conn.Close(context.Background()) })
			_, err = conn.Exec(t.Context(), "select set_config('search_path', $1, false)", pgx.Identifier{e.Schema}.Sanitize())
			require.NoError(t, err)
			return conn
		}
		for _, e := range entries {
			conn := on(e)
			for _, sql := range []string{
				"insert into users (account_id, id, email, first_name, last_name, password_hash) values ($1, 1, 'ann@example.com', 'A', 'A', '')",
				"insert into sessions (account_id, token_hash, user_id, expires_at) values ($1, 'x', 1, 'infinity')",
				"insert into password_resets (account_id, token_hash, user_id, expires_at) values ($1, 'x', 1, 'infinity')",
				"insert into api_tokens (account_id, user_id, name, token_hash) values ($1, 1, 'x', 'x')",
				"insert into sign_in_attempts (account_id, subject, attempts, until) values ($1, 'x', 1, 'infinity')",
			} {
				_, err := conn.Exec(t.Context(), sql, e.ID)
				require.NoError(t, err)
			}
		}
		keys := func(e tenancy.Entry) (count int) {
			require.NoError(t, on(e).QueryRow(t.Context(), `select (select count(*) from sessions where account_id = $1) +
				(select count(*) from password_resets where account_id = $1) + (select count(*) from api_tokens where account_id = $1)`, e.ID).Scan(&count))
			return count
		}
		creator := newCreator(t, cfg)
		_, err = creator.Clone(t.Context(), "tenant-0", tenancy.Import{Slug: "copy"})
		require.NoError(t, err)
		copied, err := creator.Find(t.Context(), "copy")
		require.NoError(t, err)
		require.Equal(t, []int{3, 0}, []int{keys(entries[0]), keys(copied)})
		_, err = creator.Drop(t.Context(), "tenant-0", nil)
		require.NoError(t, err)
		require.Equal(t, 3, keys(entries[1]), "another tenant's")
	})
}
