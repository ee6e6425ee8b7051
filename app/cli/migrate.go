package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"tenanted/app/config"
	"tenanted/app/tenancy"
	"tenanted/migrations"
	"tenanted/scopes"
)

type migrateOptions struct {
	database, tenant  string
	status, down, all bool
}

func newMigrate(p *program) *cobra.Command {
	var o migrateOptions
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Make databases, schemas and tables, and bring them to the newest version",
		Long: `Makes the roles, databases and schemas that are missing, where the owner may, and brings every placement to the
newest version, several at once. What is up to date stays as it is; only the runtime role's rights are renewed.

--down undoes the newest migration, with the data in the tables that it drops. It wants to be told where.`,
		Example: `  PROGRAM migrate
  PROGRAM migrate --status
  PROGRAM migrate --tenant tenant-3
  PROGRAM migrate --database tenanted_multipledb_tenant-0
  PROGRAM migrate --down --all`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.validate(); err != nil {
				return err
			}
			return p.with(cmd.Context(), func(s *server) error { return p.migrate(cmd.Context(), s, o) })
		},
	}
	cmd.Flags().StringVar(&o.database, "database", "", "only the placements in this database; tenant-0 does for one of tenant-0's own")
	cmd.Flags().StringVar(&o.tenant, "tenant", "", "only this tenant's placement")
	cmd.Flags().BoolVar(&o.status, "status", false, "show the versions, and change nothing")
	cmd.Flags().BoolVar(&o.down, "down", false, "undo the newest migration")
	cmd.Flags().BoolVar(&o.all, "all", false, "with --down: of every placement")
	return cmd
}

func (o migrateOptions) validate() error {
	one := o.database != "" || o.tenant != ""
	switch {
	case o.database != "" && o.tenant != "":
		return usage("--database and --tenant cannot be used together: name one of them")
	case o.status && o.down:
		return usage("--status and --down cannot be used together: --status changes nothing")
	case o.down && !one && !o.all:
		return usage("--down drops tables: say of which placements, with --database, --tenant or --all")
	case o.all && (one || !o.down):
		return usage("--all goes with --down, and without --database and --tenant")
	}
	return nil
}

func (p *program) migrate(ctx context.Context, s *server, o migrateOptions) error {
	setup, err := s.setup(p.say)
	if err != nil {
		return err
	}
	if o.status {
		return p.showVersions(ctx, setup, s.cfg, o)
	}
	if err := setup.Base(ctx); err != nil {
		return err
	}
	all, err := setup.Placements(ctx)
	if err != nil {
		return err
	}
	chosen, err := o.choose(ctx, setup, s.cfg, all)
	switch {
	case err != nil:
		return err
	case o.down && o.tenant != "" && s.cfg.Shared(chosen[0]):
		return usage("--down --tenant %s would drop every tenant's tables, for it shares them: if you mean that, use --all", o.tenant)
	case o.down:
		return setup.Down(ctx, chosen, p.showMigrated)
	default:
		return setup.Migrate(ctx, chosen, p.showMigrated)
	}
}

// choose returns the placements that the options name, of all there are.
func (o migrateOptions) choose(ctx context.Context, setup *tenancy.Setup, cfg config.Config, all []scopes.Placement) ([]scopes.Placement, error) {
	switch {
	case o.tenant != "":
		placement, err := setup.PlacementOf(ctx, o.tenant)
		return []scopes.Placement{placement}, err
	case o.database != "":
		chosen := slices.DeleteFunc(slices.Clone(all), func(p scopes.Placement) bool {
			return !slices.Contains([]string{p.InSchema("").String(), p.Database, strings.TrimPrefix(p.Database, cfg.Database+"_")}, o.database)
		})
		if len(chosen) == 0 && o.database != cfg.Database { // which has the directory, at least
			return nil, fmt.Errorf("no placement is in a database %q: %s has %s", o.database, cfg.Strategy, databasesOf(all))
		}
		return chosen, nil
	}
	return all, nil
}

func databasesOf(placements []scopes.Placement) string {
	var names []string
	for _, placement := range placements {
		if name := placement.InSchema("").String(); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	if len(names) > 5 {
		names = append(names[:5], "...")
	}
	return strings.Join(names, ", ")
}

func (p *program) showMigrated(r migrations.Result) {
	switch {
	case r.Err != nil:
		p.say(fmt.Sprintf("%s: failed", r.Target))
	case r.From == r.To:
		p.say(fmt.Sprintf("%s: version %d, nothing to do", r.Target, r.To))
	default:
		p.say(fmt.Sprintf("%s: version %d, was %d (%v)", r.Target, r.To, r.From, r.Duration.Round(time.Millisecond)))
	}
}

// showVersions prints a table: the directory, and the chosen placements.
func (p *program) showVersions(ctx context.Context, setup *tenancy.Setup, cfg config.Config, o migrateOptions) error {
	statuses, err := setup.Status(ctx)
	if err != nil {
		return err
	}
	var all []scopes.Placement
	for _, status := range statuses[1:] {
		all = append(all, status.Placement)
	}
	chosen, err := o.choose(ctx, setup, cfg, all)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(p.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "DATABASE\tSCHEMA\tSET\tVERSION\tNEWEST\tSTATE")
	var failed []error
	for _, s := range statuses {
		if s.Set == migrations.Control || slices.Contains(chosen, s.Placement) {
			fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%d\t%s\n", s.InSchema(""), s.Schema, s.Set, s.Version, s.Set.Newest(), s.State)
			failed = append(failed, s.Err)
		}
	}
	return errors.Join(table.Flush(), errors.Join(failed...))
}
