//go:build unix

package cli

import (
	"errors"
	"os"
	"syscall"
)

// lockFile locks an open file, or fails if another process has the lock. The kernel releases it when the process ends.
func lockFile(file *os.File) error {
	return syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
}

// syncDir makes a rename survive a power failure.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
