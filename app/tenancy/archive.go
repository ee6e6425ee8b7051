package tenancy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/jackc/pgx/v5"

	"tenanted/app/config"
	"tenanted/migrations"
	"tenanted/models"
	"tenanted/scopes"
	"tenanted/scopes/archive"
)

// archived are the models whose rows are in an archive, and allRows those of all that a tenant has: what lets people in moves with a
// tenant, and is not written into a file that somebody keeps.
var (
	archived = sync.OnceValues(func() (*archive.Models, error) { return archive.Parse(archivedConfig(models.Data()...)) })
	allRows  = sync.OnceValues(func() (*archive.Models, error) { return archive.Parse(archive.Config{Models: models.All()}) })
)

func archivedConfig(of ...any) archive.Config {
	c := archive.Config{Models: of}
	for _, table := range models.TablesOf(models.Access()) {
		c.Ignore = append(c.Ignore, table.Name)
	}
	return c
}

// Export writes an archive of the tenant, by its slug or id, to w, and returns what is in it: one snapshot of all of its
// rows, while it is served or not. A tenant that is not complete has none, and tables that are not current are refused. It
// calls progress, which may be nil, with the rows so far. The errors are those of [Creator.Find] and of archive.Export.
func (c *Creator) Export(ctx context.Context, tenant string, w io.Writer, progress func(rows int64)) (archive.Contents, error) {
	e, err := c.Find(ctx, tenant)
	if err == nil && e.State == StateCreating {
		err = fmt.Errorf("tenant %q is in state %q, and has nothing to export: complete it first", e.Slug, e.State)
	}
	if err != nil {
		return archive.Contents{}, err
	}
	var contents archive.Contents
	err = c.logged(ctx, "export", e.Tenant, "", func() (err error) {
		contents, err = c.export(ctx, archived, e.Tenant, w, "", progress)
		return err
	})
	return contents, err
}

// export writes the rows of some models: what a new snapshot has, or that of another session by its name.
func (c *Creator) export(ctx context.Context, of func() (*archive.Models, error), t scopes.Tenant, w io.Writer, snapshot string, progress func(int64)) (contents archive.Contents, err error) {
	m, err := of()
	if err == nil {
		err = c.connectTo(ctx, t.Placement)
	}
	if err == nil {
		err = c.currentTables(ctx, t.Placement)
	}
	if err != nil {
		return contents, err
	}
	o := archive.ExportOptions{SchemaVersion: migrations.Tenant.Newest(), Progress: progress}
	err = pgx.BeginTxFunc(ctx, c.placed, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		if snapshot != "" {
			if _, err := tx.Exec(ctx, "set transaction snapshot '"+snapshot+"'"); err != nil {
				return err
			}
		}
		return inSchema(ctx, tx, t.Schema, func(tx pgx.Tx) (err error) {
			contents, err = archive.Export(ctx, tx, m, t, o, w)
			return err
		})
	})
	return contents, err
}

// currentTables refuses a placement of another version than the program's: of a newer one the program does not know all tables.
func (c *Creator) currentTables(ctx context.Context, p scopes.Placement) error {
	versions, err := migrations.Versions(ctx, c.placed, p)
	if err != nil {
		return err
	}
	target := migrations.Target{Set: migrations.Tenant, Placement: p}
	if err := current(c.setup.cfg, c.placed, target, versions); err != nil {
		return err
	}
	if has := versions[target].Number; has > target.Set.Newest() {
		return &NewerError{p, has, target.Set.Newest()}
	}
	return nil
}

// Import is how an archive becomes a tenant.
type Import struct {
	Slug string // empty: the archive's
	Name string // empty: the archive's
	// Where is its placement, as far as it is chosen. Default: what the configuration gives each tenant.
	Where config.Choice
	// NewKeys makes the ids of all rows anew.
	NewKeys bool
	// Progress is called with the rows so far. It may be nil.
	Progress func(rows int64)
}

// Import makes a tenant of an archive, in the placement that the configuration gives it, with the next free id: as
// [Creator.CreateByName] does, with the archive's rows. These are written in one transaction, and read back. When it fails,
// the tenant stays in state "creating", and the same import completes it; what an earlier one left there is replaced.
// An archive of older tables is brought up first, in a schema that is rolled back.
//
// Errors are a *SchemaError for an archive of newer tables, an *ExistsError for a slug that is taken, and those of
// archive.Import.
func (c *Creator) Import(ctx context.Context, a *archive.Archive, o Import) (t scopes.Tenant, err error) {
	slug := cmp.Or(o.Slug, a.Manifest.Tenant.Slug)
	err = cmp.Or(mayBeCalled(slug), c.slugIsNew(ctx, slug))
	if err == nil {
		err = c.withCurrent(ctx, a, func(a *archive.Archive) (err error) {
			t, err = c.doImport(ctx, a, o, slug)
			return err
		})
	}
	if err != nil {
		return scopes.Tenant{}, fmt.Errorf("import tenant %q: %w", slug, err)
	}
	return t, nil
}

func (c *Creator) doImport(ctx context.Context, a *archive.Archive, o Import, slug string) (t scopes.Tenant, err error) {
	if t, err = c.reserve(ctx, NewTenant{Slug: slug, Name: cmp.Or(o.Name, a.Manifest.Tenant.Name, slug), Where: o.Where}); err != nil {
		return t, err
	}
	err = c.making(ctx, t, func() error {
		return c.logged(ctx, "import", t, describeArchive(a), func() error {
			return c.complete(ctx, t, func(ctx context.Context, in Placed) error {
				if err := in.Begin(ctx, func(tx pgx.Tx) error { return replace(ctx, tx, archived, a, t, o, false) }); err != nil {
					return err
				}
				return c.analyze(ctx, t.Placement)
			})
		})
	})
	return t, err
}

// analyze is for a placement of the tenant's own. Shared tables have been in use, and are autovacuum's.
func (c *Creator) analyze(ctx context.Context, p scopes.Placement) error {
	if c.setup.cfg.Shared(p) {
		return nil
	}
	return c.setup.Analyze(ctx, []scopes.Placement{p})
}

func describeArchive(a *archive.Archive) string {
	return fmt.Sprintf("of %s, exported at %s", a.Manifest.Tenant.Slug, a.Manifest.ExportedAt.Format("2006-01-02 15:04:05 MST"))
}

// replace writes the archive's rows, which are of some models, in the place of all that the tenant has. It is for tenants that are not served yet: what they
// have was left by a command that was interrupted.
func replace(ctx context.Context, tx pgx.Tx, of func() (*archive.Models, error), a *archive.Archive, t scopes.Tenant, o Import, dry bool) error {
	all, err := allRows()
	if err != nil {
		return err
	}
	if _, err := archive.Delete(ctx, tx, all, t); err != nil {
		return err
	}
	m, err := of()
	if err != nil {
		return err
	}
	return archive.Import(ctx, tx, m, a, t, archive.ImportOptions{NewKeys: o.NewKeys, KeepSequences: dry, Progress: o.Progress})
}

// dryRunID is no tenant's id, and stands for the one that an import would give.
const dryRunID scopes.TenantID = 1 << 62

// TryImport does what [Creator.Import] does, in a transaction that is rolled back, and leaves nothing behind. It returns the
// tenant as it would be, without its id.
func (c *Creator) TryImport(ctx context.Context, a *archive.Archive, o Import) (t scopes.Tenant, err error) {
	slug := cmp.Or(o.Slug, a.Manifest.Tenant.Slug)
	n := NewTenant{ID: dryRunID, Slug: slug, Name: cmp.Or(o.Name, a.Manifest.Tenant.Name, slug), Where: o.Where}
	err = cmp.Or(mayBeCalled(slug), c.slugIsNew(ctx, slug))
	if err == nil {
		err = c.withCurrent(ctx, a, func(a *archive.Archive) (err error) {
			t, err = c.DryRun(ctx, n, func(tx pgx.Tx) error {
				return replace(ctx, tx, archived, a, scopes.Tenant{ID: n.ID, Slug: slug}, o, true)
			})
			return err
		})
	}
	if err != nil {
		return scopes.Tenant{}, fmt.Errorf("import tenant %q: %w", slug, err)
	}
	t.ID = nil
	return t, nil
}

// slugIsNew returns an *ExistsError if a tenant has the slug, unless it is one that an import would complete.
func (c *Creator) slugIsNew(ctx context.Context, slug string) error {
	var state string
	err := c.control.QueryRow(ctx, "select state from control.tenants where slug = $1", slug).Scan(&state)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil
	case err == nil && state != StateCreating:
		return &ExistsError{slug, state}
	}
	return err
}

// Clone makes a tenant with a copy of another one's rows, of one moment, in a placement and with an id of its own: an export
// and an import, through a temporary file. Without a name it is called like its slug. The ids of its rows are the same, unless new
// ones are asked for. The errors are those of [Creator.Export] and [Creator.Import].
func (c *Creator) Clone(ctx context.Context, from string, o Import) (t scopes.Tenant, err error) {
	if err := cmp.Or(mayBeCalled(o.Slug), c.slugIsNew(ctx, o.Slug)); err != nil {
		return t, fmt.Errorf("clone tenant %q to %q: %w", from, o.Slug, err)
	}
	err = throughFile(ctx, func(w io.Writer) error {
		_, err := c.Export(ctx, from, w, o.Progress)
		return err
	}, func(a *archive.Archive) (err error) {
		o.Name = cmp.Or(o.Name, o.Slug)
		t, err = c.Import(ctx, a, o)
		return err
	})
	return t, err
}

// throughFile has write make an archive, and read get it.
func throughFile(ctx context.Context, write func(io.Writer) error, read func(*archive.Archive) error) error {
	file, err := os.CreateTemp("", "tenanted-archive-*")
	if err != nil {
		return err
	}
	_ = os.Remove(file.Name()) // the kernel keeps it for us, and for nobody after us
	defer file.Close()
	if err := write(file); err != nil {
		return err
	}
	a, err := archive.Verify(ctx, file)
	if err != nil {
		return err
	}
	return read(a)
}
