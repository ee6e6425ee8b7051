//go:build unix

package localpg

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
)

// The names in a server's directory.
const (
	startLockName = "start.lock" // exclusive: while looking, initialising, starting, stopping
	usersLockName = "users.lock" // shared: while in use
	dataName      = "data"
	newDataName   = "data.new" // a data directory that initdb has not finished
	logName       = "server.log"
)

// prepareDir makes the directory of a server: there, private, and in reach of
// the account.
func prepareDir(dir string, a account) error {
	if err := makeParents(filepath.Dir(dir)); err != nil {
		return fmt.Errorf("no directory for the private PostgreSQL server: %w; set LOCALPG_DIR to one that you can write", err)
	}
	if blocked := a.blocked(dir); blocked != "" {
		return fmt.Errorf("PostgreSQL refuses to run as root, so it runs as account %s, which cannot enter %s: set LOCALPG_DIR to a directory that is not below it", a.name, blocked)
	}
	if err := makePrivate(dir, a); err != nil {
		return fmt.Errorf("no directory for the private PostgreSQL server: %w; set LOCALPG_DIR to one that you can write", err)
	}
	return nil
}

// makeParents makes the missing directories of a path so that every account
// can pass, whatever the umask: the server's may be another than ours.
func makeParents(path string) error {
	if info, err := os.Stat(path); err == nil {
		if !info.IsDir() {
			return fmt.Errorf("%s is not a directory", path)
		}
		return nil
	}
	if err := makeParents(filepath.Dir(path)); err != nil {
		return err
	}
	if err := os.Mkdir(path, 0o755); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return nil
		}
		return err
	}
	return os.Chmod(path, 0o755)
}

// makePrivate makes a directory that only the account can enter. An existing
// one is taken over only if it is empty or already a server's: closing, say,
// /tmp to everyone else would be worse than refusing.
func makePrivate(dir string, a account) error {
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(dir, startLockName)); err != nil && len(entries) > 0 {
		return fmt.Errorf("%s holds other things than a server's data", dir)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return err
	}
	return a.own(dir)
}

// socketDir is the directory for the server's socket: dir itself, unless the
// socket's path would be longer than the kernel takes.
func socketDir(dir string, a account) (string, error) {
	if len(socketPath(dir)) <= maxSocketPath() {
		return dir, nil
	}
	short := fmt.Sprintf("/tmp/localpg-%x", sha256.Sum256([]byte(dir)))[:len("/tmp/localpg-")+16]
	if err := os.Mkdir(short, 0o700); err == nil {
		return short, a.own(short)
	} else if !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	// Anyone can make a directory in /tmp: one that is not ours is a trap.
	info, err := os.Lstat(short)
	if err != nil {
		return "", err
	}
	owner := info.Sys().(*syscall.Stat_t).Uid
	if !info.IsDir() || owner != a.uid || info.Mode().Perm() != 0o700 {
		return "", fmt.Errorf("%s, the place for the socket, is not a private directory of account %s: remove it, or set LOCALPG_DIR to a shorter path", short, a.name)
	}
	return short, nil
}

func socketPath(dir string) string {
	return filepath.Join(dir, fmt.Sprintf(".s.PGSQL.%d", port))
}

// maxSocketPath is the size of sockaddr_un.sun_path without its final zero.
func maxSocketPath() int {
	if runtime.GOOS == "linux" {
		return 107
	}
	return 103
}
