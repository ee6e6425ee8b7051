package archive

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"tenanted/scopes"
)

// ImportOptions are the settings of an import; the zero value keeps the keys.
type ImportOptions struct {
	// NewKeys makes the keys anew that PostgreSQL makes by itself (identity columns, sequences, UUIDs), and changes the
	// references to them. It is for ids that are unique over all tenants, where another one has them already.
	NewKeys bool
	// KeepSequences leaves the sequences of kept keys where they are. It is for transactions that are rolled back, since no
	// rollback takes a sequence back. Default: they are moved past the highest key.
	KeepSequences bool
	// Progress is called with the rows so far. Default: none.
	Progress func(rows int64)
}

// Import writes the archive's rows for the tenant, who need not be the one that was exported, into the tables that names mean
// in the transaction. It verifies what it wrote by reading it back. It works in a savepoint: after an error nothing is
// written, and the transaction can go on. The settings that it makes hold to the transaction's end.
//
// Two imports for one tenant wait for one another. Nobody else may write rows of the tenant meanwhile; those of other tenants
// are written as ever.
//
// Errors are a [*MismatchError] for tables or columns that are not those of the archive, a [*NotEmptyError] for a tenant that
// has rows, a [*KeyError], a [*VerifyError], a [*DamagedError] if the file was changed since Verify, and those of the
// database.
func Import(ctx context.Context, tx pgx.Tx, m *Models, a *Archive, tenant scopes.Tenant, o ImportOptions) error {
	err := pgx.BeginFunc(ctx, tx, func(tx pgx.Tx) error {
		i := &importer{tx: tx, options: o, archive: a, tenant: tenant}
		return i.run(ctx, m)
	})
	if err != nil {
		return fmt.Errorf("import %v: %w", tenant, err)
	}
	return nil
}

// loading are the settings of an import. The plan of a foreign key's check is made once for a session, perhaps for empty tables,
// and by it each row would scan the table. A circle of foreign keys is checked at the end, if its constraints can be.
const loading = "set local enable_seqscan = off; set constraints all deferred"

// importer is one import.
type importer struct {
	tx      pgx.Tx
	options ImportOptions
	archive *Archive
	tenant  scopes.Tenant
	db      *database
	keys    *keyMaps // nil: they are kept
	rows    int64
}

func (i *importer) run(ctx context.Context, m *Models) error {
	if err := i.begin(ctx, m); err != nil {
		return err
	}
	err := new(Archive{file: i.archive.file}).read(ctx, i.unchanged, func(r *reader, t Table) (TableSum, error) {
		return i.load(ctx, r, t)
	})
	if err != nil {
		return err
	}
	if _, err := i.tx.Exec(ctx, "set constraints all immediate"); err != nil {
		return i.explain("", err)
	}
	for n, t := range i.archive.Manifest.Tables {
		if err := i.readBack(ctx, t, i.archive.Checksums.Tables[n]); err != nil {
			return err
		}
	}
	if i.options.KeepSequences {
		return nil
	}
	return i.db.raiseSequences(ctx, i.tx, func(table, column string) bool { return i.keys != nil && i.keys.has(table, column) })
}

// begin looks whether the import can be made.
func (i *importer) begin(ctx context.Context, m *Models) (err error) {
	if _, err := i.tx.Exec(ctx, pinned, m.config.Setting, i.tenant.Key()); err != nil {
		return err
	}
	if _, err := i.tx.Exec(ctx, loading, pgx.QueryExecModeSimpleProtocol); err != nil {
		return err
	}
	if i.db, err = readDatabase(ctx, i.tx, m, i.tenant); err != nil {
		return err
	}
	if i.db.bound() {
		return fmt.Errorf("row-level security binds role %s, and PostgreSQL has no COPY FROM under it: import as the tables' owner", i.tx.Conn().Config().User)
	}
	if err := i.db.fits(i.archive.Manifest); err != nil {
		return err
	}
	if i.options.NewKeys {
		if i.keys, err = newKeyMaps(i.db); err != nil {
			return err
		}
	}
	if err := lockTenant(ctx, i.tx, i.tenant); err != nil {
		return err
	}
	return i.empty(ctx)
}

// lockTenant keeps others from importing and deleting rows of the tenant in this database, until the transaction ends.
func lockTenant(ctx context.Context, tx pgx.Tx, tenant scopes.Tenant) error {
	_, err := tx.Exec(ctx, "select pg_advisory_xact_lock(hashtextextended($1, 0))", "scopes/archive "+tenant.Key())
	return err
}

func (i *importer) empty(ctx context.Context) error {
	for _, t := range i.db.tables {
		var has bool
		if err := i.tx.QueryRow(ctx, "select exists (select 1 from "+t.ident+" where "+i.db.own(t, t.ident)+")").Scan(&has); err != nil {
			return err
		}
		if has {
			return &NotEmptyError{i.tenant.String(), t.name}
		}
	}
	return nil
}

// fits compares the archive with the database.
func (d *database) fits(m Manifest) error {
	for _, has := range m.Tables {
		t := d.table(ident(has.Name))
		if t == nil {
			return &MismatchError{has.Name, "is in the archive, and no model has it", "import with the program that the archive is from"}
		}
		if err := t.fits(has); err != nil {
			return err
		}
	}
	for _, t := range d.tables {
		if !slices.ContainsFunc(m.Tables, func(has Table) bool { return has.Name == t.name }) {
			return &MismatchError{t.name, "of model " + t.model + " is not in the archive", "import with the program that the archive is from"}
		}
	}
	return nil
}

func (t *table) fits(has Table) error {
	const remedy = "import with the program that the archive is from"
	for _, c := range has.Columns {
		switch own := t.column(c.Name); {
		case own.Type == "":
			return &MismatchError{t.name, fmt.Sprintf("has no column %q, which the archive has", c.Name), remedy}
		case own.Type != c.Type:
			return &MismatchError{t.name, fmt.Sprintf("has column %q of type %s, and the archive of type %s", c.Name, own.Type, c.Type), remedy}
		}
	}
	for _, c := range t.columns {
		if !slices.ContainsFunc(has.Columns, func(h Column) bool { return h.Name == c.Name }) {
			return &MismatchError{t.name, fmt.Sprintf("has a column %q, which the archive does not have", c.Name), remedy}
		}
	}
	if !slices.Equal(has.PrimaryKey, t.primary) {
		return &MismatchError{t.name, fmt.Sprintf("has the primary key (%s), and the archive (%s)", strings.Join(t.primary, ", "), strings.Join(has.PrimaryKey, ", ")), remedy}
	}
	return nil
}

// unchanged refuses a file that is not the one that was verified. What comes behind the manifest is compared table by table.
func (i *importer) unchanged(m Manifest) error {
	if !slices.EqualFunc(m.Tables, i.archive.Manifest.Tables, func(a, b Table) bool {
		return a.Name == b.Name && slices.Equal(a.Columns, b.Columns) && slices.Equal(a.PrimaryKey, b.PrimaryKey)
	}) {
		return &DamagedError{manifestEntry, "the file was changed since it was verified"}
	}
	return nil
}

// load writes one table's rows.
func (i *importer) load(ctx context.Context, r *reader, as Table) (TableSum, error) {
	t := i.db.table(ident(as.Name))
	var rows *rowReader
	var err error
	if i.keys != nil && len(i.keys.columns[t.name]) > 0 {
		rows, err = i.loadStaged(ctx, r, t, as)
	} else {
		rows, err = i.copyIn(ctx, r, t.ident, slices.Concat(t.tenant, as.columnNames()), i.prefix(t), as)
	}
	if err != nil {
		return TableSum{}, err
	}
	i.rows += rows.sum.scan.rows
	report(i.options.Progress, i.rows)
	return rows.sum.sum(as.Name, rows.parts), nil
}

// prefix is the tenant in CSV, as often as the table has it.
func (i *importer) prefix(t *table) string {
	field := `"` + strings.ReplaceAll(i.tenant.Key(), `"`, `""`) + `"`
	prefix := strings.Repeat(field+",", len(t.tenant))
	if len(t.columns) == 0 {
		return strings.TrimSuffix(prefix, ",")
	}
	return prefix
}

// copyIn copies a table's rows out of the archive into a table of the database.
func (i *importer) copyIn(ctx context.Context, r *reader, into string, columns []string, prefix string, as Table) (*rowReader, error) {
	rows, err := r.rows(as, prefix)
	if err != nil {
		return nil, err
	}
	before := i.rows
	rows.progress = func(rows int64) { report(i.options.Progress, before+rows) }
	_, err = i.tx.Conn().PgConn().CopyFrom(ctx, rows, "copy "+into+" ("+quoteIdents(columns)+") from stdin (format csv)")
	if rows.failed() {
		return nil, rows.err // and not what the server says of a copy that was broken off
	}
	return rows, i.explain(as.Name, err)
}

// readBack compares what is in the database with the archive.
func (i *importer) readBack(ctx context.Context, as Table, want TableSum) error {
	t := i.db.table(ident(as.Name))
	query := i.db.query(t, as)
	if i.keys != nil {
		query = i.keys.oldRows(i.db, t, as)
	}
	sum := newRowSum(len(as.Columns))
	if err := copyOut(ctx, i.tx, query, &sum); err != nil {
		return fmt.Errorf("read table %s back: %w", as.Name, err)
	}
	switch has := sum.sum(as.Name, want.Parts); {
	case has.Rows != want.Rows:
		return &VerifyError{as.Name, fmt.Sprintf("%d, and the archive %d", has.Rows, want.Rows)}
	case has.SHA256 != want.SHA256:
		return &VerifyError{as.Name, "as many, with another checksum"}
	}
	return nil
}

// explain returns a failed write's error in one line.
func (i *importer) explain(table string, err error) error {
	failed, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return err
	}
	if table == "" {
		table = failed.TableName
	}
	switch failed.Code {
	case "23505": // unique_violation
		return &KeyError{table, oneLine(failed.Detail), i.keys != nil}
	case "23503": // foreign_key_violation
		return fmt.Errorf("table %s has rows that refer to others which are neither in the archive nor here (%s): bring those here first: %w",
			table, oneLine(failed.Detail), err)
	}
	return fmt.Errorf("table %s: %w", table, err)
}
