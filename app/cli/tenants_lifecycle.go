package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"tenanted/app/config"
	"tenanted/app/tenancy"
	"tenanted/scopes/tenanthttp"
)

// addPlacement adds the flags that choose a tenant's placement.
func addPlacement(cmd *cobra.Command, where *config.Choice) {
	cmd.Flags().StringVar(&where.Database, "database", "", "the name of a database of its own")
	cmd.Flags().StringVar(&where.Server, "server", "", "the server, of those that SERVER_NAME_HOST configures, for a database of its own")
	cmd.Flags().StringVar(&where.Schema, "schema", "", "the name of a schema of its own")
}

// checkChoice refuses an invalid placement before a server is started.
func (p *program) checkChoice(slug string, where config.Choice) error {
	cfg, err := p.load()
	if err == nil && where != (config.Choice{}) {
		_, err = cfg.PlacementFor(slug, where)
	}
	return err
}

func newTenantsSuspend(p *program) *cobra.Command {
	return p.stateCommand("suspend", "Stop serving a tenant, and keep its data",
		"Requests for the tenant are answered with 503 and a page that says it is suspended, in running servers at once.",
		"is suspended", (*tenancy.Creator).Suspend)
}

func newTenantsResume(p *program) *cobra.Command {
	return p.stateCommand("resume", "Serve a suspended tenant again",
		"The tenant's database must be there, and belong to this deployment.",
		"is served", (*tenancy.Creator).Resume)
}

func (p *program) stateCommand(verb, short, long, done string, change func(*tenancy.Creator, context.Context, string) (tenancy.Entry, error)) *cobra.Command {
	return p.withTenant(&cobra.Command{
		Use:     verb + " TENANT",
		Short:   short,
		Long:    long,
		Example: "  PROGRAM tenants " + verb + " acme",
		Args:    arguments("the tenant"),
	}, func(ctx context.Context, c *tenancy.Creator, args []string) error {
		entry, err := change(c, ctx, args[0])
		if err == nil {
			p.say(fmt.Sprintf("tenant %s %s", entry.Slug, done))
		}
		return err
	})
}

// withTenant completes a command whose first argument is a tenant. It calls run with the arguments on databases that are set up.
func (p *program) withTenant(cmd *cobra.Command, run func(ctx context.Context, c *tenancy.Creator, args []string) error) *cobra.Command {
	cmd.ValidArgsFunction = p.completeTenant
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return p.withCreator(cmd.Context(), func(c *tenancy.Creator) error { return run(cmd.Context(), c, args) })
	}
	return cmd
}

// withCreator runs work on databases that are set up.
func (p *program) withCreator(ctx context.Context, work func(*tenancy.Creator) error) error {
	return p.with(ctx, func(s *server) error {
		if err := p.prepare(ctx, s); err != nil {
			return err
		}
		return p.withCreatorOn(ctx, s, work)
	})
}

func (p *program) withCreatorOn(ctx context.Context, s *server, work func(*tenancy.Creator) error) error {
	setup, err := s.setup(func(string) {})
	if err != nil {
		return err
	}
	creator, err := setup.NewCreator(ctx)
	if err != nil {
		return err
	}
	defer creator.Close(context.WithoutCancel(ctx))
	return work(creator)
}

// arguments requires one argument for each name; the error lists the names.
func arguments(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != len(names) {
			return usage("%s takes %s, and was given %d arguments: see `%s --help`", cmd.Name(), strings.Join(names, " and "), len(args), cmd.CommandPath())
		}
		return nil
	}
}

func validSlug(slug string) error {
	if !tenanthttp.ValidSlug(slug) {
		return usage("%q is not a slug: use letters a to z, digits and hyphens, at most 63, no hyphen at the ends", slug)
	}
	return nil
}

// completeTenant completes a command's first argument, which is a tenant.
func (p *program) completeTenant(cmd *cobra.Command, args []string, toComplete string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return p.completeFrom(func(e tenancy.Entry) string { return e.Slug })(cmd, args, toComplete)
}

func validName(name string) error {
	if err := tenancy.CheckName(name); err != nil {
		return usage("--name %v", err)
	}
	return nil
}
