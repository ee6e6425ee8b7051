package cli

import (
	"context"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"tenanted/app/tenancy"
)

func newTenants(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "tenants",
		Short:   "Look at the directory of tenants",
		Example: "  tenanted tenants list",
		Args:    cobra.ArbitraryArgs,
		RunE:    unknownCommand,
	}
	cmd.AddCommand(&cobra.Command{
		Use:     "list",
		Short:   "List the tenants with their placement and state",
		Long:    "Lists every tenant, in whatever state, as the owner; the runtime role may not.",
		Example: "  tenanted tenants list\n  DJANGO_CONFIGURATION=MultipleDb tenanted tenants list",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.with(cmd.Context(), func(s *server) error { return p.listTenants(cmd.Context(), s) })
		},
	})
	return cmd
}

func (p *program) listTenants(ctx context.Context, s *server) error {
	if err := tenancy.DirectoryReady(ctx, s.cfg); err != nil {
		return err
	}
	directory, err := tenancy.OpenDirectory(ctx, s.cfg)
	if err != nil {
		return err
	}
	defer directory.Close()
	entries, err := directory.List(ctx, 0)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(p.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "SLUG\tNAME\tPLACEMENT\tSTATE")
	for _, e := range entries {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", e.Slug, e.Name, e.Placement, e.State)
	}
	return table.Flush()
}
