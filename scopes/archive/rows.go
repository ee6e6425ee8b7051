package archive

import (
	"io"
	"strings"
)

// rowReader reads a table's rows out of all its parts as one CSV without headers, and checks their form. With a prefix, each
// row begins with that.
type rowReader struct {
	archive *reader
	table   Table
	prefix  []byte
	sum     rowSum
	parts   int
	in      []byte
	made    []byte // of in, with prefixes
	out     []byte // of in or made, and not yet read
	atRow   bool   // the next byte begins a row
	err     error  // what stopped it; io.EOF: the table's end

	progress func(rows int64) // after each piece
}

// failed reports whether something was wrong with the archive.
func (r *rowReader) failed() bool { return r.err != nil && r.err != io.EOF }

// rows returns the reader of the table whose first part comes next.
func (r *reader) rows(t Table, prefix string) (*rowReader, error) {
	rows := &rowReader{archive: r, table: t, prefix: []byte(prefix), sum: newRowSum(len(t.Columns)), in: make([]byte, 128<<10), atRow: true}
	if err := r.expect(t.part(1)); err != nil {
		return nil, err
	}
	return rows, rows.begin()
}

// begin reads the first line of the part that comes next.
func (r *rowReader) begin() error {
	r.parts++
	want := r.table.header()
	has := make([]byte, len(want))
	if _, err := io.ReadFull(r.archive.tar, has); err != nil && r.archive.header.Size >= int64(len(want)) {
		return r.archive.damaged(r.where(), err)
	}
	if string(has) != want {
		return &DamagedError{r.where(), "its first line does not name the columns " + strings.TrimSpace(want)}
	}
	return nil
}

func (r *rowReader) where() string { return r.table.part(r.parts) }

// Read implements io.Reader.
func (r *rowReader) Read(p []byte) (int, error) {
	for len(r.out) == 0 && r.err == nil {
		r.err = r.fill()
	}
	if len(r.out) == 0 {
		return 0, r.err
	}
	n := copy(p, r.out)
	r.out = r.out[n:]
	return n, nil
}

// fill reads a piece of a part, or goes to the next one. It returns io.EOF at the table's end.
func (r *rowReader) fill() error {
	if err := r.archive.ctx.Err(); err != nil {
		return err
	}
	n, err := r.archive.tar.Read(r.in)
	r.take(r.in[:n])
	report(r.progress, r.sum.scan.rows)
	switch {
	case r.sum.scan.bad != "":
		return &DamagedError{r.where(), r.sum.scan.bad}
	case err == nil:
		return nil
	case err != io.EOF:
		return r.archive.damaged(r.where(), err)
	case !r.atRow:
		return &DamagedError{r.where(), "its last row has no end"}
	}
	if err := r.archive.next(); err != nil {
		return err
	}
	if r.parts < maxParts && r.archive.name() == r.table.part(r.parts+1) {
		return r.begin()
	}
	return io.EOF
}

// take puts the prefix in front of the rows in a piece of text.
func (r *rowReader) take(text []byte) {
	_, _ = r.sum.hash.Write(text) // never fails
	r.out, r.made = text, r.made[:0]
	for rest := text; len(rest) > 0; {
		n := r.sum.scan.next(rest)
		row := rest
		if n >= 0 {
			row = rest[:n]
		}
		if r.atRow && len(r.prefix) > 0 {
			r.made = append(r.made, r.prefix...)
		}
		if len(r.prefix) > 0 {
			r.made = append(r.made, row...)
		}
		r.atRow = n >= 0
		rest = rest[len(row):]
	}
	if len(r.prefix) > 0 {
		r.out = r.made
	}
}
