package archive_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"tenanted/scopes"
	"tenanted/scopes/archive"
)

// What does not fit is refused with one line that names the table, and nothing is written.
func TestImportRefuses(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		sql     string // in the place of the import
		want    string
		options archive.ImportOptions
	}{
		"a tenant with rows":      {sql: "insert into orgs values ('x', 1)", want: "tenant 1 has rows in table orgs already"},
		"another type":            {sql: "alter table labels alter text type varchar(10)", want: `table labels has column "text" of type character varying(10), and the archive of type text`},
		"a column less":           {sql: "alter table labels drop column text", want: `table labels has no column "text", which model Label has`},
		"a column more":           {sql: "alter table labels add more int", want: `table labels has a column "more", which model Label does not have`},
		"no table":                {sql: "drop table item_labels", want: "table item_labels of model"},
		"no primary key":          {sql: "alter table item_labels drop constraint item_labels_pkey", want: "has no primary key"},
		"a constraint":            {sql: "alter table items add check (title <> 'a')", want: "table items: "},
		"a unique key":            {sql: "create unique index on items ((length(title) > 0)) where length(title) > 0", want: "keys of table items cannot be kept: Key"},
		"a trigger that changes":  {sql: trigger("new.text := 'changed'; return new"), want: "table labels has other rows after the import than the archive: as many"},
		"a trigger that drops":    {sql: trigger("return null"), want: "table labels has other rows after the import than the archive: 0, and the archive 1"},
		"new keys, and a trigger": {sql: trigger("new.text := 'changed'; return new"), want: "other rows after the import", options: archive.ImportOptions{NewKeys: true}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, m, file := sample(t)
			require.NoError(t, w.schema.in(t, pgx.ReadCommitted, func(tx pgx.Tx) error {
				_, err := tx.Conn().Exec(t.Context(), test.sql, pgx.QueryExecModeSimpleProtocol)
				return err
			}))
			before := w.schema.text(t, "orgs", "labels", "items")
			err := w.schema.load(t, m, file, 1, test.options)
			require.ErrorContains(t, err, test.want)
			require.NotContains(t, err.Error(), "\n")
			require.Equal(t, before, w.schema.text(t, "orgs", "labels", "items"))
		})
	}
}

func trigger(body string) string {
	return "create function f() returns trigger language plpgsql as $$ begin " + body + "; end $$; create trigger t before insert on labels for each row execute function f()"
}

// After an import that failed, the caller's transaction is as it was, and goes on.
func TestImportIsASavepoint(t *testing.T) {
	t.Parallel()
	w, m, file := sample(t)
	a, err := archive.Verify(t.Context(), bytes.NewReader(file))
	require.NoError(t, err)
	require.NoError(t, w.schema.in(t, pgx.ReadCommitted, func(tx pgx.Tx) error {
		tenant := scopes.Tenant{ID: 1}
		if _, err := tx.Exec(t.Context(), "insert into orgs values ('first', 1)"); err != nil {
			return err
		}
		require.ErrorAs(t, archive.Import(t.Context(), tx, m, a, tenant, archive.ImportOptions{}), new(*archive.NotEmptyError))
		if _, err := archive.Delete(t.Context(), tx, m, tenant); err != nil {
			return err
		}
		require.NoError(t, archive.Import(t.Context(), tx, m, a, tenant, archive.ImportOptions{}))
		_, err := archive.Delete(t.Context(), tx, m, tenant)
		require.NoError(t, err)
		return archive.Import(t.Context(), tx, m, a, tenant, archive.ImportOptions{NewKeys: true})
	}))
	_, contents := w.schema.export(t, m, 1)
	require.Equal(t, a.Rows(), contents.Rows())
}

func TestExportRefuses(t *testing.T) {
	t.Parallel()
	w, m, _ := sample(t)
	export := func(level pgx.TxIsoLevel, m *archive.Models, tenant scopes.Tenant, to io.Writer) error {
		return w.shared.in(t, level, func(tx pgx.Tx) error {
			_, err := archive.Export(t.Context(), tx, m, tenant, archive.ExportOptions{}, to)
			return err
		})
	}
	acme := scopes.Tenant{ID: 1}
	require.ErrorContains(t, export(pgx.ReadCommitted, m, acme, io.Discard), "read committed, so its tables would not be of one moment")
	require.ErrorContains(t, export(pgx.RepeatableRead, m, scopes.Tenant{}, io.Discard), "no tenant")
	require.ErrorIs(t, export(pgx.RepeatableRead, m, acme, full{}), errFull)
	require.NoError(t, export(pgx.Serializable, m, acme, io.Discard))

	_, err := w.shared.conn.Exec(t.Context(), "create table notes (org_id bigint, item_id bigint, foreign key (org_id, item_id) references items (org_id, id)); alter table labels add extra text")
	require.NoError(t, err)
	require.ErrorContains(t, export(pgx.RepeatableRead, m, acme, io.Discard), `table labels has a column "extra", which model Label does not have: it would be lost`)
	some, err := archive.Parse(archive.Config{Models: []any{&Item{}}, Ignore: []string{"labels.extra"}})
	require.NoError(t, err)
	require.ErrorContains(t, export(pgx.RepeatableRead, some, acme, io.Discard), "table notes refers to table items and has no model")
	all, err := archive.Parse(archive.Config{Models: []any{&Item{}}, Ignore: []string{"labels.extra", "notes"}})
	require.NoError(t, err)
	require.NoError(t, export(pgx.RepeatableRead, all, acme, io.Discard))

	_, err = archive.Parse(archive.Config{Models: []any{&struct{ ID int }{}}})
	require.ErrorContains(t, err, "none of Config.Models has a tenant")
}

type full struct{}

var errFull = errors.New("disk full")

func (full) Write([]byte) (int, error) { return 0, errFull }

// An export is one moment, and leaves the transaction's settings as they were.
func TestExportIsOneSnapshot(t *testing.T) {
	t.Parallel()
	w, m, _ := sample(t)
	var first, second archive.Contents
	require.NoError(t, w.shared.in(t, pgx.RepeatableRead, func(tx pgx.Tx) (err error) {
		_, err = tx.Exec(t.Context(), "set local datestyle = 'German'; set local timezone = 'Asia/Tokyo'")
		require.NoError(t, err)
		if first, err = archive.Export(t.Context(), tx, m, scopes.Tenant{ID: 1}, archive.ExportOptions{}, io.Discard); err != nil {
			return err
		}
		_, err = w.schema.conn.Exec(t.Context(), "insert into public.labels (org_id, id, text) values (1, 99, 'later'); update public.items set title = 'later'")
		require.NoError(t, err)
		second, err = archive.Export(t.Context(), tx, m, scopes.Tenant{ID: 1}, archive.ExportOptions{}, io.Discard)
		require.NoError(t, err)
		var style string
		require.NoError(t, tx.QueryRow(t.Context(), "select current_setting('datestyle') || current_setting('timezone') || current_setting('transaction_read_only')").Scan(&style))
		require.Equal(t, "German, DMYAsia/Tokyooff", style)
		return nil
	}))
	require.Equal(t, first.Checksums.Tables, second.Checksums.Tables)
}

// Of two who import for one tenant at once one does.
func TestTwoImportsAtOnce(t *testing.T) {
	t.Parallel()
	w, m, file := sample(t)
	conn, err := pgx.ConnectConfig(t.Context(), w.schema.conn.Config())
	require.NoError(t, err)
	defer conn.Close(context.Background())
	errs := make(chan error, 2)
	for _, p := range []place{w.schema, {conn, "own"}} {
		go func() { errs <- p.load(t, m, file, 1, archive.ImportOptions{}) }()
	}
	err = errors.Join(<-errs, <-errs)
	require.ErrorAs(t, err, new(*archive.NotEmptyError))
	require.NotErrorAs(t, err, new(*archive.KeyError), fmt.Sprint(err))
	_, contents := w.schema.export(t, m, 1)
	require.EqualValues(t, 4, contents.Rows())
}
