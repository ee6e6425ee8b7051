package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"tenanted/app/config"
	"tenanted/app/tenancy"
	"tenanted/scopes"
	"tenanted/scopes/archive"
)

type exportOptions struct {
	output string
	force  bool
	format string
}

func newTenantsExport(p *program) *cobra.Command {
	var o exportOptions
	cmd := &cobra.Command{
		Use:   "export TENANT -o FILE",
		Short: "Write all rows of a tenant into a file",
		Long: `Writes all rows of a tenant, of one moment, into one file: a tar of CSV files, compressed with zstd (docs/archive.md). The tenant
may be served meanwhile, or be suspended. The file has the same rows in every configuration; "tenants import" makes a tenant of it.

The file is written as FILE.partial, for the owner alone to read, and renamed when it is complete. After an interruption the same
command starts from the beginning.`,
		Example: `  PROGRAM tenants export acme -o acme.tar.zst
  PROGRAM tenants export acme -o - | ssh backup 'cat > acme.tar.zst'`,
		Args:              arguments("the tenant"),
		ValidArgsFunction: p.completeTenant,
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.output == "" {
				return usage("name the file: -o FILE, or -o - for the standard output")
			}
			if err := knownFormat(o.format); err != nil {
				return err
			}
			return p.export(cmd.Context(), args[0], o)
		},
	}
	cmd.Flags().StringVarP(&o.output, "output", "o", "", "the file to write; - for the standard output")
	cmd.Flags().BoolVar(&o.force, "force", false, "replace a file that exists")
	addFormat(cmd, &o.format)
	_ = cmd.RegisterFlagCompletionFunc("output", completeFiles) // fails for a flag that has one already
	return cmd
}

func completeFiles(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveDefault
}

func newTenantsImport(p *program) *cobra.Command {
	var o tenancy.Import
	var dryRun bool
	var format string
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Make a tenant from an exported file",
		Long: `Makes a tenant from a file that "tenants export" wrote in any configuration, in the placement that this one gives it and with the next free
id. First the whole file is read and its checksums are compared; a file that is damaged, cut off or something else changes nothing. The rows are
written in one transaction and read back. Then the tenant is served, at its slug.

If it is interrupted, the tenant is left in state "creating" and not served; the same command completes it.`,
		Example: `  PROGRAM tenants import acme.tar.zst
  PROGRAM tenants import acme.tar.zst --slug acme-yesterday --name "Acme, yesterday"`,
		Args:              arguments("the file"),
		ValidArgsFunction: completeFiles,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := errors.Join(optionalSlug(o.Slug), validName(o.Name), knownFormat(format), p.checkChoice(cmp.Or(o.Slug, "x"), o.Where)); err != nil {
				return err
			}
			return p.importFile(cmd.Context(), args[0], o, dryRun, format)
		},
	}
	cmd.Flags().StringVar(&o.Slug, "slug", "", "the new tenant's slug (default that in the file)")
	cmd.Flags().StringVar(&o.Name, "name", "", "what people call the tenant (default that in the file)")
	addPlacement(cmd, &o.Where)
	cmd.Flags().BoolVar(&o.NewKeys, "new-keys", false, "give all rows new ids")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "do all of it in a transaction that is rolled back")
	addFormat(cmd, &format)
	return cmd
}

func newTenantsClone(p *program) *cobra.Command {
	var name, format string
	var where config.Choice
	cmd := &cobra.Command{
		Use:   "clone TENANT SLUG",
		Short: "Make a tenant with a copy of another one's rows",
		Long: `Makes a tenant with a copy of another one's rows, of one moment, as "tenants export" and "tenants import" do, through a temporary file
in $TMPDIR. The rows keep their ids. If it is interrupted, the new tenant is left in state "creating" and not served; the same command completes it.`,
		Example: `  PROGRAM tenants clone acme acme-test --name "Acme, for tests"`,
		Args:    arguments("the tenant", "the new slug"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := errors.Join(validSlug(args[1]), validName(name), knownFormat(format), p.checkChoice(args[1], where)); err != nil {
				return err
			}
			return p.withCreator(cmd.Context(), func(c *tenancy.Creator) error {
				shown := newBar(p.Err, "rows copied", -1)
				t, err := c.Clone(cmd.Context(), args[0], tenancy.Import{Slug: args[1], Name: name, Where: where, Progress: shown.set})
				shown.end()
				if err != nil {
					return err
				}
				return p.showMade("cloned to", t, format)
			})
		},
		ValidArgsFunction: p.completeTenant,
	}
	cmd.Flags().StringVar(&name, "name", "", "what people call the new tenant (default its slug)")
	addPlacement(cmd, &where)
	addFormat(cmd, &format)
	return cmd
}

func optionalSlug(slug string) error {
	if slug == "" {
		return nil
	}
	return validSlug(slug)
}

func (p *program) export(ctx context.Context, tenant string, o exportOptions) error {
	if o.output == "-" && isTerminal(p.Out) {
		return usage("the standard output is a terminal: give a file with -o, or a pipe")
	}
	if o.output == "-" {
		return p.withCreator(ctx, func(c *tenancy.Creator) error {
			contents, err := c.Export(ctx, tenant, p.Out, nil)
			if err != nil {
				return err
			}
			return showExport(p.Err, contents, "the standard output", o.format)
		})
	}
	path := p.path(o.output)
	if err := mayWrite(path, o.force); err != nil {
		return err
	}
	return p.withCreator(ctx, func(c *tenancy.Creator) error {
		shown := newBar(p.Err, "rows", -1)
		var contents archive.Contents
		err := writeWhole(path, o.force, func(w io.Writer) (err error) {
			contents, err = c.Export(ctx, tenant, w, shown.set)
			return err
		})
		shown.end()
		if err != nil {
			return err
		}
		return showExport(p.Out, contents, o.output, o.format)
	})
}

// mayWrite refuses to replace a file.
func mayWrite(path string, force bool) error {
	switch _, err := os.Lstat(path); {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return err
	case force:
		return nil
	}
	return fmt.Errorf("%s exists: choose another name, or give --force to replace it", path)
}

// writeWhole calls write with a file under a temporary name, and renames it when it is complete and on the disk. A file left
// by an interrupted command is overwritten; of two commands that write the same file at once, one is refused.
func writeWhole(path string, force bool, write func(io.Writer) error) (err error) {
	partial := path + ".partial"
	file, err := os.OpenFile(partial, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	if err := lockFile(file); err != nil {
		return fmt.Errorf("another process is writing %s: wait until it is done, or choose another name", partial)
	}
	if !isAt(file, partial) { // the former holder of the lock has just renamed it
		return fmt.Errorf("another process has just written %s: choose another name", path)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(partial))
		}
	}()
	if err := errors.Join(file.Chmod(0o600), file.Truncate(0)); err != nil {
		return err
	}
	if err := write(file); err != nil {
		return err
	}
	if err := errors.Join(file.Sync(), mayWrite(path, force)); err != nil {
		return err
	}
	if err := os.Rename(partial, path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func isAt(file *os.File, path string) bool {
	this, err := file.Stat()
	there, errThere := os.Lstat(path)
	return err == nil && errThere == nil && os.SameFile(this, there)
}

func (p *program) importFile(ctx context.Context, name string, o tenancy.Import, dryRun bool, format string) error {
	file, err := os.Open(p.path(name))
	if err != nil {
		return err
	}
	defer file.Close()
	a, err := p.verify(ctx, file)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if err := validName(cmp.Or(o.Name, a.Manifest.Tenant.Name)); err != nil {
		return err
	}
	return p.withCreator(ctx, func(c *tenancy.Creator) error {
		shown := newBar(p.Err, "rows", a.Rows())
		o.Progress = shown.set
		if dryRun {
			t, err := c.TryImport(ctx, a, o)
			shown.end()
			if err == nil {
				p.say(fmt.Sprintf("nothing was kept: without --dry-run, %d rows would be imported as %s into %s", a.Rows(), t.Slug, t.Placement))
			}
			return err
		}
		t, err := c.Import(ctx, a, o)
		shown.end()
		if err != nil {
			return err
		}
		return p.showMade("imported", t, format)
	})
}

// verify reads the whole file.
func (p *program) verify(ctx context.Context, file *os.File) (*archive.Archive, error) {
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	shown := newBar(p.Err, "verify", info.Size())
	defer shown.end()
	a, err := archive.Verify(ctx, &shownFile{File: file, shown: shown})
	return a, err
}

// shownFile shows on a bar how much of a file was read, the first time it is read.
type shownFile struct {
	*os.File
	shown *bar
	read  int64
}

// Read implements io.Reader.
func (f *shownFile) Read(b []byte) (int, error) {
	n, err := f.File.Read(b)
	f.read += int64(n)
	f.shown.set(f.read)
	return n, err
}

// exported is an export as JSON.
type exported struct {
	Tenant     archive.Who        `json:"tenant"`
	ExportedAt string             `json:"exported_at"`
	File       string             `json:"file"`
	Rows       int64              `json:"rows"`
	Tables     []archive.TableSum `json:"tables"`
}

func showExport(w io.Writer, c archive.Contents, file, format string) error {
	who := c.Manifest.Tenant
	if format == formatJSON {
		return writeJSON(w, exported{who, c.Manifest.ExportedAt.Format("2006-01-02T15:04:05Z07:00"), file, c.Rows(), c.Checksums.Tables})
	}
	_, err := fmt.Fprintf(w, "exported tenant %s (%s): %d rows to %s\n", who.ID, who.Slug, c.Rows(), file)
	return err
}

func (p *program) showMade(did string, t scopes.Tenant, format string) error {
	if format == formatJSON {
		return writeJSON(p.Out, listedOf(tenancy.Entry{Tenant: t, State: tenancy.StateActive}))
	}
	p.say(fmt.Sprintf("%s %v in %s", did, t, t.Placement))
	return nil
}
