package cli

import (
	"context"
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"tenanted/app/config"
	"tenanted/seed"
)

// namedAccounts is the number of accounts up to which each is printed on a line.
const namedAccounts = 10

// seedWorkers is how many accounts are loaded at a time: enough to keep the server busy while some wait for a commit to reach
// the disk. Each may need two connections, of DB_MAX_CONNS in total.
func seedWorkers(cfg config.Config) int {
	return max(1, min(2*runtime.NumCPU(), cfg.MaxConns/2))
}

func newSeed(p *program) *cobra.Command {
	var accounts int
	var rollback bool
	options := seed.DefaultOptions()
	cmd := &cobra.Command{
		Use:     "seed",
		Aliases: []string{"createtestdata"},
		Short:   "Make tenants with demo data",
		Long: `Makes the accounts tenant-0, tenant-1, ... with users, projects, tasks and subtasks. An account's data depends on
its number and --seed only. Accounts that exist are left as they are, so a run that was interrupted is resumed by
running it again. All users have the password "password".

A number above 10 shows progress instead of names. In MultipleDb there can be at most MULTIDB_COUNT accounts. In Mixed
they are in the shared tables, a schema and a database by turns, with at most MULTIDB_COUNT databases.`,
		Example: `  PROGRAM seed --accounts 20
  PROGRAM seed --accounts 3 --min-projects 5 --max-projects 5
  PROGRAM seed --accounts 100 --rollback`,
		Args: noArgs,
	}
	flags := cmd.Flags()
	flags.IntVar(&accounts, "accounts", 0, "the number of accounts, including those that exist (default MULTIDB_COUNT in MultipleDb, else 1)")
	for _, r := range []struct {
		name, what string
		of         *seed.Range
	}{
		{"users", "users of an account", &options.Users}, {"projects", "projects of an account", &options.Projects},
		{"tasks", "tasks of a project", &options.Tasks}, {"subtasks", "subtasks of a task", &options.Subtasks},
	} {
		flags.IntVar(&r.of.Min, "min-"+r.name, r.of.Min, "the fewest "+r.what)
		flags.IntVar(&r.of.Max, "max-"+r.name, r.of.Max, "the most "+r.what)
	}
	flags.Uint64Var(&options.Seed, "seed", options.Seed, "the seed of the random data")
	flags.BoolVar(&rollback, "rollback", false, "load each account in a transaction that is rolled back")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := options.Validate(); err != nil {
			return usageError{err}
		}
		return p.seed(cmd.Context(), options, accounts, flags.Changed("accounts"), rollback)
	}
	return cmd
}

// seedDefaults returns the options of a seed without flags.
func seedDefaults(cfg config.Config) seed.Options {
	options := seed.DefaultOptions()
	options.Location = cfg.Location
	return options
}

func (p *program) seed(ctx context.Context, options seed.Options, accounts int, given, rollback bool) error {
	if accounts < 0 {
		return usage("--accounts %d is below zero: give how many accounts there shall be", accounts)
	}
	cfg, err := p.load()
	if err != nil {
		return err
	}
	limit, limited := cfg.TenantLimit()
	switch {
	case !given && limited:
		accounts = limit
	case !given:
		accounts = 1
	case limited && accounts > limit:
		return fmt.Errorf("--accounts %d is above MULTIDB_COUNT, %d: %s has a database for no more accounts", accounts, limit, cfg.Strategy)
	}
	options.Location = cfg.Location
	tuneGC()
	return p.with(ctx, func(s *server) error {
		if err := p.prepare(ctx, s); err != nil {
			return err
		}
		shown := newProgress(p.Out, accounts)
		load := loader{options: options, rollback: rollback, accounts: accounts, workers: seedWorkers(s.cfg), where: s.cfg.SeedChoice, progress: shown.done}
		totals, err := load.run(ctx, s)
		shown.end()
		if err != nil {
			return err
		}
		p.showTotals(totals, rollback)
		return nil
	})
}

func (p *program) showTotals(t seed.Totals, rolledBack bool) {
	for _, total := range []struct {
		count int64
		noun  string
	}{{t.Accounts, "accounts"}, {t.Users, "users"}, {t.Projects, "projects"}, {t.Tasks, "tasks"}, {t.Subtasks, "subtasks"}} {
		p.say(fmt.Sprintf("%9d %s", total.count, total.noun))
	}
	if t.Existing > 0 {
		p.say(fmt.Sprintf("%d of the accounts were there already and left as they are", t.Existing))
	}
	if rolledBack {
		p.say("rolled back: nothing was kept")
	}
}
