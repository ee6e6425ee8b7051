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
	data      string // the data directory that holds it
	pid       int
	socketDir string
	status    string // starting, ready, stopping
}

// answerTimeout is how long a server may take to answer a connection.
const answerTimeout = 10 * time.Second

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
		return postmaster{data: data}
	}
	lines := append(strings.Split(string(content), "\n"), make([]string, 8)...)
	pid, _ := strconv.Atoi(strings.TrimSpace(lines[0]))
	return postmaster{data: data, pid: pid, socketDir: lines[4], status: strings.TrimSpace(lines[7])}
}

func pidFile(data string) string { return filepath.Join(data, "postmaster.pid") }

// alive says whether the server is. A pid file may be left over from a killed
// server, and its number may be another process's by now.
func (p postmaster) alive() bool { return p.pid > 0 && lives(p.pid, p.data) }

// state says what the server does now.
func (p postmaster) state(ctx context.Context) state {
	switch {
	case !p.alive():
		return down
	case p.status != "ready":
		return busy
	case !accepts(ctx, p.socketDir):
		return down
	default:
		return ready
	}
}

// accepts says whether a server answers at the socket. To connect is not
// enough: the kernel does that, for a server that hangs or is dying too. So it
// asks for encryption, which every server answers with one byte.
func accepts(ctx context.Context, dir string) bool {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "unix", socketPath(dir))
	if err != nil {
		return false
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Now()) })()
	if _, err := conn.Write([]byte{0, 0, 0, 8, 4, 210, 22, 47}); err != nil { // SSLRequest
		return false
	}
	_, err = conn.Read(make([]byte, 1))
	return err == nil
}

// stop ends the server, which breaks its clients' connections, and waits until
// it is gone. One that does not end in time is made to end at once: it then
// recovers at the next start, as after a crash.
func (p postmaster) stop(ctx context.Context) error {
	if !p.alive() {
		return nil
	}
	gentle, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if p.end(gentle, syscall.SIGINT) == nil {
		return nil
	}
	if err := p.end(ctx, syscall.SIGQUIT); err != nil {
		return fmt.Errorf("PostgreSQL (process %d, data in %s) does not stop: %w", p.pid, p.data, err)
	}
	return nil
}

func (p postmaster) end(ctx context.Context, signal syscall.Signal) error {
	if err := syscall.Kill(p.pid, signal); err != nil && err != syscall.ESRCH {
		return err
	}
	return poll(ctx, func() (bool, error) { return !p.alive(), nil })
}
