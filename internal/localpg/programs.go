//go:build unix

package localpg

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// oldestVersion is the oldest major version that serves: before it, a view
// could not check row-level security for its caller (security_invoker).
const oldestVersion = 15

// programs are initdb and postgres of one installation.
type programs struct {
	dir     string
	version int // major
}

func (p programs) command(name string) string { return filepath.Join(p.dir, name) }

// installed are globs of the places where packages put the programs, without
// putting them into the PATH.
var installed = []string{
	"/usr/lib/postgresql/*/bin",                          // Debian, Ubuntu
	"/usr/pgsql-*/bin",                                   // postgresql.org's RPMs
	"/usr/lib/postgresql*/bin",                           // SUSE
	"/usr/libexec/postgresql*",                           // Alpine
	"/opt/homebrew/opt/postgresql*/bin",                  // Homebrew on Apple silicon
	"/usr/local/opt/postgresql*/bin",                     // Homebrew on Intel
	"/home/linuxbrew/.linuxbrew/opt/postgresql*/bin",     // Homebrew on Linux
	"/Applications/Postgres.app/Contents/Versions/*/bin", // Postgres.app
	"/opt/local/lib/postgresql*/bin",                     // MacPorts
	"/usr/local/pgsql/bin",                               // built from source
}

// programs finds the programs for the data of a version (0: no data yet). Nothing is downloaded: the error says how to
// install them.
func (c *cluster) programs(ctx context.Context, version int) (programs, error) {
	return findPrograms(ctx, c.options.BinDir, version, c.account)
}

// notInstalled is the error where no programs fit. The reasons say what was found instead.
func notInstalled(reasons []string) error {
	found := ""
	if len(reasons) > 0 {
		found = " in a version that fits: " + strings.Join(slices.Compact(reasons), "; ")
	}
	return fmt.Errorf("PostgreSQL is not installed%s: install it (%s), name its directory in LOCALPG_BINDIR, or set PGHOST or PGSERVICE to a running server",
		found, installCommand())
}

// findPrograms finds the programs in dir or, when that is empty, in the usual
// places. A version other than 0 must be matched: data directories of one
// major version cannot be used by another.
func findPrograms(ctx context.Context, dir string, version int, a account) (programs, error) {
	if dir == "" {
		dir = os.Getenv("LOCALPG_BINDIR")
	}
	if dir != "" {
		return namedPrograms(ctx, dir, version, a)
	}
	var rejected []string
	for place := range places(ctx) {
		found, err := inspect(ctx, place, a)
		if err == nil {
			if err = found.fits(version); err == nil {
				return found, nil
			}
			rejected = append(rejected, err.Error())
		}
	}
	return programs{}, notInstalled(rejected)
}

// namedPrograms takes the programs the user named, or says what is wrong with
// them; it does not quietly take others.
func namedPrograms(ctx context.Context, dir string, version int, a account) (programs, error) {
	found, err := inspect(ctx, dir, a)
	if err == nil {
		err = found.fits(version)
	}
	if err != nil {
		return programs{}, fmt.Errorf("LOCALPG_BINDIR: %w", err)
	}
	return found, nil
}

func (p programs) fits(version int) error {
	switch {
	case version != 0 && p.version != version:
		return fmt.Errorf("%s has PostgreSQL %d, and the data was made by %d", p.dir, p.version, version)
	case p.version < oldestVersion:
		return fmt.Errorf("%s has PostgreSQL %d, and %d or newer is needed", p.dir, p.version, oldestVersion)
	}
	return nil
}

// places are the directories to look into, most wanted first. The sequence is
// lazy: usually the PATH is enough.
func places(ctx context.Context) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
			// An empty or relative entry would mean the current directory.
			if filepath.IsAbs(dir) && !yield(dir) {
				return
			}
		}
		if out, err := exec.CommandContext(ctx, "pg_config", "--bindir").Output(); err == nil {
			if !yield(strings.TrimSpace(string(out))) {
				return
			}
		}
		for _, pattern := range installed {
			matches, _ := filepath.Glob(pattern)
			newestFirst(matches)
			for _, dir := range matches {
				if !yield(dir) {
					return
				}
			}
		}
	}
}

var number = regexp.MustCompile(`\d+`)

// newestFirst sorts paths by the version number in them; one without a number
// comes last.
func newestFirst(paths []string) {
	version := func(path string) int {
		n, _ := strconv.Atoi(number.FindString(path))
		return n
	}
	slices.SortStableFunc(paths, func(a, b string) int { return cmp.Compare(version(b), version(a)) })
}

var versionLine = regexp.MustCompile(`\(PostgreSQL\) (\d+)`)

// inspect looks for the programs in a directory and asks for their version.
func inspect(ctx context.Context, dir string, a account) (programs, error) {
	dir, err := programDir(dir)
	if err != nil {
		return programs{}, err
	}
	if blocked := a.blocked(filepath.Join(dir, "postgres")); blocked != "" {
		return programs{}, fmt.Errorf("account %s, under which root runs PostgreSQL, cannot enter %s", a.name, blocked)
	}
	command := exec.CommandContext(ctx, filepath.Join(dir, "postgres"), "--version")
	command.Env = bareEnvironment()
	out, err := command.CombinedOutput()
	if err != nil {
		return programs{}, fmt.Errorf("%s does not run: %w: %s", command.Path, err, strings.TrimSpace(string(out)))
	}
	match := versionLine.FindSubmatch(out)
	if match == nil {
		return programs{}, fmt.Errorf("%s is not PostgreSQL: it says %q", command.Path, strings.TrimSpace(string(out)))
	}
	version, _ := strconv.Atoi(string(match[1]))
	return programs{dir: dir, version: version}, nil
}

// programDir is the directory where initdb and postgres really are: dir may
// hold links to them, and psql and others are only there.
func programDir(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	for _, name := range []string{"postgres", "initdb"} {
		if _, err := exec.LookPath(filepath.Join(dir, name)); err != nil {
			return "", fmt.Errorf("no program %s in %s", name, dir)
		}
	}
	target, err := filepath.EvalSymlinks(filepath.Join(dir, "postgres"))
	if err != nil {
		return "", err
	}
	if _, err := exec.LookPath(filepath.Join(filepath.Dir(target), "initdb")); err != nil {
		return dir, nil
	}
	return filepath.Dir(target), nil
}

// installCommand is what people type to install PostgreSQL here.
func installCommand() string {
	if runtime.GOOS == "darwin" {
		return fmt.Sprintf("brew install postgresql@%d", oldestVersion)
	}
	sudo := "sudo "
	if os.Geteuid() == 0 {
		sudo = ""
	}
	for _, manager := range []struct{ name, install string }{
		{"apt-get", "apt-get install postgresql"},
		{"dnf", "dnf install postgresql-server"},
		{"zypper", "zypper install postgresql-server"},
		{"apk", "apk add postgresql"},
		{"pacman", "pacman -S postgresql"},
		{"pkg", "pkg install postgresql15-server"},
	} {
		if _, err := exec.LookPath(manager.name); err == nil {
			return sudo + manager.install
		}
	}
	return "the package manager of this system"
}
