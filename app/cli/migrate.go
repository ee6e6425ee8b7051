package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tenanted/app/config"
	"tenanted/app/tenancy"
	"tenanted/migrations"
	"tenanted/scopes"
	"tenanted/scopes/fleet"
)

type migrateOptions struct {
	database, tenant  string
	status, down, all bool

	canary, format string
	tenancy.Migrate
}

func newMigrate(p *program) *cobra.Command {
	var o migrateOptions
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Make databases, schemas and tables, and bring them to the newest version",
		Long: `Makes the roles, databases and schemas that are missing, where the owner may, and brings every placement to the
newest version, several at once. What is up to date stays as it is; only the runtime role's rights are renewed. A
placement that fails does not stop the others, and the next run goes on with what is missing.

No statement waits for a lock, with a tenant's statements behind it, longer than --lock-timeout; what was too late is tried
again. --canary takes some placements first, and leaves the others alone if one of them fails. --dry-run does it in transactions
that are rolled back, and says what would fail and which tables would be locked for how long: it locks them itself meanwhile.

--atomic brings all placements to the newest version or, if one fails, none. The tables that are changed stay locked until the last one is done. Over several
databases each server needs max_prepared_transactions of as many as it has databases. Killed in the middle, it leaves transactions that are
prepared and hold their locks: the next "migrate" ends them as was decided.

--status shows the version of each placement, and what of its tables, keys, policies and rights is not as the migrations make them, with the
SQL that would mend it where nothing can be lost by it. It exits with 1 then.

--down undoes the newest migration, with the data in the tables that it drops. It wants to be told where.`,
		Example: `  PROGRAM migrate
  PROGRAM migrate --status
  PROGRAM migrate --tenant tenant-3
  PROGRAM migrate --database tenanted_multipledb_tenant-0
  PROGRAM migrate --dry-run
  PROGRAM migrate --canary acme,bolt
  PROGRAM migrate --atomic
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
	cmd.Flags().IntVar(&o.Jobs, "jobs", 4, "how many placements at a time, each with one connection")
	cmd.Flags().DurationVar(&o.LockTimeout, "lock-timeout", 2*time.Second, "how long a statement waits for a lock before it is tried again later")
	cmd.Flags().StringVar(&o.canary, "canary", "", "how many placements come first, or the slugs of their tenants, with commas")
	addFormat(cmd, &o.format)
	cmd.Flags().BoolVar(&o.Atomic, "atomic", false, "all placements or none, by two-phase commit over several databases")
	cmd.Flags().BoolVar(&o.DryRun, "dry-run", false, "in transactions that are rolled back")
	return cmd
}

func (o migrateOptions) validate() error {
	if err := knownFormat(o.format); err != nil {
		return err
	}
	one := o.database != "" || o.tenant != ""
	switch {
	case o.format == formatJSON && !o.status:
		return usage("--format json goes with --status")
	case o.Jobs < 1:
		return usage("--jobs %d is below one", o.Jobs)
	case o.LockTimeout <= 0:
		return usage("--lock-timeout %v must be above zero", o.LockTimeout)
	case o.Atomic && (o.canary != "" || o.DryRun || o.down || o.status):
		return usage("--atomic goes without --canary, --dry-run, --down and --status")
	case (o.canary != "" || o.DryRun) && (o.down || o.status):
		return usage("--canary and --dry-run go with neither --down nor --status")
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
		return p.showStatus(ctx, setup, s.cfg, o)
	}
	if o.DryRun {
		err = tenancy.DirectoryReady(ctx, s.cfg) // whose own migrations cannot be tried: they come first
	} else {
		err = setup.Base(ctx)
	}
	if err != nil {
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
		return setup.Down(ctx, chosen, func(r migrations.Result) { p.showMigrated(r, false) })
	}
	if chosen, o.Canary, err = o.canaries(ctx, setup, chosen); err != nil {
		return err
	}
	shown := newBar(p.Err, "placements", int64(len(chosen)))
	o.Report = func(r migrations.Result, progress fleet.Progress) {
		shown.set(int64(progress.Done))
		p.showMigrated(r, o.DryRun)
	}
	o.Waiting = func(l fleet.Lock) { fmt.Fprintf(p.Err, "waiting: %v\n", l) }
	o.Settled = func(s fleet.Settled) { fmt.Fprintln(p.Err, s) }
	err = setup.Migrate(ctx, chosen, o.Migrate)
	shown.end()
	return err
}

// canaries brings the placements that come first to the front, and returns how many they are.
func (o migrateOptions) canaries(ctx context.Context, setup *tenancy.Setup, placements []scopes.Placement) ([]scopes.Placement, int, error) {
	if n, err := strconv.Atoi(o.canary); err == nil || o.canary == "" {
		if n < 0 {
			return nil, 0, usage("--canary %d is below zero", n)
		}
		return placements, n, nil
	}
	var first []scopes.Placement
	for slug := range strings.SplitSeq(o.canary, ",") {
		p, err := setup.PlacementOf(ctx, strings.TrimSpace(slug))
		if err != nil {
			return nil, 0, fmt.Errorf("--canary: %w", err)
		}
		if !slices.Contains(first, p) {
			first = append(first, p)
		}
	}
	others := slices.DeleteFunc(slices.Clone(placements), func(p scopes.Placement) bool { return slices.Contains(first, p) })
	return append(first, others...), len(first), nil
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

func (p *program) showMigrated(r migrations.Result, dryRun bool) {
	switch {
	case errors.Is(r.Err, fleet.ErrNotBegun):
		p.say(fmt.Sprintf("%s: not begun", r.Target))
	case errors.Is(r.Err, fleet.ErrRolledBack):
		p.say(fmt.Sprintf("%s: rolled back", r.Target))
	case r.Err != nil:
		p.say(fmt.Sprintf("%s: failed", r.Target))
	case dryRun && r.From != r.To:
		p.say(fmt.Sprintf("%s: version %d would be %d, in %v%s", r.Target, r.From, r.To, r.Duration.Round(time.Millisecond), lockedTables(r.Locks)))
	case r.From == r.To:
		p.say(fmt.Sprintf("%s: version %d, nothing to do", r.Target, r.To))
	default:
		p.say(fmt.Sprintf("%s: version %d, was %d (%v)", r.Target, r.To, r.From, r.Duration.Round(time.Millisecond)))
	}
}

func lockedTables(locks []fleet.TableLock) string {
	if len(locks) == 0 {
		return ""
	}
	var names []string
	for _, lock := range locks {
		names = append(names, lock.Table+" ("+lock.Mode+")")
	}
	return ", with locks on " + strings.Join(names, ", ")
}
