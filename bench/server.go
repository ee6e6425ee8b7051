package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"tenanted/internal/localpg"
)

// fixture is where everything is measured: the built program, and a private PostgreSQL of its own, started with the
// settings that `serve` gives it.
type fixture struct {
	dir   string
	bin   string
	local *localpg.Server
}

// newFixture builds the program and starts the server, in a new directory.
func newFixture(ctx context.Context) (*fixture, error) {
	dir, err := os.MkdirTemp("", "tenanted-bench-")
	if err != nil {
		return nil, err
	}
	w := &fixture{dir: dir, bin: filepath.Join(dir, "tenanted")}
	// PostgreSQL does not run as root: another account must be able to come here.
	if err := os.Chmod(dir, 0o755); err != nil {
		return nil, err
	}
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", w.bin, "tenanted").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build the program: %w\n%s", err, out)
	}
	return w, w.start(ctx)
}

func (w *fixture) start(ctx context.Context) (err error) {
	w.local, err = localpg.Start(ctx, localpg.Options{Dir: w.localDir(), Durable: true})
	return err
}

func (w *fixture) localDir() string { return filepath.Join(w.dir, "postgres") }

func (w *fixture) close() error {
	return errors.Join(w.local.Close(), os.RemoveAll(w.dir))
}

// postmaster returns the process above all of the server's.
func (w *fixture) postmaster() (int, error) {
	text, err := os.ReadFile(filepath.Join(w.localDir(), "data", "postmaster.pid"))
	if err != nil {
		return 0, err
	}
	first, _, _ := strings.Cut(string(text), "\n")
	return strconv.Atoi(first)
}

// dsn is a connection string for one of the server's databases as superuser, to whom row-level security does not
// apply.
func (w *fixture) dsn(database string) string {
	return fmt.Sprintf("host=%s port=%d user=%s dbname=%s", w.local.Host(), w.local.Port(), w.local.Superuser(), database)
}

// sql runs statements as superuser.
func (w *fixture) sql(ctx context.Context, database string, statements ...string) error {
	conn, err := pgx.Connect(ctx, w.dsn(database))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	for _, s := range statements {
		if _, err := conn.Exec(ctx, s); err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
	}
	return nil
}

// environ is the environment of the program: none of the user's own settings, then env.
func (w *fixture) environ(env []string) []string {
	var all []string
	for _, e := range os.Environ() {
		name, _, _ := strings.Cut(e, "=")
		if !strings.HasPrefix(name, "PG") && name != "DJANGO_CONFIGURATION" && !strings.HasPrefix(name, "LOCALPG_") {
			all = append(all, e)
		}
	}
	return append(append(all, "LOCALPG_DIR="+w.localDir()), env...)
}

// command is the program with arguments; its working directory has no .env.
func (w *fixture) command(ctx context.Context, env []string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, w.bin, args...)
	cmd.Dir, cmd.Env = w.dir, w.environ(env)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 30 * time.Second
	return cmd
}

// run runs a command of the program to its end, and returns how long it took and the most memory it held.
func (w *fixture) run(ctx context.Context, env []string, args ...string) (took time.Duration, peak int64, err error) {
	cmd := w.command(ctx, env, args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	began := time.Now()
	if err := cmd.Run(); err != nil {
		return 0, 0, fmt.Errorf("tenanted %s: %w\n%s", strings.Join(args, " "), err, out.Bytes())
	}
	if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		peak = usage.Maxrss << 10
	}
	return time.Since(began), peak, nil
}

// process is a server under load, the application or the floor.
type process struct {
	addr  string
	pprof string // the address of the application's profiles
	cmd   *exec.Cmd
}

// serve starts the application and waits until it answers.
func (w *fixture) serve(ctx context.Context, env ...string) (*process, error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	profiles, err := freeAddr()
	if err != nil {
		return nil, err
	}
	p, err := startProcess(ctx, addr, "/readyz", w.command(ctx, env, "serve", "--no-demo", "--access-log", "off", "--addr", addr, "--pprof", profiles))
	if err != nil {
		return nil, err
	}
	p.pprof = profiles
	return p, nil
}

// serveFloor starts this program again, as the floor's server.
func (w *fixture) serveFloor(ctx context.Context, database string) (*process, error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	// PostgreSQL plans the floor's page again each time, since its generic plan has a slightly higher cost: twice the
	// execution's cost. A floor has no such thing.
	dsn := w.dsn(database) + " pool_max_conns=40 plan_cache_mode=force_generic_plan"
	cmd := exec.CommandContext(ctx, self, "-floor-addr", addr, "-floor-dsn", dsn)
	return startProcess(ctx, addr, "/", cmd)
}

func freeAddr() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}

func startProcess(ctx context.Context, addr, path string, cmd *exec.Cmd) (*process, error) {
	var out bytes.Buffer
	cmd.Stderr = &out // until it answers; what it logs then goes nowhere
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go func() { _, _ = io.Copy(io.Discard, pipe) }()
	p := &process{addr: addr, cmd: cmd}
	if err := p.await(ctx, path); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, out.String()), p.stop())
	}
	return p, nil
}

// await waits until the process answers at all.
func (p *process) await(ctx context.Context, path string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.addr+path, nil)
		if err != nil {
			return err
		}
		response, err := http.DefaultClient.Do(request)
		if err == nil {
			return response.Body.Close()
		}
		if ctx.Err() != nil {
			return fmt.Errorf("no answer at %s: %w", p.addr, err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// stop ends the process as Ctrl-C would, and waits for it.
func (p *process) stop() error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	err := p.cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == -1 { // by the signal: the floor handles none
		return nil
	}
	return err
}
