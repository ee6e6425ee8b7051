package tenancy_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
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
		_, err = archive.Export(t.Context(), tx, archive.ModelsOf(archive.Config{}, manifest), scopes.Tenant{ID: 5, Slug: "old", Name: "Old"},
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
