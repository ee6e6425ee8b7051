package session

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"

	lru "github.com/hashicorp/golang-lru/v2/simplelru"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"tenanted/scopes"
)

// Conn is a connection that carries the tenant. It keeps what pgx's own driver connection offers beside
// statements and transactions: Ping, ResetSession, CheckNamedValue.
type Conn struct {
	*stdlib.Conn
	pg         *pgconn.PgConn
	database   string
	allTenants bool

	lost bool

	tx *carry // what the open transaction carries; nil outside one

	prepares   bool
	statements *lru.LRU[string, *pgconn.StatementDescription]
	prepared   int      // statements prepared so far, for their names
	evicted    []string // prepared on the server, no longer in statements

	build pgx.ExtendedQueryBuilder
}

var (
	_ driver.Conn               = (*Conn)(nil)
	_ driver.ConnBeginTx        = (*Conn)(nil)
	_ driver.ConnPrepareContext = (*Conn)(nil)
	_ driver.ExecerContext      = (*Conn)(nil)
	_ driver.QueryerContext     = (*Conn)(nil)
	_ driver.Pinger             = (*Conn)(nil)
	_ driver.SessionResetter    = (*Conn)(nil)
	_ driver.Validator          = (*Conn)(nil)
	_ driver.NamedValueChecker  = (*Conn)(nil)
)

// IsValid implements driver.Validator: a connection that is closed, or was left in a transaction, is not used
// again.
func (c *Conn) IsValid() bool {
	return !c.pg.IsClosed() && c.pg.TxStatus() == 'I' && c.tx == nil
}

// Lost reports whether the server ended the connection, or cannot be reached: other connections to it may be
// lost too. A connection that a caller's cancelled context closed is not lost.
func (c *Conn) Lost() bool { return c.lost }

// explain is [Explain], and remembers a connection that is lost.
func (c *Conn) explain(err error) error {
	err = Explain(err)
	c.lost = c.lost || errors.Is(err, scopes.ErrUnavailable)
	return err
}

// Begin implements driver.Conn. It always fails: without a context there is no tenant.
func (c *Conn) Begin() (driver.Tx, error) {
	return c.BeginTx(context.Background(), driver.TxOptions{})
}

// BeginTx begins a transaction that carries the context's tenant, in one round trip.
func (c *Conn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	if c.pg.IsClosed() {
		return nil, errClosed
	}
	y, err := c.carryFor(ctx)
	if err != nil {
		return nil, err
	}
	begin, err := beginSQL(opts)
	if err != nil {
		return nil, err
	}
	inner, err := c.Conn.Conn().BeginTx(ctx, pgx.TxOptions{BeginQuery: y.begin(begin)})
	if err != nil {
		c.closeUnlessIdle()
		return nil, c.retryable(c.explain(err))
	}
	c.tx = &y
	return &tx{conn: c, inner: inner, ctx: ctx}, nil
}

// Prepare implements driver.Conn. It always fails: without a context there is no tenant.
func (c *Conn) Prepare(query string) (driver.Stmt, error) {
	return c.PrepareContext(context.Background(), query)
}

// PrepareContext returns the statement without sending it: it is prepared on whichever connection executes it
// first, under that execution's tenant, and cached there.
func (c *Conn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	if _, err := c.carryFor(ctx); err != nil {
		return nil, err
	}
	return NewStmt(c, query), nil
}

// ExecContext implements driver.ExecerContext.
func (c *Conn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	r, err := c.run(ctx, query, args)
	if err != nil {
		return nil, err
	}
	if err := r.Close(); err != nil {
		return nil, err
	}
	return driver.RowsAffected(r.tag.RowsAffected()), nil
}

// QueryContext implements driver.QueryerContext.
func (c *Conn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	r, err := c.run(ctx, query, args)
	if err != nil {
		return nil, err
	}
	return r, nil
}

// closeUnlessIdle closes the connection when it is in a state that its next user must not inherit.
func (c *Conn) closeUnlessIdle() {
	if c.pg.IsClosed() || c.pg.TxStatus() == 'I' {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), cleanupTime)
	defer cancel()
	_ = c.pg.Close(ctx)
}

// retryable turns the error of a statement of which the server executed nothing into driver.ErrBadConn when
// the connection is gone, for database/sql to try again on another one.
func (c *Conn) retryable(err error) error {
	var pgErr *pgconn.PgError
	terminated := errors.As(err, &pgErr) && pgErr.Severity == "FATAL"
	if c.tx == nil && (terminated || pgconn.SafeToRetry(err)) {
		return fmt.Errorf("%w: %w", err, driver.ErrBadConn)
	}
	return err
}

// errClosed makes database/sql try another connection. When it gives up, callers learn that the database is away.
var errClosed = fmt.Errorf("%w: the connection is closed: %w", scopes.ErrUnavailable, driver.ErrBadConn)

func beginSQL(opts driver.TxOptions) (string, error) {
	begin := "begin"
	switch level := sql.IsolationLevel(opts.Isolation); level {
	case sql.LevelDefault:
	case sql.LevelReadUncommitted, sql.LevelReadCommitted:
		begin += " isolation level read committed"
	case sql.LevelRepeatableRead, sql.LevelSnapshot:
		begin += " isolation level repeatable read"
	case sql.LevelSerializable:
		begin += " isolation level serializable"
	default:
		return "", fmt.Errorf("PostgreSQL has no isolation level %v", level)
	}
	if opts.ReadOnly {
		begin += " read only"
	}
	return begin, nil
}

// cleanupTime bounds what must still happen after a context has ended: a rollback, the closing of a connection.
const cleanupTime = 5 * time.Second

// tx ends the transaction, and with it what the transaction carried.
type tx struct {
	conn  *Conn
	inner pgx.Tx
	ctx   context.Context
}

// Commit implements driver.Tx.
func (t *tx) Commit() error {
	t.conn.tx = nil
	return t.conn.explain(t.inner.Commit(t.ctx))
}

// Rollback implements driver.Tx. It works after the transaction's context has ended too. Where the connection is closed,
// the transaction has ended with it: an error would only hide the one that the caller is rolling back for.
func (t *tx) Rollback() error {
	t.conn.tx = nil
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.ctx), cleanupTime)
	defer cancel()
	err := t.inner.Rollback(ctx)
	if t.conn.pg.IsClosed() {
		return nil
	}
	return t.conn.explain(err)
}
