//go:build unix

package localpg

import (
	"fmt"
	"path/filepath"
)

// Find returns where the server of o.Dir listens, as Host and Port of a Server, if one is running. It starts and makes
// nothing, does not wait, and does not count as a use: the server may stop at any time.
func Find(o Options) (string, int, error) {
	dir, err := chosenDir(o)
	if err != nil {
		return "", 0, err
	}
	server := readPostmaster(filepath.Join(dir, dataName))
	if !server.alive() || server.status != "ready" {
		return "", 0, fmt.Errorf("no PostgreSQL runs in %s", dir)
	}
	return server.socketDir, port, nil
}
