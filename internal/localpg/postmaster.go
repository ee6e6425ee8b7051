//go:build unix

package localpg

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// postmaster is what a server says of itself in its postmaster.pid.
type postmaster struct {
	pid       int
	socketDir string
	status    string // starting, ready, stopping
}

type state int

const (
	down  state = iota
	busy        // starting, recovering or stopping
	ready       // taking connections
)

// readPostmaster reads the pid file of a data directory; its pid is 0 when
// there is none, or one that is only half written.
func readPostmaster(data string) postmaster {
	content, err := os.ReadFile(pidFile(data))
	if err != nil {
		return postmaster{}
	}
	lines := append(strings.Split(string(content), "\n"), make([]string, 8)...)
	pid, _ := strconv.Atoi(strings.TrimSpace(lines[0]))
	return postmaster{pid: pid, socketDir: lines[4], status: strings.TrimSpace(lines[7])}
}

func pidFile(data string) string { return filepath.Join(data, "postmaster.pid") }

// state says what the server does now. A pid file may be left over from a
// killed server, and its number may be another process's by now: the process
// must be a PostgreSQL, and one that is ready must take a connection.
func (p postmaster) state() state {
	switch {
	case p.pid <= 0 || !isPostgres(p.pid):
		return down
	case p.status != "ready":
		return busy
	case !accepts(p.socketDir):
		return down
	default:
		return ready
	}
}

func accepts(dir string) bool {
	conn, err := net.DialTimeout("unix", socketPath(dir), 5*time.Second)
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}

// stop ends the server, which breaks its clients' connections, and waits until
// it is gone. One that does not end in time is made to end at once: it then
// recovers at the next start, as after a crash.
func (p postmaster) stop(ctx context.Context, data string) error {
	if p.pid <= 0 || !isPostgres(p.pid) {
		return nil
	}
	gentle, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if p.end(gentle, syscall.SIGINT) == nil {
		return nil
	}
	if err := p.end(ctx, syscall.SIGQUIT); err != nil {
		return fmt.Errorf("PostgreSQL (process %d, data in %s) does not stop: %w", p.pid, data, err)
	}
	return nil
}

func (p postmaster) end(ctx context.Context, signal syscall.Signal) error {
	if err := syscall.Kill(p.pid, signal); err != nil && err != syscall.ESRCH {
		return err
	}
	return poll(ctx, func() (bool, error) { return !isPostgres(p.pid), nil })
}
