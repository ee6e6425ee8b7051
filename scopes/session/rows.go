package session

import (
	"database/sql/driver"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
)

// rows reads the answer of one statement. pgx's own driver.Rows cannot be had for a pipeline's answer; the Go
// types of the values are the same as there.
type rows struct {
	conn     *core
	pipeline *pgconn.Pipeline
	reader   *pgconn.ResultReader
	fields   []pgconn.FieldDescription
	decode   []func([]byte) (driver.Value, error)

	tag   pgconn.CommandTag
	done  bool
	err   error
	ended func() // called once they are read; nil: nobody wants to know
}

var (
	_ driver.RowsColumnTypeDatabaseTypeName = (*rows)(nil)
	_ driver.RowsColumnTypeScanType         = (*rows)(nil)
)

// Columns implements driver.Rows.
func (r *rows) Columns() []string {
	names := make([]string, len(r.fields))
	for i, f := range r.fields {
		names[i] = f.Name
	}
	return names
}

// Next implements driver.Rows. An error that comes with the end of the implicit transaction, as of a deferred
// constraint, is returned instead of io.EOF.
func (r *rows) Next(dest []driver.Value) error {
	if r.done || !r.reader.NextRow() {
		if err := r.Close(); err != nil {
			return err
		}
		return io.EOF
	}
	if r.decode == nil {
		r.decode = make([]func([]byte) (driver.Value, error), len(r.fields))
		for i, f := range r.fields {
			r.decode[i] = decoder(r.conn.pgx.TypeMap(), f)
		}
	}
	for i, raw := range r.reader.Values() {
		dest[i] = nil
		if raw == nil {
			continue
		}
		v, err := r.decode[i](raw)
		if err != nil {
			r.conn.forgetStatements()
			return fmt.Errorf("decode column %q: %w", r.fields[i].Name, err)
		}
		dest[i] = v
	}
	return nil
}

// Close implements driver.Rows. It reads what is left, ends the pipeline, and with it the implicit transaction.
func (r *rows) Close() error {
	if r.done {
		return r.err
	}
	r.done = true
	r.tag, r.err = r.reader.Close()
	if err := r.pipeline.Close(); r.err == nil {
		r.err = err
	}
	r.err = r.conn.explain(r.err)
	if r.conn.tx == nil && r.err == nil && r.beganTransaction() {
		r.err = fmt.Errorf("the statement began a transaction: use BeginTx, which sets the tenant")
	}
	if r.conn.tx == nil {
		r.conn.closeUnlessIdle()
	}
	if r.ended != nil {
		r.ended()
	}
	return r.err
}

// beganTransaction reports whether the statement was one that begins a transaction. In an explicit one it begins none, and the
// caller's next statement would not be in it.
func (r *rows) beganTransaction() bool {
	tag := r.tag.String()
	return r.conn.pg.TxStatus() != 'I' || tag == "BEGIN" || tag == "START TRANSACTION"
}

// ColumnTypeDatabaseTypeName implements driver.RowsColumnTypeDatabaseTypeName.
func (r *rows) ColumnTypeDatabaseTypeName(i int) string {
	oid := r.fields[i].DataTypeOID
	if t, ok := r.conn.pgx.TypeMap().TypeForOID(oid); ok {
		return strings.ToUpper(t.Name)
	}
	return strconv.FormatUint(uint64(oid), 10)
}

// ColumnTypeScanType implements driver.RowsColumnTypeScanType.
func (r *rows) ColumnTypeScanType(i int) reflect.Type {
	switch r.fields[i].DataTypeOID {
	case pgtype.BoolOID:
		return reflect.TypeFor[bool]()
	case pgtype.Int8OID:
		return reflect.TypeFor[int64]()
	case pgtype.Int4OID:
		return reflect.TypeFor[int32]()
	case pgtype.Int2OID:
		return reflect.TypeFor[int16]()
	case pgtype.Float8OID, pgtype.NumericOID:
		return reflect.TypeFor[float64]()
	case pgtype.Float4OID:
		return reflect.TypeFor[float32]()
	case pgtype.DateOID, pgtype.TimestampOID, pgtype.TimestamptzOID:
		return reflect.TypeFor[time.Time]()
	case pgtype.ByteaOID:
		return reflect.TypeFor[[]byte]()
	default:
		return reflect.TypeFor[string]()
	}
}

// chooseFormats asks for the text of whatever decoder makes a string of, as pgx's own driver does: the string that pgx
// would make of the binary form may be another ("12:00:00.000000" for "12:00:00").
func chooseFormats(formats []int16, fields []pgconn.FieldDescription) {
	for i, f := range fields {
		switch f.DataTypeOID {
		case pgtype.BoolOID, pgtype.ByteaOID, pgtype.CIDOID, pgtype.DateOID, pgtype.Float4OID, pgtype.Float8OID, pgtype.Int2OID,
			pgtype.Int4OID, pgtype.Int8OID, pgtype.OIDOID, pgtype.TimestampOID, pgtype.TimestamptzOID, pgtype.XIDOID:
			formats[i] = pgtype.BinaryFormatCode
		default:
			formats[i] = pgtype.TextFormatCode
		}
	}
}

// decoder returns the function that makes a driver.Value of a column's bytes.
func decoder(m *pgtype.Map, f pgconn.FieldDescription) func([]byte) (driver.Value, error) {
	switch f.DataTypeOID {
	case pgtype.BoolOID:
		return decodeAs(m, f, func(v bool) (driver.Value, error) { return v, nil })
	case pgtype.Int2OID, pgtype.Int4OID, pgtype.Int8OID:
		return decodeAs(m, f, func(v int64) (driver.Value, error) { return v, nil })
	case pgtype.Float4OID:
		return decodeAs(m, f, func(v float32) (driver.Value, error) { return float64(v), nil })
	case pgtype.Float8OID:
		return decodeAs(m, f, func(v float64) (driver.Value, error) { return v, nil })
	case pgtype.ByteaOID, pgtype.JSONOID, pgtype.JSONBOID, pgtype.XMLOID:
		return decodeAs(m, f, func(v []byte) (driver.Value, error) { return v, nil })
	case pgtype.OIDOID, pgtype.CIDOID, pgtype.XIDOID:
		return decodeAs(m, f, func(v pgtype.Uint32) (driver.Value, error) { return v.Value() })
	case pgtype.DateOID:
		return decodeAs(m, f, func(v pgtype.Date) (driver.Value, error) { return v.Value() })
	case pgtype.TimestampOID:
		return decodeAs(m, f, func(v pgtype.Timestamp) (driver.Value, error) { return v.Value() })
	case pgtype.TimestamptzOID:
		return decodeAs(m, f, func(v pgtype.Timestamptz) (driver.Value, error) { return v.Value() })
	default:
		return decodeAs(m, f, func(v string) (driver.Value, error) { return v, nil })
	}
}

func decodeAs[T any](m *pgtype.Map, f pgconn.FieldDescription, value func(T) (driver.Value, error)) func([]byte) (driver.Value, error) {
	var v T
	plan := m.PlanScan(f.DataTypeOID, f.Format, &v)
	return func(raw []byte) (driver.Value, error) {
		if err := plan.Scan(raw, &v); err != nil {
			return nil, err
		}
		return value(v)
	}
}
