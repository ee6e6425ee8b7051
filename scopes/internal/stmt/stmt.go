// Package stmt is a prepared statement of database/sql that is prepared by whichever connection executes it.
package stmt

import (
	"context"
	"database/sql/driver"
	"errors"
)

// Executor executes statements for the tenant in the context.
type Executor interface {
	driver.ExecerContext
	driver.QueryerContext
}

// New returns a prepared statement: its text, since each connection prepares and caches what it executes.
func New(on Executor, query string) driver.Stmt { return &stmt{on, query} }

type stmt struct {
	on    Executor
	query string
}

var (
	_ driver.StmtExecContext  = (*stmt)(nil)
	_ driver.StmtQueryContext = (*stmt)(nil)
)

func (*stmt) Close() error  { return nil }
func (*stmt) NumInput() int { return -1 }

var errNoContext = errors.New("a statement needs a context that carries the tenant: use the methods that take one")

func (*stmt) Exec([]driver.Value) (driver.Result, error) { return nil, errNoContext }
func (*stmt) Query([]driver.Value) (driver.Rows, error)  { return nil, errNoContext }

func (s *stmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	return s.on.ExecContext(ctx, s.query, args)
}

func (s *stmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	return s.on.QueryContext(ctx, s.query, args)
}
