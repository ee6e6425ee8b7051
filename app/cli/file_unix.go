//go:build unix

package cli

import (
	"errors"
	"os"
	"syscall"
)

// lockFile takes the lock of an open file, which the kernel gives back when the process ends, or fails if somebody has it.
func lockFile(file *os.File) error {
	return syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
}

// syncDir has a rename survive a power cut.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
