package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

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
		Long: `Looks at the default database and at every placement: the roles, the tables' row-level security, keys and rights, ways
around them, and whether this program's own statements work for the right tenant.

Each defect says what could happen and the SQL that fixes it. --fix applies what is safe to apply without a person
looking at it, as the owner.

Exits with 0 if everything is in force, 1 if something is not, and 3 if nothing is known to be wrong and something could
not be looked at.`,
		Example: `  PROGRAM check
  PROGRAM check --format json
  PROGRAM check --fix`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := knownFormat(o.format); err != nil {
				return err
			}
			return p.with(cmd.Context(), func(s *server) error { return p.check(cmd.Context(), s.cfg, o) })
		},
	}
	addFormat(cmd, &o.format)
	cmd.Flags().BoolVar(&o.fix, "fix", false, "apply the fixes that are safe")
	return cmd
}

func (p *program) check(ctx context.Context, cfg config.Config, o checkOptions) error {
	if o.fix && cfg.Owner == "" {
		return &config.Error{Variable: "PGOWNER", Reason: "is not set: only the owner can fix anything"}
	}
	fleet, err := tenancy.Fleet(ctx, cfg)
	if err != nil {
		return err
	}
	reports := auditAll(ctx, cfg, fleet)
	if o.fix {
		p.fix(ctx, cfg, reports)
		reports = auditAll(ctx, cfg, fleet)
	}
	if err := probe(ctx, cfg, reports); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	write := audit.WriteText
	if o.format == formatJSON {
		write = audit.WriteJSON
	}
	return errors.Join(write(p.Out, reports...), verdict(audit.Summarize(reports...)))
}

// notCheckedError is a check that found no defect and could not look at everything.
type notCheckedError struct{ error }

// verdict returns an error if a layer is not in force, or could not be checked. The reports have the details.
func verdict(s audit.Summary) error {
	switch {
	case s.Defects == 1:
		return errors.New("isolation is not in force: 1 defect")
	case s.Defects > 1:
		return fmt.Errorf("isolation is not in force: %d defects", s.Defects)
	case s.Result != "in force":
		return notCheckedError{fmt.Errorf("isolation is not known to be in force: %d not checked", s.NotChecked)}
	}
	return nil
}

// auditWorkers is how many databases are audited at a time, each over one connection.
const auditWorkers = 4

// auditAll audits, as the runtime role, the default database and every other one that has placements. If a database cannot be
// reached, its report says so.
func auditAll(ctx context.Context, cfg config.Config, fleet []scopes.Placement) []audit.Report {
	databases := tenancy.ByDatabase(cfg, fleet)
	reports := make([]audit.Report, len(databases))
	var group errgroup.Group
	group.SetLimit(auditWorkers)
	for i, d := range databases {
		group.Go(func() error {
			report, err := auditOne(ctx, cfg, d)
			if err != nil {
				report = audit.Report{Database: d.Database.Database, Runtime: cfg.User, Schemas: d.Schemas,
					Checks: []audit.Check{unchecked("connect", "connection", "database "+d.Database.String(), err)}}
			}
			report.Server = d.Database.Server
			reports[i] = report
			return nil
		})
	}
	_ = group.Wait() // the errors are in the reports
	return reports
}

func auditOne(ctx context.Context, cfg config.Config, d tenancy.DatabasePlacements) (audit.Report, error) {
	conn, err := tenancy.Connect(ctx, cfg, config.AsRuntime, d.Database)
	if err != nil {
		return audit.Report{}, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	report, err := audit.Run(ctx, conn, tenancy.AuditConfig(cfg, d.Database), d.Schemas...)
	if err != nil {
		return report, err
	}
	report.Checks = append(report.Checks, identity(ctx, cfg, conn, d.Database))
	return report, nil
}

// identity checks whether a database belongs to this deployment.
func identity(ctx context.Context, cfg config.Config, conn *pgx.Conn, database scopes.Placement) audit.Check {
	check := audit.Check{ID: "identity", Layer: layerDirectory, Object: "database " + database.String()}
	err := tenancy.VerifyIdentity(ctx, cfg, conn, database)
	if _, foreign := errors.AsType[*tenancy.PlacementError](err); err != nil && !foreign {
		check.Status, check.Message = audit.NotChecked, err.Error()
		return check
	}
	judge(&check, err == nil, "belongs to this deployment", fmt.Sprint(err), "a copy of this deployment works on another one's tenants")
	return check
}

// in returns the placement of a schema in the report's database.
func in(report audit.Report, schema string) scopes.Placement {
	return scopes.Placement{Server: report.Server, Database: report.Database, Schema: schema}
}

// unchecked returns a check that could not be made.
func unchecked(id string, layer audit.Layer, object string, err error) audit.Check {
	return audit.Check{ID: id, Layer: layer, Object: object, Status: audit.NotChecked, Message: err.Error()}
}

// fix applies the safe fixes as the owner. If that fails in one database, the others are fixed all the same.
func (p *program) fix(ctx context.Context, cfg config.Config, reports []audit.Report) {
	for _, report := range reports {
		applied, err := fixOne(ctx, cfg, report)
		if err != nil {
			fmt.Fprintf(p.Err, "not fixed in %s: %v\n", in(report, ""), err)
		}
		for _, check := range applied { // not on the standard output, which may be JSON
			fmt.Fprintf(p.Err, "fixed in %s: %s: %s\n", in(report, ""), check.Object, check.Message)
		}
	}
}

func fixOne(ctx context.Context, cfg config.Config, report audit.Report) ([]audit.Check, error) {
	if report.InForce() {
		return nil, nil
	}
	conn, err := tenancy.Connect(ctx, cfg, config.AsOwner, in(report, ""))
	if err != nil {
		return nil, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return audit.Fix(ctx, conn, report)
}
