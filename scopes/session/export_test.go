package session

import "github.com/jackc/pgx/v5/pgconn"

// EscapeLiteral is for tests.
var EscapeLiteral = escapeLiteral

// PgConn returns what is below a connection of database/sql's.
func PgConn(driverConn any) *pgconn.PgConn { return driverConn.(*conn).pg }
