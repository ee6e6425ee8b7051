//go:build unix

package localpg

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"
)

// endGrace is how long a server whose start was given up may take to end by
// itself.
const endGrace = 300 * time.Millisecond

// maxLogSize is the size from which on a start empties the server's log.
const maxLogSize = 16 << 20

// arguments are the server's settings as command-line arguments, sorted.
func (c *cluster) arguments() []string {
	settings := map[string]string{
		"listen_addresses":        "", // the socket only
		"port":                    fmt.Sprint(port),
		"unix_socket_directories": `"` + strings.ReplaceAll(c.socketDir, `"`, `""`) + `"`,
		"unix_socket_permissions": "0700",
		"max_connections":         "200",
		"shared_buffers":          "512MB", // taken as it is needed; the default, 128 MB, makes a load of a million rows 1.3 times as long
		"max_wal_size":            "2GB",
		"wal_level":               "logical", // lets `tenants move` follow changes; a load takes no longer than with replica
		"jit":                     "off",     // costs more than it gains on short queries
		"timezone":                "UTC",
		// The text of failed statements stays out of the log: it may hold
		// passwords (ALTER ROLE ... PASSWORD) and tenants' data.
		"log_min_error_statement": "panic",
		// For migrations that are atomic over several databases.
		"max_prepared_transactions": "100",
	}
	if !c.options.Durable {
		maps.Copy(settings, map[string]string{
			"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off",
			// Bulk loads write less; but a sequence that was used in the transaction that
			// made it gives the same numbers again after a crash (seen with PostgreSQL 15).
			"wal_level": "minimal", "max_wal_senders": "0",
		})
	}
	maps.Copy(settings, c.options.Settings)
	args := []string{"-D", c.data()}
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		args = append(args, "-c", name+"="+settings[name])
	}
	return args
}

// launch starts the server and waits until it takes connections.
func (c *cluster) launch(ctx context.Context, p programs) error {
	log, err := openLog(filepath.Join(c.dir, logName))
	if err != nil {
		return err
	}
	defer log.Close()
	begin, err := log.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	// Not bound to ctx: the server outlives this call, and this process.
	command := exec.Command(p.command("postgres"), c.arguments()...)
	c.account.run(command)
	command.Stdout, command.Stderr = log, log
	if err := command.Start(); err != nil {
		return fmt.Errorf("PostgreSQL in %s did not start: %w", c.dir, err)
	}
	exited := make(chan error, 1)
	go func() { exited <- command.Wait() }() // collects the zombie, too
	if err := c.awaitReady(ctx, command.Process.Pid, exited); err != nil {
		return fmt.Errorf("PostgreSQL in %s did not start: %w: %s", c.dir, err, logTail(log.Name(), begin))
	}
	return nil
}

// awaitReady waits for the started process to write that it is ready. When the
// context ends first, the process is made to end.
func (c *cluster) awaitReady(ctx context.Context, pid int, exited <-chan error) error {
	err := poll(ctx, func() (bool, error) {
		select {
		case err := <-exited:
			if err == nil {
				err = fmt.Errorf("exit status 0")
			}
			return false, err
		default:
			written := readPostmaster(c.data())
			return written.pid == pid && written.status == "ready", nil
		}
	})
	if ctx.Err() != nil {
		_ = syscall.Kill(pid, syscall.SIGINT)
		select {
		case <-exited:
		case <-time.After(endGrace):
			_ = syscall.Kill(pid, syscall.SIGQUIT)
		}
	}
	return err
}

// openLog opens the log for appending; what exceeds maxLogSize is dropped.
func openLog(path string) (*os.File, error) {
	flags := os.O_RDWR | os.O_CREATE | os.O_APPEND
	if info, err := os.Stat(path); err == nil && info.Size() > maxLogSize {
		flags |= os.O_TRUNC
	}
	return os.OpenFile(path, flags, 0o600)
}

// logTail is the end of what was logged from an offset on, in one line.
func logTail(path string, from int64) string {
	content, err := os.ReadFile(path)
	if err != nil || int64(len(content)) <= from {
		return "nothing in " + path
	}
	return lastLines(string(content[from:]), 4) + " (" + path + ")"
}

// logPrefix is the default log_line_prefix: time and process.
var logPrefix = regexp.MustCompile(`(?m)^\d{4}-\S+ \S+ \S+ \[\d+\] `)

// lastLines puts the last n lines of a program's output into one.
func lastLines(output string, n int) string {
	lines := strings.Split(strings.TrimSpace(logPrefix.ReplaceAllString(output, "")), "\n")
	lines = lines[max(0, len(lines)-n):]
	for i := range lines {
		lines[i] = strings.Join(strings.Fields(lines[i]), " ")
	}
	return strings.Join(lines, "; ")
}
