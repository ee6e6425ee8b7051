package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"tenanted/app/tenancy"
)

func newTenantsDomains(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "domains",
		Short: "Host names of a tenant's own",
		Long: `A tenant is served at its slug below the base domains (ALLOWED_HOSTS), and at any number of host names of its own,
for which you need a DNS record that leads to this server and a certificate at the proxy in front of it.`,
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
	return p.withTenant(&cobra.Command{
		Use:     "add TENANT DOMAIN",
		Short:   "Serve a tenant at a host name of its own",
		Long:    "Running servers serve the tenant there at once. A host name belongs to one tenant.",
		Example: "  PROGRAM tenants domains add acme app.acme.com",
		Args:    arguments("the tenant", "a host name"),
	}, func(ctx context.Context, c *tenancy.Creator, args []string) error {
		entry, domain, err := c.AddDomain(ctx, args[0], args[1])
		if err == nil {
			p.say(fmt.Sprintf("tenant %s is served at %s", entry.Slug, domain))
		}
		return err
	})
}

func (p *program) domainsRemove() *cobra.Command {
	return p.withTenant(&cobra.Command{
		Use:     "remove TENANT DOMAIN",
		Short:   "Stop serving a tenant at a host name",
		Long:    "Running servers stop at once.",
		Example: "  PROGRAM tenants domains remove acme app.acme.com",
		Args:    arguments("the tenant", "a host name"),
	}, func(ctx context.Context, c *tenancy.Creator, args []string) error {
		entry, err := c.RemoveDomain(ctx, args[0], args[1])
		if err == nil {
			p.say(fmt.Sprintf("tenant %s is no longer served at %s", entry.Slug, args[1]))
		}
		return err
	})
}

func (p *program) domainsList() *cobra.Command {
	return p.withTenant(&cobra.Command{
		Use:     "list TENANT",
		Short:   "List the host names of a tenant's own, one a line",
		Example: "  PROGRAM tenants domains list acme",
		Args:    arguments("the tenant"),
	}, func(ctx context.Context, c *tenancy.Creator, args []string) error {
		entry, err := c.Find(ctx, args[0])
		if err != nil {
			return err
		}
		domains, err := c.Domains(ctx, entry.Tenant)
		for _, domain := range domains {
			p.say(domain)
		}
		return err
	})
}
