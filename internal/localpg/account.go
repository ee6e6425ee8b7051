//go:build unix

package localpg

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// account is the operating system account that the server runs under: the
// user's own, and for root another one, because PostgreSQL refuses root.
type account struct {
	name     string
	uid, gid uint32
	switched bool // not the account of this process
}

// accountFor chooses the account for the server in dir: for root the one that
// already owns the directory, else postgres, else nobody.
func accountFor(dir string) (account, error) {
	owner, exists := ownerOf(dir)
	if uid := os.Geteuid(); uid != 0 {
		if exists && owner != uint32(uid) {
			return account{}, foreignDir(dir, owner)
		}
		return account{name: accountName(uint32(uid)), uid: uint32(uid), gid: uint32(os.Getegid())}, nil
	}
	candidates := unprivileged()
	if len(candidates) == 0 {
		return account{}, fmt.Errorf("PostgreSQL refuses to run as root, and there is no account postgres or nobody to run it under: add one, or run this program as another user")
	}
	if !exists || owner == 0 {
		return candidates[0], nil
	}
	for _, candidate := range candidates {
		if candidate.uid == owner {
			return candidate, nil
		}
	}
	return account{}, foreignDir(dir, owner)
}

// foreignDir refuses another account's directory: they could read and change
// what the server keeps there.
func foreignDir(dir string, owner uint32) error {
	return fmt.Errorf("directory %s belongs to account %s: run this program as that account, or set LOCALPG_DIR to another directory", dir, accountName(owner))
}

// unprivileged lists the accounts under which root runs the server.
func unprivileged() []account {
	var found []account
	for _, name := range []string{"postgres", "nobody"} {
		entry, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.ParseUint(entry.Uid, 10, 32)
		gid, gidErr := strconv.ParseUint(entry.Gid, 10, 32)
		if uidErr == nil && gidErr == nil && uid != 0 {
			found = append(found, account{name: name, uid: uint32(uid), gid: uint32(gid), switched: true})
		}
	}
	return found
}

func accountName(uid uint32) string {
	id := strconv.FormatUint(uint64(uid), 10)
	if entry, err := user.LookupId(id); err == nil {
		return entry.Username
	}
	return id
}

// run lets the command run under the account, in a session of its own (Ctrl-C
// in the terminal must not reach it), and without this process's environment:
// that may hold passwords, and PG* variables that PostgreSQL would obey.
func (a account) run(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if a.switched {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: a.uid, Gid: a.gid}
	}
	cmd.Dir = "/" // the account may be unable to enter the current directory
	cmd.Env = bareEnvironment()
}

func bareEnvironment() []string {
	// A locale that exists everywhere; on macOS the server refuses to run
	// without one. TZ spares initdb its search for the local time zone's name.
	env := []string{"LC_ALL=C", "TZ=UTC"}
	for _, name := range []string{"PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"} {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// own gives a file or directory to the account.
func (a account) own(path string) error {
	if !a.switched {
		return nil
	}
	return os.Lchown(path, int(a.uid), int(a.gid))
}

// blocked is the topmost directory above path that the account cannot enter,
// or "" when it can reach path.
func (a account) blocked(path string) string {
	if !a.switched {
		return ""
	}
	parent := filepath.Dir(path)
	if parent != path {
		if above := a.blocked(parent); above != "" {
			return above
		}
	}
	if info, err := os.Stat(parent); err == nil && !a.mayEnter(info) {
		return parent
	}
	return ""
}

func (a account) mayEnter(info fs.FileInfo) bool {
	stat := info.Sys().(*syscall.Stat_t)
	switch mode := info.Mode().Perm(); {
	case stat.Uid == a.uid:
		return mode&0o100 != 0
	case stat.Gid == a.gid:
		return mode&0o010 != 0
	default:
		return mode&0o001 != 0
	}
}

// ownerOf is the uid of a path's owner, if the path exists.
func ownerOf(path string) (uint32, bool) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, false
	}
	return info.Sys().(*syscall.Stat_t).Uid, true
}
