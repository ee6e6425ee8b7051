package cli

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"tenanted/app/tenancy"
	"tenanted/migrations"
	"tenanted/models"
)

func newTenants(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "tenants",
		Short:   "Look after tenants: list, create, rename, suspend, export, import them, and their users",
		Example: "  PROGRAM tenants list\n  PROGRAM tenants create acme --name \"Acme Inc.\"",
		Args:    cobra.ArbitraryArgs,
		RunE:    unknownCommand,
	}
	cmd.AddCommand(newTenantsList(p), newTenantsShow(p), newTenantsCreate(p), newTenantsRename(p), newTenantsDomains(p), newTenantsUsers(p),
		newTenantsSuspend(p), newTenantsResume(p), newTenantsExport(p), newTenantsImport(p), newTenantsClone(p),
		newTenantsMove(p), newTenantsDrop(p), newTenantsExec(p), newTenantsLog(p))
	cmd.AddCommand(&cobra.Command{
		Use:   "adopt",
		Short: "Make a copied or restored deployment one of its own",
		Long: `A copy of the default database (a restored dump, another name, another server) still names the databases of the
deployment that it was copied from, and must not use them. This command gives the copy an identity of its own, and
takes the tenants' databases that are copies too: under the name in the directory or, on the same server, under that of
this default database, as $PGDATABASE_tenant-0. A database that is the original of another deployment is never taken;
a tenant without a database here is suspended.`,
		Example: "  PGDATABASE=staging PROGRAM tenants adopt",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.with(cmd.Context(), func(s *server) error { return p.adopt(cmd.Context(), s) })
		},
	})
	return cmd
}

func newTenantsList(p *program) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the tenants with their placement and state",
		Long:  "Lists every tenant, in whatever state, as the owner; the runtime role may not.",
		Example: `  PROGRAM tenants list
  PROGRAM tenants list --format json
  DJANGO_CONFIGURATION=MultipleDb PROGRAM tenants list`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := knownFormat(format); err != nil {
				return err
			}
			return p.with(cmd.Context(), func(s *server) error { return p.listTenants(cmd.Context(), s, format) })
		},
	}
	addFormat(cmd, &format)
	return cmd
}

func (p *program) adopt(ctx context.Context, s *server) error {
	setup, err := s.setup(p.say)
	if err != nil {
		return err
	}
	suspended := 0
	err = setup.Adopt(ctx, func(a tenancy.Adoption) {
		if a.Problem == "" {
			p.say(fmt.Sprintf("%s: %s", a.Tenant.Slug, a.Tenant.InSchema("")))
			return
		}
		suspended++
		p.say(fmt.Sprintf("%s: suspended: %s", a.Tenant.Slug, strings.ReplaceAll(a.Problem, "\n", "; ")))
	})
	if err == nil && suspended > 0 {
		return fmt.Errorf("%d tenants have no database here and are suspended: restore their databases and run this again, then `tenants resume` each", suspended)
	}
	return err
}

func (p *program) listTenants(ctx context.Context, s *server, format string) error {
	if err := tenancy.DirectoryReady(ctx, s.cfg); err != nil {
		return err
	}
	directory, err := tenancy.OpenDirectory(ctx, s.cfg)
	if err != nil {
		return err
	}
	defer directory.Close()
	entries, err := directory.List(ctx, tenancy.ByID, 0)
	if err != nil {
		return err
	}
	if format == formatJSON {
		return writeTenants(p.Out, entries)
	}
	table := tabwriter.NewWriter(p.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ID\tSLUG\tNAME\tPLACEMENT\tSTATE\tVERSION")
	for _, e := range entries {
		fmt.Fprintf(table, "%d\t%s\t%s\t%s\t%s\t%s\n", e.ID, e.Slug, e.Name, e.Placement, e.State, versionShown(e.Version))
	}
	return table.Flush()
}

// versionShown says how a version of the tables stands to this program's, where it is not the same.
func versionShown(version int64) string {
	newest := migrations.Tenant.Newest()
	switch {
	case version == 0:
		return "not known"
	case version < newest:
		return fmt.Sprintf("%d, outdated", version)
	case version > newest:
		return fmt.Sprintf("%d, newer", version)
	}
	return strconv.FormatInt(version, 10)
}

// listed is a tenant as JSON.
type listed struct {
	ID       int64  `json:"id"`
	Slug     string `json:"slug"`
	Name     string `json:"name"`
	Server   string `json:"server,omitempty"` // the default one has no name
	Database string `json:"database"`
	Schema   string `json:"schema"`
	State    string `json:"state"`
	Version  int64  `json:"version,omitempty"` // of its tables, if it is known
}

func writeTenants(w io.Writer, entries []tenancy.Entry) error {
	tenants := make([]listed, len(entries)) // so that no tenants are [] and not null
	for i, e := range entries {
		tenants[i] = listedOf(e)
	}
	return writeJSON(w, tenants)
}

func listedOf(e tenancy.Entry) listed {
	return listed{int64(models.AccountID(e.Tenant)), e.Slug, e.Name, e.Server, e.Database, e.Schema, e.State, e.Version}
}
