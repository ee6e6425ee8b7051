package migrations

import (
	"context"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5"

	"tenanted/scopes"
	"tenanted/scopes/fleet"
)

// Fleet completes a fleet's configuration for the placements of a set: its files, its version table, and, after each placement
// was brought up or found up to date, the rights of the runtime role, which runtime names.
func Fleet(set Set, c fleet.Config, runtime func(scopes.Placement) string) (*fleet.Fleet, error) {
	dir, err := fs.Sub(files, string(set))
	if err != nil {
		return nil, err
	}
	from, err := compatibleFrom(files, set)
	if err != nil {
		return nil, err
	}
	c.Migrations, c.Table = dir, set.versionTable()
	c.LockKey = func(p scopes.Placement) int64 { return LockKey(p.Schema) }
	c.Always = true
	c.After = func(ctx context.Context, conn *pgx.Conn, p scopes.Placement) error {
		sql := fmt.Sprintf("comment on table %s is '%s'", set.versionTable(), compatibleComment(from))
		if _, err := conn.Exec(ctx, sql); err != nil {
			return err
		}
		_, err := conn.Exec(ctx, grants(string(set), Target{set, p}, runtime(p)), pgx.QueryExecModeSimpleProtocol)
		return err
	}
	return fleet.New(c)
}
