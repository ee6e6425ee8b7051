package cli

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"tenanted/app/tenancy"
)

// shownLog is how many entries of the audit log are shown with a tenant.
const shownLog = 10

func newTenantsShow(p *program) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "show TENANT",
		Short: "Show everything about a tenant",
		Long: `Shows a tenant (its slug or id): its state and placement, the version and size of its tables, the rows in them, which
are counted, its host names, and the newest entries of the audit log.`,
		Example: `  PROGRAM tenants show acme
  PROGRAM tenants show 1000001 --format json`,
		Args:              arguments("the tenant"),
		ValidArgsFunction: p.completeTenant,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := knownFormat(format); err != nil {
				return err
			}
			return p.withCreator(cmd.Context(), func(c *tenancy.Creator) error {
				d, err := c.Describe(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				return p.show(cmd.Context(), c, d, format)
			})
		},
	}
	addFormat(cmd, &format)
	return cmd
}

func (p *program) show(ctx context.Context, c *tenancy.Creator, d tenancy.Description, format string) error {
	log, err := c.Log(ctx, fmt.Sprint(d.ID), shownLog)
	if err != nil {
		return err
	}
	if format == formatJSON {
		return writeJSON(p.Out, shownOf(d, log))
	}
	showText(p.Out, d)
	if len(log) > 0 {
		fmt.Fprintln(p.Out)
	}
	return writeLog(p.Out, log)
}

func showText(w io.Writer, d tenancy.Description) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	defer table.Flush()
	line := func(label string, value any) { fmt.Fprintf(table, "%s\t%v\n", label, value) }
	line("id", d.ID)
	line("slug", d.Slug)
	line("name", d.Name)
	line("state", d.State)
	line("created", timeText(d.Created))
	for _, domain := range d.Domains {
		line("domain", domain)
	}
	for _, former := range d.Former {
		line("redirect", former.Slug+" until "+timeText(former.Until))
	}
	line("placement", d.Placement)
	if d.Problem != "" {
		line("problem", d.Problem)
		return
	}
	line("version", d.Version)
	if d.Bytes > 0 {
		line("size", fmt.Sprintf("%.1f MB", float64(d.Bytes)/1e6))
	}
	if d.Shard != nil {
		line("shard", d.Shard)
	}
	for _, count := range d.Rows {
		line(count.Table, fmt.Sprintf("%d rows", count.Rows))
	}
}

func timeText(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// shown is a tenant's description as JSON.
type shown struct {
	listed
	Created time.Time        `json:"created"`
	Domains []string         `json:"domains"`
	Former  []shownFormer    `json:"former_slugs"`
	Problem string           `json:"problem,omitempty"`
	Version int64            `json:"version,omitempty"`
	Rows    map[string]int64 `json:"rows,omitempty"`
	Bytes   int64            `json:"bytes,omitempty"`
	Shard   int64            `json:"shard,omitempty"`
	Node    string           `json:"node,omitempty"`
	Log     []logged         `json:"log"`
}

type shownFormer struct {
	Slug  string    `json:"slug"`
	Until time.Time `json:"until"`
}

func shownOf(d tenancy.Description, log []tenancy.LogEntry) shown {
	s := shown{listed: listedOf(d.Entry), Created: d.Created.UTC(), Domains: append([]string{}, d.Domains...), Former: []shownFormer{},
		Problem: d.Problem, Version: d.Version, Bytes: d.Bytes, Log: loggedOf(log)}
	for _, former := range d.Former {
		s.Former = append(s.Former, shownFormer{former.Slug, former.Until.UTC()})
	}
	if d.Shard != nil {
		s.Shard, s.Node = d.Shard.ID, d.Shard.Node
	}
	if d.Problem == "" {
		s.Rows = map[string]int64{}
	}
	for _, count := range d.Rows {
		s.Rows[count.Table] = count.Rows
	}
	return s
}
