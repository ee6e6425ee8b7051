package archive

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/klauspost/compress/zstd"

	"tenanted/scopes"
)

// ExportOptions are the settings of an export; the zero value is good.
type ExportOptions struct {
	// SchemaVersion is the version of the program's tables, as its migrations count. An importing program reads it from the
	// manifest, to know whether it has the same. Default: 0.
	SchemaVersion int64
	// Progress is called with the rows so far, after each part. Default: none.
	Progress func(rows int64)
}

// pinned are the settings that decide how PostgreSQL writes values. A session's own must not matter.
const pinned = `select set_config('datestyle', 'ISO, YMD', true), set_config('timezone', 'UTC', true),
	set_config('intervalstyle', 'iso_8601', true), set_config('extra_float_digits', '1', true), set_config('bytea_output', 'hex', true),
	set_config('lc_monetary', 'C', true), set_config('xmlbinary', 'base64', true), set_config('client_encoding', 'UTF8', true),
	set_config('standard_conforming_strings', 'on', true), set_config($1, $2, true)`

// Export writes the tenant's rows of all models to w, as one archive, and returns what it wrote. The transaction must be
// REPEATABLE READ or SERIALIZABLE, so that all tables are of one moment; names mean tables by its search_path. It works as
// the tables' owner, and as a role that row-level security binds. It changes nothing in the database, nor the transaction's settings.
//
// After an error, what was written is no archive. Errors are a [*MismatchError] where the database does not fit the models,
// those of w, and those of the database.
func Export(ctx context.Context, tx pgx.Tx, m *Models, tenant scopes.Tenant, o ExportOptions, w io.Writer) (Contents, error) {
	inner, err := tx.Begin(ctx) // a savepoint, whose end takes the settings back
	if err != nil {
		return Contents{}, err
	}
	defer inner.Rollback(context.WithoutCancel(ctx)) //nolint:errcheck // the caller's next statement would tell
	d, err := beginExport(ctx, inner, m, tenant)
	if err != nil {
		return Contents{}, fmt.Errorf("export %v: %w", tenant, err)
	}
	contents, err := exportTo(ctx, inner, d, tenant, o, w)
	if err != nil {
		return Contents{}, fmt.Errorf("export %v: %w", tenant, err)
	}
	return contents, nil
}

func beginExport(ctx context.Context, tx pgx.Tx, m *Models, tenant scopes.Tenant) (*database, error) {
	var isolation string
	if err := tx.QueryRow(ctx, "select current_setting('transaction_isolation')").Scan(&isolation); err != nil {
		return nil, err
	}
	if isolation != "repeatable read" && isolation != "serializable" {
		return nil, fmt.Errorf("the transaction is %s, so its tables would not be of one moment: begin it with pgx.RepeatableRead", isolation)
	}
	if _, err := tx.Exec(ctx, pinned, m.config.Setting, tenant.Key()); err != nil {
		return nil, err
	}
	return readDatabase(ctx, tx, m, tenant)
}

func exportTo(ctx context.Context, tx pgx.Tx, d *database, tenant scopes.Tenant, o ExportOptions, w io.Writer) (c Contents, err error) {
	c.Manifest = Manifest{Format: formatName, FormatVersion: FormatVersion, SchemaVersion: o.SchemaVersion,
		ExportedAt: time.Now().UTC().Truncate(time.Second), Tenant: Who{tenant.Key(), tenant.Slug, tenant.Name}}
	for i, t := range d.tables {
		c.Manifest.Tables = append(c.Manifest.Tables, newTable(i, t))
	}
	out, err := newWriter(w, c.Manifest.ExportedAt)
	if err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, out.close(err == nil)) }()
	if c.Checksums.Manifest, err = out.json(manifestEntry, c.Manifest); err != nil {
		return c, err
	}
	for i, t := range d.tables {
		before := c.Rows()
		parts := newPartWriter(out, c.Manifest.Tables[i], func(rows int64) { report(o.Progress, before+rows) })
		if err := copyOut(ctx, tx, d.query(t, c.Manifest.Tables[i]), parts); err != nil {
			return c, fmt.Errorf("table %s: %w", t.name, err)
		}
		sum, err := parts.finish()
		if err != nil {
			return c, fmt.Errorf("table %s: %w", t.name, err)
		}
		c.Checksums.Tables = append(c.Checksums.Tables, sum)
	}
	if d.bound() && c.Rows() == 0 {
		return c, fmt.Errorf("role %s, which row-level security binds, sees no row: check Config.Setting and the tenant's id", tx.Conn().Config().User)
	}
	_, err = out.json(checksumsEntry, c.Checksums)
	return c, err
}

func report(progress func(int64), rows int64) {
	if progress != nil {
		progress(rows)
	}
}

// bound reports whether row-level security binds the role on any table.
func (d *database) bound() bool {
	for _, t := range d.tables {
		if t.bound {
			return true
		}
	}
	return false
}

// copyOut writes a query's rows as CSV.
func copyOut(ctx context.Context, tx pgx.Tx, query string, w io.Writer) error {
	_, err := tx.Conn().PgConn().CopyTo(ctx, w, "copy ("+query+") to stdout (format csv)")
	return err
}

// writer writes an archive.
type writer struct {
	zstd   *zstd.Encoder
	tar    *tar.Writer
	at     time.Time
	buffer []byte // of the part that is being written
}

func newWriter(w io.Writer, at time.Time) (*writer, error) {
	compressed, err := zstd.NewWriter(w, zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithEncoderConcurrency(2))
	if err != nil {
		return nil, err
	}
	return &writer{zstd: compressed, tar: tar.NewWriter(compressed), at: at}, nil
}

// close ends the archive, or leaves it without an end.
func (w *writer) close(complete bool) error {
	if !complete {
		w.zstd.Reset(nil) // drops what it holds, and its goroutines' work
		return nil
	}
	return errors.Join(w.tar.Close(), w.zstd.Close())
}

func (w *writer) entry(name string, content []byte) error {
	header := &tar.Header{Name: name, Mode: 0o644, Size: int64(len(content)), Typeflag: tar.TypeReg, ModTime: w.at, Format: tar.FormatUSTAR}
	if err := w.tar.WriteHeader(header); err != nil {
		return err
	}
	_, err := w.tar.Write(content)
	return err
}

// json writes a value as an entry, and returns the checksum of that.
func (w *writer) json(name string, value any) (sum string, err error) {
	text, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return "", err
	}
	text = append(text, '\n')
	if len(text) > maxJSON {
		return "", fmt.Errorf("%s has %d bytes: at most %d can be read", name, len(text), maxJSON)
	}
	return hexSum(text), w.entry(name, text)
}

func hexSum(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// rowSum adds up the rows of a table.
type rowSum struct {
	scan scanner
	hash hash.Hash
}

func newRowSum(columns int) rowSum { return rowSum{newScanner(columns), sha256.New()} }

// Write implements io.Writer.
func (s *rowSum) Write(text []byte) (int, error) {
	_, _ = s.hash.Write(text) // never fails
	for rest := text; len(rest) > 0; {
		n := s.scan.next(rest)
		if n < 0 {
			break
		}
		rest = rest[n:]
	}
	return len(text), nil
}

func (s *rowSum) sum(table string, parts int) TableSum {
	return TableSum{Name: table, Rows: s.scan.rows, Parts: parts, SHA256: hex.EncodeToString(s.hash.Sum(nil))}
}

// partWriter cuts a table's rows into parts, always at the same places.
type partWriter struct {
	out      *writer
	table    Table
	header   int
	sum      rowSum
	parts    int
	progress func(rows int64)
}

func newPartWriter(out *writer, t Table, progress func(int64)) *partWriter {
	p := &partWriter{out: out, table: t, sum: newRowSum(len(t.Columns)), progress: progress}
	p.begin()
	return p
}

func (p *partWriter) begin() {
	p.out.buffer = append(p.out.buffer[:0], p.table.header()...)
	p.header = len(p.out.buffer)
}

// Write implements io.Writer, for any pieces of the rows.
func (p *partWriter) Write(text []byte) (int, error) {
	for rest := text; len(rest) > 0; {
		n := p.sum.scan.next(rest)
		if n < 0 {
			p.out.buffer = append(p.out.buffer, rest...)
			break
		}
		p.out.buffer = append(p.out.buffer, rest[:n]...)
		rest = rest[n:]
		if len(p.out.buffer) >= partSize {
			if err := p.flush(); err != nil {
				return 0, err
			}
		}
	}
	return len(text), nil
}

func (p *partWriter) flush() error {
	if p.parts++; p.parts > maxParts {
		return fmt.Errorf("it has more than %d parts: an archive cannot hold it", maxParts)
	}
	_, _ = p.sum.hash.Write(p.out.buffer[p.header:]) // never fails
	if err := p.out.entry(p.table.part(p.parts), p.out.buffer); err != nil {
		return err
	}
	p.begin()
	p.progress(p.sum.scan.rows)
	return nil
}

// finish writes the last part. A table without rows has one too.
func (p *partWriter) finish() (TableSum, error) {
	if len(p.out.buffer) > p.header || p.parts == 0 {
		if err := p.flush(); err != nil {
			return TableSum{}, err
		}
	}
	return p.sum.sum(p.table.Name, p.parts), nil
}
