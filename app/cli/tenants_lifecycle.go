package cli

import (
	"context"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"tenanted/app/tenancy"
	"tenanted/scopes/tenanthttp"
)

func newTenantsCreate(p *program) *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use:   "create SLUG",
		Short: "Create a tenant",
		Long: `Creates a tenant, with a database or schema of its own where the configuration says so, and no data. Running servers
serve it at once, at SLUG under their domain. If it is interrupted, the tenant is left in state "creating" and not
served; the same command completes it.`,
		Example: `  PROGRAM tenants create acme --name "Acme Inc."`,
		Args:    oneSlug,
		RunE: func(cmd *cobra.Command, args []string) error {
			if name == "" {
				name = args[0]
			}
			if err := validName(name); err != nil {
				return err
			}
			return p.withCreator(cmd.Context(), func(c *tenancy.Creator) error {
				tenant, err := c.CreateByName(cmd.Context(), args[0], name)
				if err == nil {
					p.say(fmt.Sprintf("created %v in %s", tenant, tenant.Placement))
				}
				return err
			})
		},
	}
	cmd.Flags().StringVar(&name, "name", "", "what people call the tenant (default the slug)")
	return cmd
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

func (p *program) stateCommand(verb, short, long, done string, change func(*tenancy.Creator, context.Context, string) error) *cobra.Command {
	return &cobra.Command{
		Use:               verb + " SLUG",
		Short:             short,
		Long:              long,
		Example:           "  PROGRAM tenants " + verb + " acme",
		Args:              oneSlug,
		ValidArgsFunction: p.completeFrom(func(e tenancy.Entry) string { return e.Slug }),
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.withCreator(cmd.Context(), func(c *tenancy.Creator) error {
				err := change(c, cmd.Context(), args[0])
				if err == nil {
					p.say(fmt.Sprintf("tenant %s %s", args[0], done))
				}
				return err
			})
		},
	}
}

// withCreator runs work on databases that are set up.
func (p *program) withCreator(ctx context.Context, work func(*tenancy.Creator) error) error {
	return p.with(ctx, func(s *server) error {
		if err := p.prepare(ctx, s); err != nil {
			return err
		}
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
	})
}

func oneSlug(cmd *cobra.Command, args []string) error {
	switch {
	case len(args) != 1:
		return usage("%s takes one argument, the tenant's slug, and was given %d: see `%s --help`", cmd.Name(), len(args), cmd.CommandPath())
	case !tenanthttp.ValidSlug(args[0]):
		return usage("%q is not a slug: use letters a to z, digits and hyphens, at most 63, no hyphen at the ends", args[0])
	}
	return nil
}

// maxName bounds a tenant's name, in characters.
const maxName = 200

func validName(name string) error {
	switch {
	case !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl):
		return usage("--name %q has characters that cannot be shown: leave them out", name)
	case utf8.RuneCountInString(name) > maxName:
		return usage("--name has %d characters: use at most %d", utf8.RuneCountInString(name), maxName)
	}
	return nil
}
