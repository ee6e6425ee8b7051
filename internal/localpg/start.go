//go:build unix

package localpg

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// startTimeout bounds a start. Recovery after a crash takes longest.
	startTimeout = 2 * time.Minute

	// stopTimeout bounds the last user's Close.
	stopTimeout = time.Minute

	// crashGrace is how long a start after a crash is tried again: processes
	// of the dead server may hold its shared memory for a moment.
	crashGrace = 10 * time.Second
)

// cluster is one server's directory while start.lock is held.
type cluster struct {
	dir       string
	socketDir string
	options   Options
	account   account
	starting  *lockFile
}

func (c *cluster) data() string { return filepath.Join(c.dir, dataName) }

// Start joins the server of o.Dir, or starts it, after creating its data when
// there is none. The context bounds the start only, not the server's life.
// Every successful Start needs one Close.
func Start(ctx context.Context, o Options) (*Server, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, fmt.Errorf("not ready after %v", startTimeout))
	defer cancel()
	c, err := openCluster(ctx, o)
	if err != nil {
		return nil, err
	}
	defer c.starting.close()
	users, err := openLock(c.dir, usersLockName)
	if err != nil {
		return nil, err
	}
	server, err := c.use(ctx, users)
	if err != nil {
		users.close()
		return nil, err
	}
	return server, nil
}

// openCluster prepares the directory and takes its start.lock.
func openCluster(ctx context.Context, o Options) (*cluster, error) {
	dir, err := chosenDir(o)
	if err != nil {
		return nil, err
	}
	a, err := accountFor(dir)
	if err != nil {
		return nil, err
	}
	if err := prepareDir(dir, a); err != nil {
		return nil, err
	}
	sockets, err := socketDir(dir, a)
	if err != nil {
		return nil, err
	}
	starting, err := openLock(dir, startLockName)
	if err != nil {
		return nil, err
	}
	if err := starting.wait(ctx, syscall.LOCK_EX); err != nil {
		starting.close()
		return nil, fmt.Errorf("waiting for another program that starts or stops PostgreSQL in %s: %w", dir, err)
	}
	return &cluster{dir: dir, socketDir: sockets, options: o, account: a, starting: starting}, nil
}

// chosenDir is the absolute path of the directory, without links if it exists.
func chosenDir(o Options) (string, error) {
	dir := o.Dir
	if dir == "" {
		var err error
		if dir, err = DefaultDir(); err != nil {
			return "", err
		}
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if target, err := filepath.EvalSymlinks(dir); err == nil {
		return target, nil
	}
	return dir, nil
}

// use makes sure the server runs, and counts this process among its users.
func (c *cluster) use(ctx context.Context, users *lockFile) (*Server, error) {
	// Only the last user locks it exclusively, and holds start.lock meanwhile.
	if err := users.wait(ctx, syscall.LOCK_SH); err != nil {
		return nil, err
	}
	if err := c.run(ctx); err != nil {
		return nil, err
	}
	options := c.options
	options.Dir = c.dir
	return &Server{
		dir:     c.dir,
		options: options,
		host:    readPostmaster(c.data()).socketDir,
		binDir:  runningBinDir(c.data()),
		release: sync.OnceValue(func() error { return leave(c.dir, users) }),
	}, nil
}

// run makes sure the server runs.
func (c *cluster) run(ctx context.Context) error {
	deadline := time.Now().Add(crashGrace)
	crashed := false
	for {
		current, err := c.settled(ctx)
		if err != nil || current == ready {
			return err
		}
		crashed = crashed || c.hasPidFile()
		err = c.start(ctx)
		// A pid file now is one of a server that a killed process had just
		// started: it came first.
		crashed = crashed || c.hasPidFile()
		if err == nil || ctx.Err() != nil || !crashed || time.Now().After(deadline) {
			return err
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func (c *cluster) hasPidFile() bool { return readPostmaster(c.data()).pid != 0 }

// settled waits until the server is neither starting nor stopping.
func (c *cluster) settled(ctx context.Context) (state, error) {
	var current state
	err := poll(ctx, func() (bool, error) {
		current = readPostmaster(c.data()).state(ctx)
		return current != busy, nil
	})
	if err == nil && ctx.Err() != nil {
		err = context.Cause(ctx) // it may be why nothing answered
	}
	if err != nil {
		return current, fmt.Errorf("PostgreSQL in %s is %s: %w", c.dir, readPostmaster(c.data()).status, err)
	}
	return current, nil
}

func (c *cluster) start(ctx context.Context) error {
	version, err := dataVersion(c.data())
	if err != nil {
		return err
	}
	p, err := c.programs(ctx, version)
	if err != nil {
		return err
	}
	if version == 0 {
		c.options.notify("creating a private PostgreSQL server in " + c.dir)
		if err := c.initialise(ctx, p); err != nil {
			return err
		}
	}
	if err := c.forgetDead(); err != nil {
		return err
	}
	return c.launch(ctx, p)
}

// forgetDead removes the lock files of a server that is no more. PostgreSQL
// does so itself, except when their number belongs to a zombie or to another
// process of the account. It still refuses to start beside remains of the old
// server, by the shared memory that they hold.
func (c *cluster) forgetDead() error {
	if readPostmaster(c.data()).alive() {
		return nil // it does not answer; PostgreSQL will say that it is there
	}
	for _, file := range []string{pidFile(c.data()), socketPath(c.socketDir) + ".lock"} {
		if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

// runningBinDir reads the programs' directory from what the server wrote: its
// command line, in which only the arguments are quoted.
func runningBinDir(data string) string {
	content, err := os.ReadFile(filepath.Join(data, "postmaster.opts"))
	if err != nil {
		return ""
	}
	program, _, _ := strings.Cut(string(content), ` "`)
	return filepath.Dir(strings.TrimSpace(program))
}

// leave ends one use of the server in dir and stops it after the last one.
func leave(dir string, users *lockFile) error {
	defer users.close()
	ctx, cancel := context.WithTimeoutCause(context.Background(), stopTimeout, fmt.Errorf("not done after %v", stopTimeout))
	defer cancel()
	starting, err := openLock(dir, startLockName)
	if err != nil {
		return err
	}
	defer starting.close()
	if err := starting.wait(ctx, syscall.LOCK_EX); err != nil {
		return fmt.Errorf("waiting for another program that starts or stops PostgreSQL in %s: %w", dir, err)
	}
	last, err := users.try(syscall.LOCK_EX)
	if err != nil || !last {
		return err
	}
	server := readPostmaster(filepath.Join(dir, dataName))
	if err := server.stop(ctx); err != nil {
		return err
	}
	if server.socketDir != "" && server.socketDir != dir {
		_ = os.Remove(server.socketDir) // the short one in /tmp; empty by now
	}
	return nil
}
