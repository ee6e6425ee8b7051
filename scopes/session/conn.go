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
	"tenanted/scopes/internal/stmt"
)

// conn is a connection of database/sql that sets the tenant for each transaction. It keeps what pgx's own driver connection
// offers beside statements and transactions: Ping, ResetSession, CheckNamedValue.
type conn struct {
	*stdlib.Conn
	*core
}

// core executes statements on one connection, each with its settings.
type core struct {
	connector  *Connector
	pgx        *pgx.Conn
	pg         *pgconn.PgConn
	native     bool // results are decoded by pgx, and not for database/sql
	database   string
	allTenants bool

	lost     bool
	timedOut bool

	tx *transaction // the open one; nil outside one

	tracer pgx.QueryTracer // nil: none

	set, setWithSchema               string // the statements that apply the settings
	setReading, setReadingWithSchema string // the same for statements that only read
	path                             string // what follows the tenant's schema in the search_path
	explicit                         bool   // the tenant is set by SET LOCAL too: see [ExplicitTx]

	statements *lru.LRU[statementKey, *pgconn.StatementDescription] // nil: statements are not prepared
	evicted    []string                                             // prepared on the server, no longer in statements

	build pgx.ExtendedQueryBuilder
}

var (
	_ driver.Conn               = (*conn)(nil)
	_ driver.ConnBeginTx        = (*conn)(nil)
	_ driver.ConnPrepareContext = (*conn)(nil)
	_ driver.ExecerContext      = (*conn)(nil)
	_ driver.QueryerContext     = (*conn)(nil)
	_ driver.Pinger             = (*conn)(nil)
	_ driver.SessionResetter    = (*conn)(nil)
	_ driver.Validator          = (*conn)(nil)
	_ driver.NamedValueChecker  = (*conn)(nil)
)

// IsValid implements driver.Validator: a connection that is closed, or was left in a transaction, is not used
// again.
func (c *conn) IsValid() bool {
	return !c.pg.IsClosed() && c.pg.TxStatus() == 'I' && c.tx == nil
}

// Lost reports whether the server ended the connection, or cannot be reached: other connections to it may be
// lost too. A connection that a caller's cancelled context closed is not lost.
func (c *conn) Lost() bool { return c.lost }

// TimedOut reports whether the server ended a statement for taking too long since TimedOut was last called.
func (c *conn) TimedOut() bool {
	timedOut := c.timedOut
	c.timedOut = false
	return timedOut
}

// explain is [Explain], and remembers what it says of the connection.
func (c *core) explain(err error) error {
	err = Explain(err)
	if errors.Is(err, scopes.ErrTimeout) {
		c.timedOut = c.timedOut || !c.pg.IsClosed()
	} else {
		c.lost = c.lost || errors.Is(err, scopes.ErrUnavailable)
	}
	return err
}

// Begin implements driver.Conn. It always fails: without a context there is no tenant.
func (c *conn) Begin() (driver.Tx, error) {
	return c.BeginTx(context.Background(), driver.TxOptions{})
}

// BeginTx begins a transaction for the context's tenant, in one round trip.
func (c *conn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	begin, err := beginSQL(opts)
	if err != nil {
		return nil, err
	}
	if err := c.begin(ctx, begin); err != nil {
		return nil, err
	}
	return &tx{conn: c, ctx: ctx}, nil
}

// Prepare implements driver.Conn. It always fails: without a context there is no tenant.
func (c *conn) Prepare(query string) (driver.Stmt, error) {
	return c.PrepareContext(context.Background(), query)
}

// PrepareContext returns the statement without sending it: it is prepared on whichever connection executes it
// first, under that execution's tenant, and cached there.
func (c *conn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	if _, err := c.settingsFor(ctx); err != nil {
		return nil, err
	}
	return stmt.New(c, query), nil
}

// ExecContext implements driver.ExecerContext.
func (c *conn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	r, err := c.run(ctx, query, values(args))
	if err != nil {
		return nil, err
	}
	if err := r.Close(); err != nil {
		return nil, err
	}
	return driver.RowsAffected(r.tag.RowsAffected()), nil
}

// QueryContext implements driver.QueryerContext.
func (c *conn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	r, err := c.run(ctx, query, values(args))
	if err != nil {
		return nil, err
	}
	return r, nil
}

func values(named []driver.NamedValue) []any {
	args := make([]any, len(named))
	for i, v := range named {
		args[i] = v.Value
	}
	return args
}

// closeUnlessIdle closes the connection when it is in a state that its next user must not inherit.
func (c *core) closeUnlessIdle() {
	if c.pg.IsClosed() || c.pg.TxStatus() == 'I' {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), cleanupTime)
	defer cancel()
	_ = c.pg.Close(ctx)
}

// retryable turns the error of a statement of which the server executed nothing into driver.ErrBadConn when
// the connection is gone, for database/sql to try again on another one.
func (c *core) retryable(err error) error {
	var pgErr *pgconn.PgError
	terminated := errors.As(err, &pgErr) && pgErr.Severity == "FATAL"
	if c.tx == nil && (terminated || pgconn.SafeToRetry(err)) {
		return fmt.Errorf("%w: %w", err, driver.ErrBadConn)
	}
	return err
}

// retryableRead is [core.retryable] for what only reads: it may be tried again whatever the server executed of it. A context that has
// ended is no reason to.
func (c *core) retryableRead(settings txSettings, err error) error {
	if settings.reading && c.tx == nil && c.lost && !ended(err) && !errors.Is(err, driver.ErrBadConn) {
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
