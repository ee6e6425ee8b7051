package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"tenanted/app/config"
	"tenanted/app/tenancy"
)

type createOptions struct {
	name   string
	where  config.Choice
	count  int
	many   bool // --count was given
	file   string
	dryRun bool
	jobs   int
}

func newTenantsCreate(p *program) *cobra.Command {
	var o createOptions
	cmd := &cobra.Command{
		Use:   "create SLUG | --from-file FILE",
		Short: "Create a tenant, or many",
		Long: `Creates a tenant, with a database or schema of its own where the configuration says so, and no data. Running servers
serve it at once, at SLUG under their domain. If it is interrupted, the tenant is left in state "creating" and not
served; the same command completes it.

In Mixed the tenant is in the shared tables, unless --schema or --database gives it one of its own. In MultipleSchemas
and MultipleDb they name its schema or database, which else is called after the slug. --server gives it a database of its
own on another server.

--count creates several: SLUG-1, SLUG-2 and so on. The number is also appended to --name, and to --schema or else --database.

--from-file creates the tenants of a CSV file (- for the standard input). Its first line names the columns, in any order: slug,
and optionally name, server, database and schema, which are as the flags. A file with two of them:
  slug,name
  acme,"Acme, Inc."
  bolt,Bolt

Both check the whole list first, and create nothing if a slug is invalid, reserved, repeated or taken. --dry-run prints what
would be created where. A tenant that fails does not stop the others; the exit code is then 1. After a failure or an
interruption, the same command continues with what is missing: the same file, or the same flags with any --count.`,
		Example: `  PROGRAM tenants create acme --name "Acme Inc."
  PROGRAM tenants create trial --count 1000
  PROGRAM tenants create --from-file tenants.csv --dry-run
  DJANGO_CONFIGURATION=Mixed PROGRAM tenants create acme --schema acme
  DJANGO_CONFIGURATION=Mixed PROGRAM tenants create acme --database tenanted_acme
  DJANGO_CONFIGURATION=Mixed PROGRAM tenants create acme --server eu`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.many = cmd.Flags().Changed("count")
			if err := o.validate(cmd, args); err != nil {
				return err
			}
			if o.file != "" || o.many || o.dryRun {
				return p.createMany(cmd.Context(), o, args)
			}
			return p.createOne(cmd.Context(), o, args[0])
		},
	}
	cmd.Flags().StringVar(&o.name, "name", "", "what people call the tenant (default the slug)")
	addPlacement(cmd, &o.where)
	cmd.Flags().IntVar(&o.count, "count", 1, "the number of tenants; the slug gets a number")
	cmd.Flags().StringVar(&o.file, "from-file", "", "a CSV file with the tenants; - for the standard input")
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", false, "print what would be created where, and create nothing")
	cmd.Flags().IntVar(&o.jobs, "jobs", 4, "how many tenants at a time, each with up to five connections")
	return cmd
}

// maxCount bounds --count, in case it is mistyped.
const maxCount = 100_000

func (o createOptions) validate(cmd *cobra.Command, args []string) error {
	switch {
	case o.jobs < 1:
		return usage("--jobs %d is below one", o.jobs)
	case o.count < 1 || o.count > maxCount:
		return usage("--count %d is not between 1 and %d", o.count, maxCount)
	case o.file == "":
		if err := arguments("the new tenant's slug")(cmd, args); err != nil {
			return err
		}
		return errors.Join(validSlug(args[0]), validName(o.name))
	case len(args) > 0 || o.name != "" || o.where != (config.Choice{}) || o.many:
		return usage("--from-file says which tenants: leave out the slug, --count, --name, --server, --database and --schema")
	}
	return nil
}

func (p *program) createOne(ctx context.Context, o createOptions, slug string) error {
	if err := p.checkChoice(slug, o.where); err != nil {
		return err
	}
	return p.withCreator(ctx, func(c *tenancy.Creator) error {
		tenant, err := c.CreateByName(ctx, slug, cmp.Or(o.name, slug), o.where)
		if err == nil {
			p.say(fmt.Sprintf("created %v in %s", tenant, tenant.Placement))
			p.say("nobody can sign in there yet: `tenants users invite " + tenant.Slug + " EMAIL --role admin` makes its first admin")
		}
		return err
	})
}
