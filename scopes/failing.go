package scopes

import (
	"context"
	"database/sql/driver"
)

// failingConnector is a driver.Connector that only fails.
type failingConnector struct{ err error }

func (c failingConnector) Connect(context.Context) (driver.Conn, error) { return nil, c.err }
func (c failingConnector) Driver() driver.Driver                        { return c }
func (c failingConnector) Open(string) (driver.Conn, error)             { return nil, c.err }
