//go:build !unix

package localpg

import (
	"context"
	"fmt"
	"runtime"
)

// Start always fails here: the locks between processes, and the socket that
// only its owner can reach, are Unix ones.
func Start(context.Context, Options) (*Server, error) {
	return nil, fmt.Errorf("a private PostgreSQL server cannot be started on %s: set PGHOST (or PGSERVICE) to a server that runs already", runtime.GOOS)
}

// Keep does nothing: there is no server to keep.
func (*Server) Keep(context.Context, func(error)) {}

// Find always fails here.
func Find(Options) (string, int, error) {
	return "", 0, fmt.Errorf("no private PostgreSQL runs on %s", runtime.GOOS)
}
