package session

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"tenanted/scopes"
)

// Explain puts scopes.ErrUnavailable into the chain of an error that says the server cannot be reached, is
// starting or stopping, or has no connection to spare, and scopes.ErrTimeout into that of one that says the server
// ended a statement by statement_timeout or lock_timeout. The errors of this package are explained already; it is for
// connections that a program has beside them.
func Explain(err error) error {
	switch {
	case err == nil || errors.Is(err, scopes.ErrUnavailable):
		return err
	case timedOut(err):
		return fmt.Errorf("%w: %w", scopes.ErrTimeout, err)
	}
	if failed, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return &ConnectError{failed}
	}
	if unavailable(err) {
		return fmt.Errorf("%w: %w", scopes.ErrUnavailable, err)
	}
	return err
}

// ConnectError says in one line, without the password, why there is no connection. scopes.ErrUnavailable is in its chain,
// whatever the reason, even a database that is not there or lets nobody in.
type ConnectError struct{ err *pgconn.ConnectError }

// Error returns one line, with what to do where that is known.
func (e *ConnectError) Error() string {
	to := e.err.Config
	return fmt.Sprintf("cannot connect to database %q on %s as role %q: %s", to.Database, address(to), to.User, e.Reason())
}

// Unwrap returns scopes.ErrUnavailable, and pgx's error.
func (e *ConnectError) Unwrap() []error { return []error{scopes.ErrUnavailable, e.err} }

// Database returns the name of the database that was asked for.
func (e *ConnectError) Database() string { return e.err.Config.Database }

// Role returns the name of the role that was to log in.
func (e *ConnectError) Role() string { return e.err.Config.User }

// Reason is the server's own message or, where none answered, what became of each address that was tried.
func (e *ConnectError) Reason() string {
	if pgErr, ok := errors.AsType[*pgconn.PgError](e.err); ok {
		return pgErr.Message
	}
	text := e.err.Error()
	if _, tried, ok := strings.Cut(text, "`:"); ok {
		text = tried
	}
	return strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\t' }), "; ")
}

func address(to *pgconn.Config) string {
	if strings.HasPrefix(to.Host, "/") {
		return to.Host
	}
	return net.JoinHostPort(to.Host, fmt.Sprint(to.Port))
}

// timedOut reports whether the server ended the statement. A statement that its own context ended has the context's
// error.
func timedOut(err error) bool {
	var pgErr *pgconn.PgError
	return errors.As(err, &pgErr) && (pgErr.Code == "57014" || pgErr.Code == "55P03") && !ended(err)
}

func ended(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// outdated reports whether an error can come from a statement that was prepared, or described, before its tables were
// changed, or on another connection of a pooler: its result or its parameters have other types now. What the server says of a lacking privilege is no such error.
func outdated(err error) bool {
	var argument *argumentError
	if errors.As(err, &argument) {
		return true
	}
	var pgErr *pgconn.PgError
	if !errors.As(err, &pgErr) || pgErr.Severity == "FATAL" {
		return false
	}
	switch pgErr.Code {
	case "0A000", "08P01", "22P03":
		return true // other result, other number of values, other binary format
	case "42501":
		return false
	}
	return strings.HasPrefix(pgErr.Code, "42")
}

// unknownStatement reports whether the server does not know a prepared statement, be it the one that applies the settings.
func unknownStatement(err error) bool {
	var pgErr *pgconn.PgError
	return errors.As(err, &pgErr) && pgErr.Code == "26000"
}

// argumentError says that an argument does not fit the type that its parameter was described with.
type argumentError struct {
	query string
	err   error
}

// Error returns one line, with what to do where that is known.
func (e *argumentError) Error() string { return fmt.Sprintf("arguments of %q: %v", e.query, e.err) }
func (e *argumentError) Unwrap() error { return e.err }

func unavailable(err error) bool {
	if ended(err) {
		return false
	}
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) {
		switch pgErr.Code {
		case "57P01", "57P02", "57P03", "57P05", "53300":
			return true // shut down, crashed, starting, idle too long, too many connections
		}
		// 08P01 is fatal when a pooler says that it reaches no server, otherwise it is about one message.
		return strings.HasPrefix(pgErr.Code, "08") && (pgErr.Code != "08P01" || pgErr.Severity == "FATAL")
	}
	var netErr net.Error
	return errors.As(err, &netErr) || errors.Is(err, io.ErrUnexpectedEOF)
}
