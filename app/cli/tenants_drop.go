package cli

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tenanted/app/tenancy"
)

type dropOptions struct {
	yes, noExport, dryRun bool
	export, format        string
}

func newTenantsDrop(p *program) *cobra.Command {
	var o dropOptions
	cmd := &cobra.Command{
		Use:   "drop TENANT",
		Short: "Remove a tenant and all of its data",
		Long: `Removes a tenant (its slug or id): it is no longer served, its data is exported to a file, and then its rows, its database or
schema, its host names and its row in the directory are removed. The slug must be typed again, or --yes given. What is
interrupted goes on with the same command; until then the tenant is in state "dropping".

Backups that were made before still have the data, and the audit log keeps the slug.`,
		Example: `  PROGRAM tenants drop acme
  PROGRAM tenants drop acme --dry-run
  PROGRAM tenants drop acme --yes --export /backup/acme.tar.zst`,
		Args:              arguments("the tenant"),
		ValidArgsFunction: p.completeTenant,
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.noExport && o.export != "" {
				return usage("--export and --no-export cannot be used together")
			}
			if err := knownFormat(o.format); err != nil {
				return err
			}
			return p.withCreator(cmd.Context(), func(c *tenancy.Creator) error { return p.drop(cmd.Context(), c, args[0], o) })
		},
	}
	cmd.Flags().BoolVar(&o.yes, "yes", false, "do not ask for the slug again")
	cmd.Flags().StringVar(&o.export, "export", "", "the file for the export (default SLUG-ID-TIME.tar.zst in the working directory)")
	cmd.Flags().BoolVar(&o.noExport, "no-export", false, "keep no export")
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", false, "show what would be removed, and change nothing")
	addFormat(cmd, &o.format)
	return cmd
}

func (p *program) drop(ctx context.Context, c *tenancy.Creator, tenant string, o dropOptions) error {
	d, err := c.Describe(ctx, tenant)
	if err != nil {
		return err
	}
	if o.dryRun {
		p.say("would be removed:")
		showText(p.Out, d)
		return nil
	}
	if o.export != "" && !o.noExport {
		if err := mayWrite(p.path(o.export), false); err != nil {
			return err
		}
	}
	if !o.yes {
		if err := p.confirm(d.Slug); err != nil {
			return err
		}
	}
	kept := ""
	var keep func(tenancy.Entry, tenancy.Exporter) error
	if !o.noExport {
		keep = func(e tenancy.Entry, export tenancy.Exporter) error {
			kept = cmp.Or(o.export, fmt.Sprintf("%s-%d-%s.tar.zst", e.Slug, listedOf(e).ID, time.Now().UTC().Format("20060102-150405")))
			return writeWhole(p.path(kept), false, func(w io.Writer) error {
				_, err := export(w)
				return err
			})
		}
	}
	erased, err := c.Drop(ctx, fmt.Sprint(d.ID), keep)
	if err != nil {
		return err
	}
	return p.reportErasure(erased, kept, o.format)
}

// confirm asks for the tenant's slug, so that nobody removes the wrong tenant.
func (p *program) confirm(slug string) error {
	fmt.Fprintf(p.Err, "This removes tenant %s and all of its data. Type its slug to confirm: ", slug)
	line, err := bufio.NewReader(p.In).ReadString('\n')
	if typed := strings.TrimSpace(line); typed != slug {
		if err == io.EOF && typed == "" {
			fmt.Fprintln(p.Err)
			return usage("drop asks for the slug, and the standard input has none: give --yes if you mean it; nothing was changed")
		}
		return usage("%q is not the slug: nothing was changed", typed)
	}
	return nil
}

// erasure is a report of what was removed, as JSON.
type erasure struct {
	ID      int64            `json:"id"`
	Slug    string           `json:"slug"`
	From    string           `json:"from"`
	Rows    map[string]int64 `json:"rows_removed"`
	Removed string           `json:"removed,omitempty"`
	Export  string           `json:"export,omitempty"`
	Remains []string         `json:"remains"`
}

// remains lists where data of a removed tenant may still be.
var remains = []string{
	"backups and archived WAL of before",
	"the audit log: id, slug, and who did what (tenants log ID)",
	"logs of the program, the proxy and PostgreSQL",
}

func (p *program) reportErasure(e tenancy.Erasure, export, format string) error {
	report := erasure{ID: listedOf(e.Entry).ID, Slug: e.Slug, From: e.Placement.String(), Rows: map[string]int64{}, Removed: e.Removed, Export: export, Remains: remains}
	for _, count := range e.Rows {
		report.Rows[count.Table] = count.Rows
	}
	if format == formatJSON {
		return writeJSON(p.Out, report)
	}
	p.say(fmt.Sprintf("dropped tenant %s (%d) from %s", e.Slug, report.ID, e.Placement))
	for _, count := range e.Rows {
		p.say(fmt.Sprintf("  removed from %s: %d rows", count.Table, count.Rows))
	}
	if e.Removed != "" {
		p.say("  removed: " + e.Removed)
	}
	if export != "" {
		p.say("  kept: " + export)
	}
	p.say("  may remain in: " + strings.Join(remains, "; "))
	return nil
}
