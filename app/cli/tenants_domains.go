package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"tenanted/app/tenancy"
)

func newTenantsDomains(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "domains",
		Short: "Host names of a tenant's own",
		Long: `A tenant is served at its slug below the base domains (ALLOWED_HOSTS), and at any number of host names of its own,
which must lead to this server: that is DNS, and a certificate at the proxy in front.`,
		Example: `  PROGRAM tenants domains add acme app.acme.com
  PROGRAM tenants domains list acme
  PROGRAM tenants domains remove acme app.acme.com`,
		Args: cobra.ArbitraryArgs,
		RunE: unknownCommand,
	}
	cmd.AddCommand(p.domainsAdd(), p.domainsRemove(), p.domainsList())
	return cmd
}

func (p *program) domainsAdd() *cobra.Command {
	return &cobra.Command{
		Use:               "add TENANT DOMAIN",
		Short:             "Serve a tenant at a host name of its own",
		Long:              "Running servers serve the tenant there at once. A host name is one tenant's.",
		Example:           "  PROGRAM tenants domains add acme app.acme.com",
		Args:              arguments("the tenant", "a host name"),
		ValidArgsFunction: p.completeTenant,
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.withCreator(cmd.Context(), func(c *tenancy.Creator) error {
				entry, domain, err := c.AddDomain(cmd.Context(), args[0], args[1])
				if err == nil {
					p.say(fmt.Sprintf("tenant %s is served at %s", entry.Slug, domain))
				}
				return err
			})
		},
	}
}

func (p *program) domainsRemove() *cobra.Command {
	return &cobra.Command{
		Use:               "remove TENANT DOMAIN",
		Short:             "Serve a tenant no longer at a host name",
		Long:              "Running servers stop at once.",
		Example:           "  PROGRAM tenants domains remove acme app.acme.com",
		Args:              arguments("the tenant", "a host name"),
		ValidArgsFunction: p.completeTenant,
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.withCreator(cmd.Context(), func(c *tenancy.Creator) error {
				entry, err := c.RemoveDomain(cmd.Context(), args[0], args[1])
				if err == nil {
					p.say(fmt.Sprintf("tenant %s is no longer served at %s", entry.Slug, args[1]))
				}
				return err
			})
		},
	}
}

func (p *program) domainsList() *cobra.Command {
	return &cobra.Command{
		Use:               "list TENANT",
		Short:             "List the host names of a tenant's own, one a line",
		Example:           "  PROGRAM tenants domains list acme",
		Args:              arguments("the tenant"),
		ValidArgsFunction: p.completeTenant,
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.withCreator(cmd.Context(), func(c *tenancy.Creator) error {
				entry, err := c.Find(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				domains, err := c.Domains(cmd.Context(), entry.Tenant)
				for _, domain := range domains {
					p.say(domain)
				}
				return err
			})
		},
	}
}
