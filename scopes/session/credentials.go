package session

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"tenanted/scopes"
)

// BeforeConnect has f called before each connection is opened, and returns c. f may change its copy of the settings, for a
// password that is not always the same: a file's, a vault's, a token. If the server refuses the login, f is called once more
// with a context of which [LoginRefused] is true, and the connection tried again. An error of f is Connect's, with
// scopes.ErrUnavailable in its chain. A nil f is none.
func (c *Connector) BeforeConnect(f func(context.Context, *pgx.ConnConfig) error) *Connector {
	c.beforeConnect = nil
	if f != nil {
		c.beforeConnect = func(ctx context.Context, config *pgx.ConnConfig) error { return noCredentials(f(ctx, config)) }
	}
	return c
}

// noCredentials returns the error of a connection for which there are none.
func noCredentials(err error) error {
	if err == nil || errors.Is(err, scopes.ErrUnavailable) {
		return err
	}
	return fmt.Errorf("%w: no credentials: %w", scopes.ErrUnavailable, err)
}

type refusedKey struct{}

// LoginRefused reports to a function that sets a password whether the server has just refused the one before, so that one in
// memory must not be used again.
func LoginRefused(ctx context.Context) bool { return ctx.Value(refusedKey{}) != nil }

// dial opens a connection, with the credentials of the moment.
func (c *Connector) dial(ctx context.Context) (driver.Conn, error) {
	if c.beforeConnect == nil {
		return stdlib.GetConnector(*c.config).Connect(ctx)
	}
	connector := stdlib.GetConnector(*c.config, stdlib.OptionBeforeConnect(c.beforeConnect))
	conn, err := connector.Connect(ctx)
	if loginRefused(err) {
		return connector.Connect(context.WithValue(ctx, refusedKey{}, true))
	}
	return conn, err
}

// ConnectPgx opens a connection of pgx itself, for questions about the server: it carries no tenant.
func (c *Connector) ConnectPgx(ctx context.Context) (*pgx.Conn, error) {
	conn, err := c.dial(ctx)
	if err != nil {
		return nil, Explain(err)
	}
	return conn.(*stdlib.Conn).Conn(), nil
}

// loginRefused reports whether the server did not believe the role or its password, as after a change of it.
func loginRefused(err error) bool {
	pgErr, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (pgErr.Code == "28P01" || pgErr.Code == "28000")
}
