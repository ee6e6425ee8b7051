package registry

import (
	"context"
	"database/sql/driver"
	"fmt"

	"github.com/jackc/pgx/v5/stdlib"

	"tenanted/scopes"
	"tenanted/scopes/internal/stmt"
)

// connector makes the routed connections that database/sql takes for connections.
type connector struct{ r *Registry }

// Connect implements driver.Connector. It returns an unbound one and cannot fail: database/sql calls it for
// one caller and may give the result to another, so what the context says here means nothing.
func (c connector) Connect(context.Context) (driver.Conn, error) { return &routedConn{r: c.r}, nil }

// Driver implements driver.Connector.
func (connector) Driver() driver.Driver { return stdlib.GetDefaultDriver() }

// routedConn stands for a connection in database/sql's pool. It is bound to a connection for the tenant of the first
// statement or transaction that a user of the pool runs on it, and releases it when the user returns it.
type routedConn struct {
	r      *Registry
	conn   *conn // nil when not bound
	holder holder
	writes bool        // the tenant may write on it, and read from replicas elsewhere
	done   func(error) // tells the tenant's breaker
}

var (
	_ driver.Conn               = (*routedConn)(nil)
	_ driver.ConnBeginTx        = (*routedConn)(nil)
	_ driver.ConnPrepareContext = (*routedConn)(nil)
	_ driver.ExecerContext      = (*routedConn)(nil)
	_ driver.QueryerContext     = (*routedConn)(nil)
	_ driver.Pinger             = (*routedConn)(nil)
	_ driver.Validator          = (*routedConn)(nil)
	_ driver.NamedValueChecker  = (*routedConn)(nil)
)

// bind binds it to a connection for the context's tenant. One that its user keeps, as in
// gorm.DB.Connection, stays with the database it was bound to.
func (c *routedConn) bind(ctx context.Context) (*conn, error) {
	h, err := c.r.route(ctx)
	if err != nil {
		return nil, err
	}
	if c.conn == nil {
		if c.conn, c.done, c.holder, err = c.r.acquireFor(ctx, h); err != nil {
			return nil, err
		}
	} else if !c.conn.target.reaches(h.target) {
		return nil, fmt.Errorf("statement for database %q on a connection kept for database %q", h.target.InSchema(""), c.conn.target.InSchema(""))
	}
	if replicas := c.holder.on.replicas; replicas != nil && !c.writes && !scopes.IsReading(ctx) {
		c.writes = true
		replicas.writes(c.holder.tenant, 1)
	}
	return c.conn, nil
}

// unbind releases the connection.
func (c *routedConn) unbind() {
	if c.conn == nil {
		return
	}
	var timeout error
	if c.conn.TimedOut() {
		timeout = scopes.ErrTimeout
	}
	c.done(timeout)
	if c.writes {
		c.writes = false
		c.holder.on.replicas.writes(c.holder.tenant, -1)
	}
	c.holder.on.pool.put(c.conn)
	c.holder.on.shares.release(c.holder)
	c.conn = nil
}

// IsValid implements driver.Validator, which database/sql calls when, and only when, a user returns the handle.
func (c *routedConn) IsValid() bool {
	c.unbind()
	return true
}

// Close implements driver.Conn.
func (c *routedConn) Close() error {
	c.unbind()
	return nil
}

func (c *routedConn) Begin() (driver.Tx, error) {
	return c.BeginTx(context.Background(), driver.TxOptions{})
}

func (c *routedConn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	conn, err := c.bind(ctx)
	if err != nil {
		return nil, err
	}
	return conn.BeginTx(ctx, opts)
}

func (c *routedConn) Prepare(query string) (driver.Stmt, error) {
	return c.PrepareContext(context.Background(), query)
}

// PrepareContext returns a statement that runs on whatever it is bound to when it is executed.
func (c *routedConn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	if _, err := c.r.route(ctx); err != nil {
		return nil, err
	}
	return stmt.New(c, query), nil
}

func (c *routedConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	conn, err := c.bind(ctx)
	if err != nil {
		return nil, err
	}
	return conn.ExecContext(ctx, query, args)
}

func (c *routedConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	conn, err := c.bind(ctx)
	if err != nil {
		return nil, err
	}
	return conn.QueryContext(ctx, query, args)
}

func (c *routedConn) Ping(ctx context.Context) error {
	conn, err := c.bind(ctx)
	if err != nil {
		return err
	}
	return conn.Ping(ctx)
}

// CheckNamedValue implements driver.NamedValueChecker: pgx encodes what it gets.
func (*routedConn) CheckNamedValue(*driver.NamedValue) error { return nil }
