package audit

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Fix applies the SQL of the defects that are safe to fix without review (see [Rule].Safe), and returns them. It takes a report
// that [Run] has just made of the same database, and a connection as the role that owns the tables.
//
// It uses one transaction: on an error nothing has changed. A lock that is not available within five seconds is an error. Where
// the owner lacks a right, as for a grant of another role, PostgreSQL may only warn and change nothing: run the audit again.
func Fix(ctx context.Context, owner *pgx.Conn, report Report) ([]Check, error) {
	var applied []Check
	err := pgx.BeginFunc(ctx, owner, func(tx pgx.Tx) error {
		var database string
		if err := tx.QueryRow(ctx, "select current_database()").Scan(&database); err != nil {
			return err
		}
		if database != report.Database {
			return fmt.Errorf("the report is of database %q, the connection is to %q", report.Database, database)
		}
		if _, err := tx.Exec(ctx, "set local lock_timeout = '5s'; set local search_path to pg_catalog, pg_temp"); err != nil {
			return err
		}
		for _, c := range report.Defects() {
			if !c.SafeToFix {
				continue
			}
			if _, err := tx.Exec(ctx, c.Fix); err != nil {
				return fmt.Errorf("%s of %s: %w", c.ID, c.Object, err)
			}
			applied = append(applied, c)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("fix database %q: %w", report.Database, err)
	}
	return applied, nil
}
