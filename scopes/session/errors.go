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
// starting or stopping, or has no connection to spare. The errors of this package are explained already; it is for
// connections that a program has beside them.
func Explain(err error) error {
	if err == nil || errors.Is(err, scopes.ErrUnavailable) || !unavailable(err) {
		return err
	}
	return fmt.Errorf("%w: %w", scopes.ErrUnavailable, err)
}

func unavailable(err error) bool {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	var connectErr *pgconn.ConnectError
	if errors.As(err, &connectErr) {
		return true // whatever the reason, even a database that is not there or lets nobody in
	}
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) {
		switch pgErr.Code {
		case "57P01", "57P02", "57P03", "57P05", "53300":
			return true // shut down, crashed, starting, idle too long, too many connections
		}
		return strings.HasPrefix(pgErr.Code, "08")
	}
	var netErr net.Error
	return errors.As(err, &netErr) || errors.Is(err, io.ErrUnexpectedEOF)
}
