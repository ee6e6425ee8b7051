package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"tenanted/app/config"
	"tenanted/app/tenancy"
	"tenanted/scopes"
	"tenanted/scopes/audit"
)

type checkOptions struct {
	format string
	fix    bool
}

func newCheck(p *program) *cobra.Command {
	var o checkOptions
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Say whether each layer of isolation is in force",
		Long: `Looks at every placement: the roles, the tables' row-level security, keys and rights, ways around them, and whether
this program's own statements carry the tenant. Exits with 1 if something is not in force.

Each finding says what could happen and the SQL that mends it. --fix applies what is safe to apply unseen, as
the owner.`,
		Example: `  tenanted check
  tenanted check --format json
  tenanted check --fix`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.format != "text" && o.format != "json" {
				return usage("--format %s is unknown: choose text or json", o.format)
			}
			return p.with(cmd.Context(), func(s *server) error { return p.check(cmd.Context(), s.cfg, o) })
		},
	}
	cmd.Flags().StringVar(&o.format, "format", "text", "text, or json for programs")
	cmd.Flags().BoolVar(&o.fix, "fix", false, "mend what is safe to mend")
	return cmd
}

func (p *program) check(ctx context.Context, cfg config.Config, o checkOptions) error {
	if o.fix && cfg.Owner == "" {
		return &config.Error{Variable: "PGOWNER", Reason: "is not set: mending is the owner's"}
	}
	fleet, err := tenancy.Fleet(ctx, cfg)
	if err != nil {
		return err
	}
	reports, err := auditAll(ctx, cfg, fleet)
	if err == nil && o.fix {
		reports, err = p.mend(ctx, cfg, fleet, reports)
	}
	if err != nil {
		return err
	}
	if err := probe(ctx, cfg, reports); err != nil {
		return err
	}
	write := audit.WriteText
	if o.format == "json" {
		write = audit.WriteJSON
	}
	return errors.Join(write(p.Out, reports...), verdict(reports))
}

// verdict is an error if something is not in force. The reports have said what.
func verdict(reports []audit.Report) error {
	defects := 0
	for _, report := range reports {
		defects += len(report.Defects())
	}
	switch defects {
	case 0:
		return nil
	case 1:
		return errors.New("isolation is not in force: 1 defect")
	}
	return fmt.Errorf("isolation is not in force: %d defects", defects)
}

// auditAll audits each database that has placements, as the runtime role.
func auditAll(ctx context.Context, cfg config.Config, fleet []scopes.Placement) ([]audit.Report, error) {
	var reports []audit.Report
	for database, schemas := range byDatabase(fleet) {
		report, err := auditOne(ctx, cfg, database, schemas)
		if err != nil {
			return nil, err
		}
		reports = append(reports, report)
	}
	return reports, nil
}

func auditOne(ctx context.Context, cfg config.Config, database string, schemas []string) (audit.Report, error) {
	conn, err := tenancy.Connect(ctx, cfg.Runtime(), database)
	if err != nil {
		return audit.Report{}, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return audit.Run(ctx, conn, tenancy.AuditConfig(cfg), schemas...)
}

// byDatabase yields each database with its schemas, in the order of the placements.
func byDatabase(fleet []scopes.Placement) func(yield func(string, []string) bool) {
	return func(yield func(string, []string) bool) {
		var names []string
		schemas := map[string][]string{}
		for _, placement := range fleet {
			if !slices.Contains(names, placement.Database) {
				names = append(names, placement.Database)
			}
			schemas[placement.Database] = append(schemas[placement.Database], placement.Schema)
		}
		for _, name := range names {
			if !yield(name, schemas[name]) {
				return
			}
		}
	}
}

// mend applies what is safe, as the owner, and returns how things are then.
func (p *program) mend(ctx context.Context, cfg config.Config, fleet []scopes.Placement, reports []audit.Report) ([]audit.Report, error) {
	for _, report := range reports {
		applied, err := mendOne(ctx, cfg, report)
		if err != nil {
			return nil, err
		}
		for _, check := range applied { // not on the standard output, which may be JSON
			fmt.Fprintf(p.Err, "mended in %s: %s: %s\n", report.Database, check.Object, check.Message)
		}
	}
	return auditAll(ctx, cfg, fleet)
}

func mendOne(ctx context.Context, cfg config.Config, report audit.Report) ([]audit.Check, error) {
	if report.InForce() {
		return nil, nil
	}
	conn, err := tenancy.Connect(ctx, cfg.OwnerConn(), report.Database)
	if err != nil {
		return nil, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return audit.Fix(ctx, conn, report)
}
