//go:build unix

package localpg

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// pollInterval is how often a state is looked at that cannot be waited for.
const pollInterval = 2 * time.Millisecond

// lockFile is a file whose flock says something to the other processes. The
// kernel gives the lock up when its holder dies, in whatever way.
type lockFile struct{ file *os.File }

func openLock(dir, name string) (*lockFile, error) {
	// Go sets close-on-exec, so that no started server keeps the lock.
	file, err := os.OpenFile(filepath.Join(dir, name), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	return &lockFile{file}, nil
}

// try takes the lock (syscall.LOCK_SH or LOCK_EX) unless someone else's lock
// is in its way, and says whether it did.
func (l *lockFile) try(how int) (bool, error) {
	for {
		err := syscall.Flock(int(l.file.Fd()), how|syscall.LOCK_NB)
		switch {
		case err == nil:
			return true, nil
		case errors.Is(err, syscall.EWOULDBLOCK):
			return false, nil
		case errors.Is(err, syscall.EINTR):
			continue
		default:
			return false, fmt.Errorf("lock %s: %w", l.file.Name(), err)
		}
	}
}

// wait takes the lock, or fails when the context ends first.
func (l *lockFile) wait(ctx context.Context, how int) error {
	return poll(ctx, func() (bool, error) { return l.try(how) })
}

// close gives the lock up. Unlocking comes first because a child that is just
// being forked may hold a copy of the descriptor for a moment.
func (l *lockFile) close() {
	_ = syscall.Flock(int(l.file.Fd()), syscall.LOCK_UN)
	_ = l.file.Close()
}

// poll calls done until it is true, it fails, or the context ends.
func poll(ctx context.Context, done func() (bool, error)) error {
	for {
		ok, err := done()
		if ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(pollInterval):
		}
	}
}
