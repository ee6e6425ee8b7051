package tenancy

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"tenanted/app/config"
	"tenanted/scopes"
	"tenanted/scopes/session"
)

// NotReadyError says that something that `migrate` creates is missing or outdated.
type NotReadyError struct {
	Database string // with its server, as scopes.Placement formats it
	Problem  string // what is wrong: "has no tables"
	Remedy   string // the command to run, from config.Config.Command
}

func (e *NotReadyError) Error() string {
	return fmt.Sprintf("database %q %s: run %s", e.Database, e.Problem, e.Remedy)
}

func unready(cfg config.Config, p scopes.Placement, problem string) *NotReadyError {
	return &NotReadyError{p.InSchema("").String(), problem, cfg.Command("migrate")}
}

// NewerError says that a database was migrated by a newer version of this program.
type NewerError struct {
	Placement   scopes.Placement
	Has, Newest int64
}

func (e *NewerError) Error() string {
	return fmt.Sprintf("schema %q of database %q is at version %d and this program knows %d: use a newer version of the program",
		e.Placement.Schema, e.Placement.InSchema(""), e.Has, e.Newest)
}

// ConfigurationError says that a database was set up for another configuration than the current one.
type ConfigurationError struct {
	Database string
	Was, Is  config.Strategy
}

func (e *ConfigurationError) Error() string {
	return fmt.Sprintf("database %q was set up for %s, and DJANGO_CONFIGURATION is %s: set it to %s, or PGDATABASE to another database",
		e.Database, e.Was, e.Is, e.Was)
}

// SQLError is something that needs more rights than the owner has, with the SQL for it.
type SQLError struct {
	Problem string
	In      string // the database in which to run it; empty: any
	SQL     string // to be run by a superuser
}

func (e *SQLError) Error() string {
	where := ""
	if e.In != "" {
		where = fmt.Sprintf(" in database %q", e.In)
	}
	return fmt.Sprintf("%s: as a superuser%s, run: %s", e.Problem, where, e.SQL)
}

// The error codes of PostgreSQL that this package distinguishes.
const (
	codeNoDatabase      = "3D000"
	codeNoRole          = "28000" // also: refused by pg_hba.conf
	codeWrongPassword   = "28P01" // also: no such role
	codeNoPermission    = "42501"
	codeDuplicateRole   = "42710"
	codeDuplicateDB     = "42P04"
	codeUniqueViolation = "23505" // in the catalogs, when two sessions create the same thing at once
	codeLockTimeout     = "55P03"
	codeInUse           = "55006"
	codeNoSchema        = "3F000"
	codeNoTable         = "42P01"
	codeNoFunction      = "42883"
)

// code returns PostgreSQL's code in err, or "".
func code(err error) string {
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok {
		return pgErr.Code
	}
	return ""
}

// Connect opens a role's connection to a placement's database. If that does not exist, the error is a *NotReadyError; other
// errors have one line.
func Connect(ctx context.Context, cfg config.Config, role config.Role, p scopes.Placement) (*pgx.Conn, error) {
	conn, err := connectTo(ctx, cfg, role, p)
	if code(err) == codeNoDatabase {
		return nil, unready(cfg, p, "does not exist")
	}
	return conn, err
}

// connectTo is [Connect] with PostgreSQL's error for a database that does not exist.
func connectTo(ctx context.Context, cfg config.Config, role config.Role, p scopes.Placement) (*pgx.Conn, error) {
	to, err := cfg.Conn(role, p)
	if err != nil {
		return nil, err
	}
	return connect(ctx, to)
}

// connect opens a connection for administration. It prepares no statements, which a pooler would mix up. Its error has one line.
func connect(ctx context.Context, to *pgx.ConnConfig) (*pgx.Conn, error) {
	to = to.Copy()
	to.DefaultQueryExecMode = pgx.QueryExecModeExec
	conn, err := pgx.ConnectConfig(ctx, to)
	if err == nil {
		return conn, nil
	}
	return nil, session.Explain(err)
}
