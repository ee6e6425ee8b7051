package localpg

import (
	"os"

	"golang.org/x/sys/unix"
)

const (
	// memory is a file system without a disk.
	memory = "/dev/shm"

	// roomNeeded is what several test packages at once may fill. Containers
	// often have 64 MB there.
	roomNeeded = 2 << 30
)

// ScratchDir is a directory for servers whose data may be lost: in memory if
// there is room, else os.TempDir.
func ScratchDir() string {
	var fs unix.Statfs_t
	if unix.Statfs(memory, &fs) != nil || unix.Access(memory, unix.W_OK|unix.X_OK) != nil {
		return os.TempDir()
	}
	if fs.Bavail*uint64(fs.Bsize) < roomNeeded {
		return os.TempDir()
	}
	return memory
}
