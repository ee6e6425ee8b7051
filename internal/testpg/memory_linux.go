package testpg

import (
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// memory is a file system without a disk.
const memory = "/dev/shm"

// roomNeeded is what several test packages at once may fill. Containers often
// have 64 MB there.
const roomNeeded = 2 << 30

// usable says whether a directory below memory exists already or has room.
func usable(dir string) bool {
	if _, err := os.Stat(dir); err == nil {
		return true
	}
	var fs unix.Statfs_t
	parent := filepath.Dir(dir)
	if unix.Statfs(parent, &fs) != nil || unix.Access(parent, unix.W_OK|unix.X_OK) != nil {
		return false
	}
	return fs.Bavail*uint64(fs.Bsize) >= roomNeeded
}
