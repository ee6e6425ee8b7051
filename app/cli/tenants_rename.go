package cli

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"tenanted/app/tenancy"
)

// defaultRedirect is how long requests at a former slug are redirected.
const defaultRedirect = 30 * 24 * time.Hour

func newTenantsRename(p *program) *cobra.Command {
	var to tenancy.Rename
	cmd := &cobra.Command{
		Use:   "rename TENANT [SLUG]",
		Short: "Give a tenant another slug or name",
		Long: `Gives a tenant (its slug or id) another slug, or with --name another name. Its database or schema keeps its name.
Requests at the former slug are redirected to the new one for a while, and nobody else gets the slug before.`,
		Example: `  PROGRAM tenants rename acme bolt
  PROGRAM tenants rename acme bolt --redirect-for 0
  PROGRAM tenants rename acme --name "Acme Ltd"`,
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: p.completeTenant,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := renameArgs(cmd, args, &to); err != nil {
				return err
			}
			return p.withCreator(cmd.Context(), func(c *tenancy.Creator) error {
				was, err := c.Rename(cmd.Context(), args[0], to)
				if err == nil {
					p.say(renamed(was, to))
				}
				return err
			})
		},
	}
	cmd.Flags().StringVar(&to.Name, "name", "", "what people call the tenant")
	cmd.Flags().DurationVar(&to.RedirectFor, "redirect-for", defaultRedirect, "how long the former slug leads to the new one; 0 for not at all")
	return cmd
}

func renameArgs(cmd *cobra.Command, args []string, to *tenancy.Rename) error {
	switch {
	case len(args) == 0 || len(args) > 2 || len(args) == 1 && to.Name == "":
		return usage("rename takes the tenant, and its new slug or --name: see `%s --help`", cmd.CommandPath())
	case to.RedirectFor < 0:
		return usage("--redirect-for %v is below zero", to.RedirectFor)
	case len(args) == 1:
		return validName(to.Name)
	}
	to.Slug = args[1]
	return errors.Join(validSlug(to.Slug), validName(to.Name))
}

func renamed(was tenancy.Entry, to tenancy.Rename) string {
	text := fmt.Sprintf("tenant %s", was.Slug)
	if to.Slug != "" {
		text += " is " + to.Slug + " now"
	}
	if to.Name != "" {
		text += fmt.Sprintf(", called %q", to.Name)
	}
	if to.Slug != "" && to.Slug != was.Slug && to.RedirectFor > 0 {
		text += fmt.Sprintf("; %s is redirected until %s", was.Slug, time.Now().Add(to.RedirectFor).UTC().Format("2006-01-02 15:04 UTC"))
	}
	return text
}
