package session

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Pool is for programs that use pgx itself, as sqlc does in its pgx mode. It carries the tenant of each statement's context
// to one database, over a pgxpool.Pool, as the driver does for database/sql: a statement without a tenant fails before
// anything is sent, one outside a transaction takes one round trip, and nothing is left on a connection. It may be used by
// several goroutines at once.
//
// What pgx takes in front of a statement's arguments is taken, but for a pgx.QueryExecMode and pgx.QueryResultFormats, which
// would go around the settings: they are errors. Use the pgxpool.Pool beside it for nothing that touches tenants' rows.
type Pool struct {
	pool      *pgxpool.Pool
	connector *Connector
}

// NewPool returns a pool over pool, whose user must be a role that row-level security applies to. It does not close it.
func NewPool(pool *pgxpool.Pool) *Pool {
	return &Pool{pool, NewConnector(pool.Config().ConnConfig)}
}

// With returns a copy of p with these options.
func (p *Pool) With(options Options) *Pool { return &Pool{p.pool, p.connector.With(options)} }

// tries is how many connections are tried for a statement of which nothing was executed, as in database/sql.
const tries = 3

// coreKey is where a connection keeps its core.
const coreKey = "tenanted/scopes/session"

// acquire returns a connection for the context's tenant.
func (p *Pool) acquire(ctx context.Context) (*pgxpool.Conn, *core, error) {
	if _, err := (&core{database: p.connector.config.Database}).settingsFor(ctx); err != nil {
		return nil, nil, err
	}
	conn, err := p.pool.Acquire(ctx)
	if err != nil {
		return nil, nil, Explain(err)
	}
	custom := conn.Conn().PgConn().CustomData()
	kept, ok := custom[coreKey].(*core)
	if !ok || kept.connector != p.connector { // of another Pool over the same connections
		if kept, err = newCore(ctx, conn.Conn(), p.connector); err != nil {
			conn.Release()
			return nil, nil, err
		}
		kept.native = true
		custom[coreKey] = kept
	}
	return conn, kept, nil
}

// retried calls f with a connection, and again with another where nothing was executed on the first. f keeps the
// connection if it succeeds.
func (p *Pool) retried(ctx context.Context, f func(*pgxpool.Conn, *core) error) (err error) {
	for range tries {
		conn, c, failed := p.acquire(ctx)
		if failed != nil {
			return failed
		}
		if err = f(conn, c); err == nil {
			return nil
		}
		conn.Release() // which closes one that is broken or in a transaction
		if !errors.Is(err, driver.ErrBadConn) {
			return err
		}
	}
	return err
}

// Query sends a statement and returns its rows, which must be closed or read to their end.
func (p *Pool) Query(ctx context.Context, sql string, args ...any) (rows pgx.Rows, err error) {
	err = p.retried(ctx, func(conn *pgxpool.Conn, c *core) error {
		rows, err = c.query(ctx, sql, args, conn.Release)
		return err
	})
	if err != nil {
		return failedRows{err}, err
	}
	return rows, nil
}

// QueryRow sends a statement. Its row's Scan returns the error.
func (p *Pool) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	rows, _ := p.Query(ctx, sql, args...) // Scan returns the error
	return row{rows}
}

// Exec executes a statement.
func (p *Pool) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	return exec(p.Query(ctx, sql, args...))
}

// exec reads a statement's rows to their end.
func exec(rows pgx.Rows, err error) (pgconn.CommandTag, error) {
	if err != nil {
		return pgconn.CommandTag{}, err
	}
	rows.Close()
	return rows.CommandTag(), rows.Err()
}

// Begin begins a transaction for the context's tenant, in one round trip. Statements within whose context names another
// tenant fail.
func (p *Pool) Begin(ctx context.Context) (pgx.Tx, error) { return p.BeginTx(ctx, pgx.TxOptions{}) }

// BeginTx is [Pool.Begin] with options. A BeginQuery or CommitQuery is an error.
func (p *Pool) BeginTx(ctx context.Context, options pgx.TxOptions) (begun pgx.Tx, err error) {
	if options.BeginQuery != "" || options.CommitQuery != "" {
		return nil, errors.New("session: a transaction with a BeginQuery or CommitQuery of its own cannot carry the tenant: leave them out")
	}
	begin := "begin"
	for _, word := range []string{isolation(options.IsoLevel), string(options.AccessMode), string(options.DeferrableMode)} {
		if word != "" {
			begin += " " + word
		}
	}
	err = p.retried(ctx, func(conn *pgxpool.Conn, c *core) error {
		begun = &pgxTx{on: &held{c, conn.Release}}
		return c.begin(ctx, begin)
	})
	if err != nil {
		return nil, err
	}
	return begun, nil
}

func isolation(level pgx.TxIsoLevel) string {
	if level == "" {
		return ""
	}
	return "isolation level " + string(level)
}

// SendBatch sends the batch in a transaction of its own, which Close of the results commits.
func (p *Pool) SendBatch(ctx context.Context, batch *pgx.Batch) pgx.BatchResults {
	begun, err := p.Begin(ctx)
	if err != nil {
		return failedBatch{err}
	}
	return &batchResults{begun.SendBatch(ctx, batch), func(err error) error { return end(ctx, begun, err) }}
}

// CopyFrom copies rows into a table of the tenant's schema, or of another one where table names it, in a transaction of its
// own. PostgreSQL refuses it for a table under row-level security ("COPY FROM not supported with row-level security"): send a
// batch of inserts there.
func (p *Pool) CopyFrom(ctx context.Context, table pgx.Identifier, columns []string, rows pgx.CopyFromSource) (n int64, err error) {
	begun, err := p.Begin(ctx)
	if err != nil {
		return 0, err
	}
	n, err = begun.CopyFrom(ctx, table, columns, rows)
	return n, end(ctx, begun, err)
}

// end commits, or after an error rolls back and returns it.
func end(ctx context.Context, begun pgx.Tx, err error) error {
	if err != nil {
		return errors.Join(err, begun.Rollback(ctx))
	}
	return begun.Commit(ctx)
}

// query executes a statement. release is called when the rows are closed.
func (c *core) query(ctx context.Context, sql string, args []any, release func()) (pgx.Rows, error) {
	for len(args) > 0 {
		switch first := args[0].(type) {
		case pgx.QueryRewriter:
			var err error
			if sql, args, err = first.RewriteQuery(ctx, c.pgx, sql, args[1:]); err != nil {
				return nil, fmt.Errorf("rewrite the query: %w", err)
			}
			continue
		case pgx.QueryExecMode, pgx.QueryResultFormats, pgx.QueryResultFormatsByOID:
			return nil, fmt.Errorf("session: %T cannot be chosen for a statement that carries the tenant: leave it out", first)
		}
		break
	}
	r, err := c.run(ctx, sql, args)
	if err != nil {
		return nil, err
	}
	return &pgxRows{pgx.RowsFromResultReader(c.pgx.TypeMap(), r.reader), r, release}, nil
}

// pgxRows are rows that end the statement's pipeline when they are closed, and give the connection back.
type pgxRows struct {
	pgx.Rows
	statement *rows
	release   func()
}

// Close implements pgx.Rows.
func (r *pgxRows) Close() {
	r.Rows.Close()
	_ = r.statement.Close() // Err returns it
	if r.release != nil {
		r.release()
		r.release = nil
	}
}

// Next implements pgx.Rows.
func (r *pgxRows) Next() bool {
	if r.Rows.Next() {
		return true
	}
	r.Close()
	return false
}

// Scan implements pgx.Rows.
func (r *pgxRows) Scan(dest ...any) error {
	err := r.Rows.Scan(dest...)
	if err != nil {
		r.Close()
	}
	return err
}

// Values implements pgx.Rows.
func (r *pgxRows) Values() ([]any, error) {
	values, err := r.Rows.Values()
	if err != nil {
		r.Close()
	}
	return values, err
}

// Err implements pgx.Rows.
func (r *pgxRows) Err() error {
	if r.statement.err != nil {
		return r.statement.err
	}
	return r.Rows.Err()
}

// CommandTag implements pgx.Rows.
func (r *pgxRows) CommandTag() pgconn.CommandTag { return r.statement.tag }

// row is the first of some rows.
type row struct{ rows pgx.Rows }

// Scan implements pgx.Row.
func (r row) Scan(dest ...any) error {
	defer r.rows.Close()
	if !r.rows.Next() {
		r.rows.Close()
		if err := r.rows.Err(); err != nil {
			return err
		}
		return pgx.ErrNoRows
	}
	if err := r.rows.Scan(dest...); err != nil {
		return err
	}
	r.rows.Close()
	return r.rows.Err()
}

// failedRows are those of a statement that failed.
type failedRows struct{ err error }

func (failedRows) Close()                                       {}
func (r failedRows) Err() error                                 { return r.err }
func (failedRows) CommandTag() pgconn.CommandTag                { return pgconn.CommandTag{} }
func (failedRows) FieldDescriptions() []pgconn.FieldDescription { return nil }
func (failedRows) Next() bool                                   { return false }
func (r failedRows) Scan(...any) error                          { return r.err }
func (r failedRows) Values() ([]any, error)                     { return nil, r.err }
func (failedRows) RawValues() [][]byte                          { return nil }
func (failedRows) Conn() *pgx.Conn                              { return nil }
func (failedRows) TypeMap() *pgtype.Map                         { return nil }

// batchResults call done when they are closed.
type batchResults struct {
	pgx.BatchResults
	done func(error) error
}

// Close implements pgx.BatchResults.
func (b *batchResults) Close() error {
	err := b.BatchResults.Close()
	if b.done != nil {
		err = b.done(err)
		b.done = nil
	}
	return err
}

// failedBatch are the results of a batch that could not be sent.
type failedBatch struct{ err error }

func (b failedBatch) Exec() (pgconn.CommandTag, error) { return pgconn.CommandTag{}, b.err }
func (b failedBatch) Query() (pgx.Rows, error)         { return failedRows(b), b.err }
func (b failedBatch) QueryRow() pgx.Row                { return row{failedRows(b)} }
func (b failedBatch) Close() error                     { return b.err }
func (failedBatch) Tx() pgx.Tx                         { return nil }
