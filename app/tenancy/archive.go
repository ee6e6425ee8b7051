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

// Export writes an archive of the tenant, found by slug or id, to w, and returns its contents: a snapshot of all of its rows,
// whether it is being served or not. It returns an error for a tenant in state "creating" and for tables of another version.
// It calls progress, which may be nil, with the number of rows so far. Other errors are those of [Creator.Find] and
// archive.Export.
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

// currentTables refuses a placement with another version than the program's. In a newer one there may be tables that the
// program does not know.
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
	// Where is the chosen part of its placement. Default: what the configuration gives each tenant.
	Where config.Choice
	// NewKeys gives all rows new ids.
	NewKeys bool
	// Progress is called with the rows so far. It may be nil.
	Progress func(rows int64)
}

// Import creates a tenant from an archive, as [Creator.CreateByName] does, with the archive's rows. They are written in one
// transaction, and read back for verification. If Import fails, the tenant stays in state "creating"; the same import
// completes it, and replaces rows that an earlier one left. An archive of older tables is first migrated in a temporary
// schema.
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

// analyze analyzes the tables of a placement of the tenant's own. Shared tables are left to autovacuum.
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

// dryRunID stands for the id that an import would assign. No tenant has it.
const dryRunID scopes.TenantID = 1 << 62

// TryImport is [Creator.Import] in a transaction that is rolled back. It returns the tenant as it would be, without its id.
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

// slugIsNew returns an *ExistsError if a tenant has the slug, unless it is in state "creating", which an import would complete.
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

// Clone creates a tenant with a copy of another one's rows, by an export to a temporary file and an import. The default name
// is the slug. The rows keep their ids unless o.NewKeys is set. The errors are those of [Creator.Export] and [Creator.Import].
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

// throughFile calls write with a temporary file, and read with the archive that it then contains.
func throughFile(ctx context.Context, write func(io.Writer) error, read func(*archive.Archive) error) error {
	file, err := os.CreateTemp("", "tenanted-archive-*")
	if err != nil {
		return err
	}
	_ = os.Remove(file.Name()) // it exists until it is closed
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
