package cli

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"tenanted/app/tenancy"
)

func newTenantsLog(p *program) *cobra.Command {
	var (
		format string
		limit  int
	)
	cmd := &cobra.Command{
		Use:   "log [TENANT]",
		Short: "Show who did what to which tenant",
		Long: `Shows the audit log, the newest entry first: what these commands did to a tenant (its slug, a slug that it had, or its
id, also of one that is gone) or to all, when, by whom, and how it ended.`,
		Example: `  PROGRAM tenants log
  PROGRAM tenants log acme --format json`,
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: p.completeTenant,
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) > 1:
				return usage("log takes one tenant at most: see `%s --help`", cmd.CommandPath())
			case limit < 1:
				return usage("--limit %d is below one", limit)
			}
			if err := knownFormat(format); err != nil {
				return err
			}
			return p.withCreator(cmd.Context(), func(c *tenancy.Creator) error {
				entries, err := c.Log(cmd.Context(), append(args, "")[0], limit)
				switch {
				case err != nil:
					return err
				case format == formatJSON:
					return writeJSON(p.Out, loggedOf(entries))
				default:
					return writeLog(p.Out, entries)
				}
			})
		},
	}
	addFormat(cmd, &format)
	cmd.Flags().IntVar(&limit, "limit", 100, "how many entries")
	return cmd
}

func writeLog(w io.Writer, entries []tenancy.LogEntry) error {
	if len(entries) == 0 {
		return nil
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "WHEN\tOPERATOR\tACTION\tTENANT\tOUTCOME\tDETAIL")
	for _, e := range entries {
		detail := e.Detail
		if e.Error != "" {
			detail += ": " + e.Error
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", timeText(e.Began), e.Operator, e.Action, e.Slug, e.Outcome(), detail)
	}
	return table.Flush()
}

// logged is an entry of the audit log as JSON.
type logged struct {
	Began    time.Time  `json:"began"`
	Ended    *time.Time `json:"ended"`
	Operator string     `json:"operator"`
	Action   string     `json:"action"`
	TenantID *int64     `json:"tenant_id"`
	Slug     string     `json:"slug"`
	Outcome  string     `json:"outcome"`
	Detail   string     `json:"detail,omitempty"`
	Error    string     `json:"error,omitempty"`
}

func loggedOf(entries []tenancy.LogEntry) []logged {
	list := make([]logged, len(entries)) // so that no entries are [] and not null
	for i, e := range entries {
		if e.Ended != nil {
			ended := e.Ended.UTC()
			e.Ended = &ended
		}
		list[i] = logged{e.Began.UTC(), e.Ended, e.Operator, e.Action, e.TenantID, e.Slug, e.Outcome(), e.Detail, e.Error}
	}
	return list
}
