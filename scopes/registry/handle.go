package registry

import (
	"context"
	"database/sql/driver"
	"fmt"

	"github.com/jackc/pgx/v5/stdlib"

	"tenanted/scopes/session"
)

// connector makes the handles that database/sql takes for connections.
type connector struct{ r *Registry }

// Connect implements driver.Connector. It returns an empty handle and cannot fail: database/sql calls it for
// one caller and may give the result to another, so what the context says here means nothing.
func (c connector) Connect(context.Context) (driver.Conn, error) { return &handle{r: c.r}, nil }

// Driver implements driver.Connector.
func (connector) Driver() driver.Driver { return stdlib.GetDefaultDriver() }

// handle stands for a connection in database/sql's pool. It is bound to a connection for the tenant of the first
// statement or transaction that a user of the pool runs on it, and gives it back when the user returns the
// handle.
type handle struct {
	r    *Registry
	conn *conn // nil when not bound
}

var (
	_ driver.Conn               = (*handle)(nil)
	_ driver.ConnBeginTx        = (*handle)(nil)
	_ driver.ConnPrepareContext = (*handle)(nil)
	_ driver.ExecerContext      = (*handle)(nil)
	_ driver.QueryerContext     = (*handle)(nil)
	_ driver.Pinger             = (*handle)(nil)
	_ driver.Validator          = (*handle)(nil)
	_ driver.NamedValueChecker  = (*handle)(nil)
)

// bind binds the handle to a connection for the context's tenant. A handle that its user keeps, as in
// gorm.DB.Connection, stays with the database it was bound to.
func (h *handle) bind(ctx context.Context) (*conn, error) {
	t, err := h.r.route(ctx)
	if err != nil {
		return nil, err
	}
	if h.conn != nil {
		if !h.conn.target.reaches(t) {
			return nil, fmt.Errorf("statement for database %q on a connection kept for database %q", t.database, h.conn.target.database)
		}
		return h.conn, nil
	}
	h.conn, err = h.r.pool.get(ctx, t)
	return h.conn, err
}

// unbind gives the connection back.
func (h *handle) unbind() {
	if h.conn != nil {
		h.r.pool.put(h.conn)
		h.conn = nil
	}
}

// IsValid implements driver.Validator, which database/sql calls when, and only when, a user returns the handle.
func (h *handle) IsValid() bool {
	h.unbind()
	return true
}

// Close implements driver.Conn.
func (h *handle) Close() error {
	h.unbind()
	return nil
}

func (h *handle) Begin() (driver.Tx, error) {
	return h.BeginTx(context.Background(), driver.TxOptions{})
}

func (h *handle) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	c, err := h.bind(ctx)
	if err != nil {
		return nil, err
	}
	return c.BeginTx(ctx, opts)
}

func (h *handle) Prepare(query string) (driver.Stmt, error) {
	return h.PrepareContext(context.Background(), query)
}

// PrepareContext returns a statement that runs on whatever the handle is bound to when it is executed.
func (h *handle) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	if _, err := h.r.route(ctx); err != nil {
		return nil, err
	}
	return session.NewStmt(h, query), nil
}

func (h *handle) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	c, err := h.bind(ctx)
	if err != nil {
		return nil, err
	}
	return c.ExecContext(ctx, query, args)
}

func (h *handle) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	c, err := h.bind(ctx)
	if err != nil {
		return nil, err
	}
	return c.QueryContext(ctx, query, args)
}

func (h *handle) Ping(ctx context.Context) error {
	c, err := h.bind(ctx)
	if err != nil {
		return err
	}
	return c.Ping(ctx)
}

// CheckNamedValue implements driver.NamedValueChecker: pgx encodes what it gets.
func (*handle) CheckNamedValue(*driver.NamedValue) error { return nil }
