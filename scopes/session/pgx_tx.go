package session

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// pgxTx is a transaction for one tenant, or a savepoint in one.
type pgxTx struct {
	on        *held
	savepoint string // its name
	released  bool   // the savepoint has ended
}

var _ pgx.Tx = (*pgxTx)(nil)

// held is the connection of a transaction and its savepoints, until the transaction ends.
type held struct {
	core    *core // nil once it has ended: the connection then serves another caller
	release func()
}

// core returns the transaction's connection.
func (t *pgxTx) core() (*core, error) {
	if t.on.core == nil || t.released {
		return nil, pgx.ErrTxClosed
	}
	return t.on.core, nil
}

// admit returns the transaction's connection for a statement with this context, unless it is another tenant's.
func (t *pgxTx) admit(ctx context.Context) (*core, error) {
	c, err := t.core()
	if err != nil {
		return nil, err
	}
	if _, err := c.admit(ctx); err != nil {
		return nil, err
	}
	c.tx.used = true
	return c, nil
}

// Begin implements pgx.Tx: it makes a savepoint.
func (t *pgxTx) Begin(ctx context.Context) (pgx.Tx, error) {
	c, err := t.admit(ctx)
	if err != nil {
		return nil, err
	}
	c.tx.savepoints++
	name := fmt.Sprintf("session_%d", c.tx.savepoints)
	if _, err := c.pgx.Exec(ctx, "savepoint "+name); err != nil {
		return nil, c.explain(err)
	}
	return &pgxTx{on: t.on, savepoint: name}, nil
}

// Commit implements pgx.Tx.
func (t *pgxTx) Commit(ctx context.Context) error {
	if t.savepoint != "" {
		return t.release(ctx, "release savepoint ")
	}
	return t.finish(ctx, (*core).commit)
}

// Rollback implements pgx.Tx. A transaction is rolled back after the context has ended too.
func (t *pgxTx) Rollback(ctx context.Context) error {
	if t.savepoint != "" {
		return t.release(ctx, "rollback to savepoint ")
	}
	return t.finish(ctx, (*core).rollback)
}

// release ends the savepoint.
func (t *pgxTx) release(ctx context.Context, how string) error {
	c, err := t.core()
	if err != nil {
		return err
	}
	t.released = true
	_, err = c.pgx.Exec(ctx, how+t.savepoint)
	return c.explain(err)
}

// finish ends the transaction and gives its connection back.
func (t *pgxTx) finish(ctx context.Context, end func(*core, context.Context) error) error {
	c, err := t.core()
	if err != nil {
		return err
	}
	err = end(c, ctx)
	t.on.core = nil
	t.on.release()
	return err
}

// Query implements pgx.Tx.
func (t *pgxTx) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	c, err := t.core()
	if err != nil {
		return failedRows{err}, err
	}
	rows, err := c.query(ctx, sql, args, nil)
	if err != nil {
		return failedRows{err}, err
	}
	return rows, nil
}

// QueryRow implements pgx.Tx.
func (t *pgxTx) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	rows, _ := t.Query(ctx, sql, args...) // Scan returns the error
	return row{rows}
}

// Exec implements pgx.Tx.
func (t *pgxTx) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	return exec(t.Query(ctx, sql, args...))
}

// CopyFrom implements pgx.Tx: see [Pool.CopyFrom].
func (t *pgxTx) CopyFrom(ctx context.Context, table pgx.Identifier, columns []string, rows pgx.CopyFromSource) (int64, error) {
	c, err := t.admit(ctx)
	if err != nil {
		return 0, err
	}
	if schema := c.tx.settings.schema; schema != "" && len(table) == 1 { // else pgx could take for it what it knows of another schema's
		table = pgx.Identifier{schema, table[0]}
	}
	n, err := c.pgx.CopyFrom(ctx, table, columns, rows)
	return n, c.explain(err)
}

// SendBatch implements pgx.Tx. The statements are distinguished by schema, so that pgx does not take one that it prepared in
// another schema.
func (t *pgxTx) SendBatch(ctx context.Context, batch *pgx.Batch) pgx.BatchResults {
	c, err := t.admit(ctx)
	if err != nil {
		return failedBatch{err}
	}
	own := &pgx.Batch{QueuedQueries: make([]*pgx.QueuedQuery, len(batch.QueuedQueries))}
	for i, query := range batch.QueuedQueries {
		if i == 0 && strings.HasPrefix(strings.ToLower(query.SQL), "begin") {
			return failedBatch{errors.New("session: a batch cannot begin a transaction: it is sent in one, which has the tenant; leave BeginTx out")}
		}
		copied := *query
		copied.SQL = statementKey{c.tx.settings.schema, query.SQL}.text()
		own.QueuedQueries[i] = &copied
	}
	return explainedBatch{c.pgx.SendBatch(ctx, own), c}
}

// Prepare implements pgx.Tx: it always fails. A statement by name would outlive the transaction and its tenant's schema;
// statements are prepared by themselves.
func (t *pgxTx) Prepare(context.Context, string, string) (*pgconn.StatementDescription, error) {
	return nil, errors.New("session: statements are prepared by themselves: leave Prepare out, and give the text")
}

// LargeObjects implements pgx.Tx: it panics. PostgreSQL keeps large objects for a whole database, out of reach of row-level
// security.
func (t *pgxTx) LargeObjects() pgx.LargeObjects {
	panic("session: large objects belong to no tenant: keep the bytes in a bytea column of a tenant's table")
}

// Conn implements pgx.Tx. It returns nil: a connection could be used without the tenant.
func (t *pgxTx) Conn() *pgx.Conn { return nil }

// explainedBatch has the errors that a batch ends with explained.
type explainedBatch struct {
	pgx.BatchResults
	core *core
}

// Close implements pgx.BatchResults.
func (b explainedBatch) Close() error { return b.core.explain(b.BatchResults.Close()) }
