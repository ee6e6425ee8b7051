package migrations

import (
	"context"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5"

	"tenanted/models"
	"tenanted/scopes"
	"tenanted/scopes/citus"
	"tenanted/scopes/fleet"
)

// Fleet completes a fleet's configuration for the placements of a set: its files, its version table, and, after each placement
// was brought up or found up to date, the rights of the runtime role, which runtime names. The tables of the set Shared are
// distributed where the database has the extension citus; say, if not nil, gets a line for each.
func Fleet(set Set, c fleet.Config, runtime func(scopes.Placement) string, say func(string)) (*fleet.Fleet, error) {
	return newFleet(set, c, runtime, func(ctx context.Context, conn *pgx.Conn, p scopes.Placement) error {
		if set != Shared {
			return nil
		}
		return distribute(ctx, conn, p, runtime(p), say)
	})
}

// Measure is [Fleet] for making what placements are compared with: see [fleet.Drifts]. It distributes nothing.
func Measure(set Set, c fleet.Config, runtime func(scopes.Placement) string) (*fleet.Fleet, error) {
	return newFleet(set, c, runtime, func(context.Context, *pgx.Conn, scopes.Placement) error { return nil })
}

func newFleet(set Set, c fleet.Config, runtime func(scopes.Placement) string,
	distribute func(context.Context, *pgx.Conn, scopes.Placement) error) (*fleet.Fleet, error) {
	dir, err := fs.Sub(files, string(set))
	if err != nil {
		return nil, err
	}
	from, err := compatibleFrom(files, set)
	if err != nil {
		return nil, err
	}
	c.Migrations, c.Table = dir, set.versionTable()
	c.NamesSchema = set == Control || set == Placement
	c.LockKey = func(p scopes.Placement) int64 { return LockKey(p.Schema) }
	c.Always = true
	c.After = func(ctx context.Context, conn *pgx.Conn, p scopes.Placement) error {
		comment := fmt.Sprintf("comment on table %s is '%s'", set.versionTable(), compatibleComment(from))
		if _, err := conn.Exec(ctx, comment); err != nil {
			return err
		}
		if err := distribute(ctx, conn, p); err != nil {
			return err
		}
		return Grant(ctx, conn, Target{set, p}, runtime(p))
	}
	return fleet.New(c)
}

// distribute distributes the tables of a shared placement over the workers of a Citus cluster, if the database is one's.
func distribute(ctx context.Context, conn *pgx.Conn, p scopes.Placement, runtime string, say func(string)) error {
	if installed, err := citus.Installed(ctx, conn); err != nil || !installed {
		return err
	}
	var tables []citus.Table
	for _, t := range models.Tables() {
		tables = append(tables, citus.Table{Name: t.Name, Column: t.Tenant})
	}
	return citus.Distribute(ctx, conn, citus.Config{Schema: p.Schema, Tables: tables, Runtime: runtime, Say: say})
}

// Grant gives the runtime role its rights in a target, over the owner's connection to its database, with its schema as the
// search_path. [Fleet] does that after each migration.
func Grant(ctx context.Context, conn *pgx.Conn, t Target, runtime string) error {
	names := []string{string(t.Set)}
	if t.Set == Control || t.Set == Placement {
		names = []string{"database", string(t.Set)}
	}
	for _, name := range names {
		if _, err := conn.Exec(ctx, grants(name, t, runtime), pgx.QueryExecModeSimpleProtocol); err != nil {
			return err
		}
	}
	return nil
}

// ResultOf is what became of a placement of a fleet of the set. Its error is an [*Error].
func ResultOf(set Set, r fleet.Result) Result {
	result := Result{Target: Target{set, r.Placement}, From: r.From, To: r.To, Duration: r.Took, Locks: r.Locks}
	if r.Err != nil {
		result.Err = &Error{Placement: r.Placement, Err: r.Err}
	}
	return result
}
