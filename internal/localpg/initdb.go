//go:build unix

package localpg

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// dataVersion is the major version of an existing data directory, 0 without one.
func dataVersion(data string) (int, error) {
	content, err := os.ReadFile(filepath.Join(data, "PG_VERSION"))
	if errors.Is(err, os.ErrNotExist) {
		if _, err := os.Stat(data); err == nil {
			return 0, fmt.Errorf("%s is not the data directory of a server: it has no file PG_VERSION; move it away", data)
		}
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	version, err := strconv.Atoi(strings.TrimSpace(string(content)))
	if err != nil {
		return 0, fmt.Errorf("%s: cannot read its PG_VERSION %q", data, content)
	}
	return version, nil
}

// initialise makes the data directory. It is made under another name and then
// renamed, so that what has the name is always complete.
func (c *cluster) initialise(ctx context.Context, p programs) error {
	fresh := filepath.Join(c.dir, newDataName)
	var err error
	// C.UTF-8 sorts by code point everywhere and knows letters beyond ASCII;
	// some systems lack it. Without -E, an unset LANG would mean SQL_ASCII.
	for _, locale := range []string{"C.UTF-8", "C"} {
		if err = os.RemoveAll(fresh); err != nil { // what a killed initdb left
			return err
		}
		if err = c.initdb(ctx, p, fresh, locale); err == nil {
			return os.Rename(fresh, c.data())
		}
	}
	return err
}

func (c *cluster) initdb(ctx context.Context, p programs, data, locale string) error {
	args := []string{
		"-D", data, "-U", superuser, "-E", "UTF8", "--locale=" + locale,
		"--auth=trust", // the socket directory's mode decides who may log in
		"--no-instructions",
	}
	if !c.options.Durable {
		args = append(args, "--no-sync")
	}
	command := exec.CommandContext(ctx, p.command("initdb"), args...)
	c.account.run(command)
	// If this process is killed, initdb goes on for a while. Until then it
	// holds our lock, so that no process starts a second one.
	command.ExtraFiles = []*os.File{c.starting.file}
	// initdb has children; the negative number means all of them.
	command.Cancel = func() error { return syscall.Kill(-command.Process.Pid, syscall.SIGKILL) }
	out, err := command.CombinedOutput()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return fmt.Errorf("initdb failed in %s: %w: %s", c.dir, err, lastLines(string(out), 3))
	}
	return nil
}
