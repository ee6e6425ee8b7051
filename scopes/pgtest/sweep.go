package pgtest

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// What a process creates begins with its run's prefix.
func runPrefix(run uint32) string { return fmt.Sprintf("test_%08x_", run) }

// sweep drops what killed processes left, and templates that are no longer needed.
func (c *cluster) sweep(ctx context.Context) error {
	runs, err := c.names(ctx, `
		select distinct substr(name, 6, 8) from (
			select datname from pg_database union all select rolname from pg_roles) as made(name)
		where name ~ '^test_[0-9a-f]{8}_'`)
	if err != nil {
		return err
	}
	for _, name := range runs {
		var run uint32
		if _, err := fmt.Sscanf(name, "%x", &run); err != nil {
			return err
		}
		if err := c.sweepRun(ctx, run); err != nil {
			return err
		}
	}
	return c.sweepTemplates(ctx)
}

// sweepRun drops what a run made, if its process is no more: only then can its
// lock be taken.
func (c *cluster) sweepRun(ctx context.Context, run uint32) error {
	return c.ifFree(ctx, runLock, int32(run), func() error { return c.dropRun(ctx, run) })
}

func (c *cluster) dropRun(ctx context.Context, run uint32) error {
	if err := c.dropAll(ctx, runPrefix(run)); err != nil {
		return err
	}
	roles, err := c.names(ctx, `select rolname from pg_roles where starts_with(rolname, $1)`, runPrefix(run))
	if err != nil {
		return err
	}
	for _, role := range roles {
		if _, err := c.admin.Exec(ctx, `drop role if exists `+ident(role)); err != nil {
			return err
		}
	}
	return nil
}

// sweepTemplates drops templates, complete and not, that are neither new nor
// in use.
func (c *cluster) sweepTemplates(ctx context.Context) error {
	old, err := c.names(ctx, `
		select datname from pg_database where datname ~ '^(template|building)_'
		order by oid desc offset $1`, keptTemplates)
	if err != nil {
		return err
	}
	for _, name := range old {
		// A template being built is in use, under its later name.
		var hash int32
		err := c.admin.QueryRow(ctx, `select hashtext(regexp_replace($1, '^building_', 'template_'))`, name).Scan(&hash)
		if err != nil {
			return err
		}
		if err := c.ifFree(ctx, useLock, hash, func() error { return c.drop(ctx, name) }); err != nil {
			return err
		}
	}
	return nil
}

// ifFree does something under an advisory lock, unless someone holds the lock.
func (c *cluster) ifFree(ctx context.Context, kind, number int32, do func() error) error {
	return c.admin.AcquireFunc(ctx, func(conn *pgxpool.Conn) error {
		// Transaction-locked, so that it cannot stay behind on the connection.
		return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
			var free bool
			err := tx.QueryRow(ctx, `select pg_try_advisory_xact_lock($1, $2)`, kind, number).Scan(&free)
			if err != nil || !free {
				return err
			}
			return do()
		})
	})
}

// dropAll drops the databases whose name begins with prefix.
func (c *cluster) dropAll(ctx context.Context, prefix string) error {
	names, err := c.names(ctx, `select datname from pg_database where starts_with(datname, $1)`, prefix)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := c.drop(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// drop drops a database, and ends what "force" does not: what is prepared in it, and connections that keep a replication slot.
func (c *cluster) drop(ctx context.Context, name string) error {
	prepared, err := c.names(ctx, `select gid from pg_prepared_xacts where database = $1`, name)
	if err == nil && len(prepared) > 0 {
		err = c.rollBack(ctx, name, prepared)
	}
	if err == nil {
		err = c.endSlots(ctx, name)
	}
	if err != nil {
		return err
	}
	_, err = c.admin.Exec(ctx, `drop database if exists `+ident(name)+` with (force)`)
	return err
}

// rollBack rolls back what is prepared in a database.
func (c *cluster) rollBack(ctx context.Context, database string, prepared []string) error {
	conn, err := pgx.Connect(ctx, c.dsn(database, Superuser))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	for _, gid := range prepared {
		if _, err := conn.Exec(ctx, "rollback prepared "+quote(gid), pgx.QueryExecModeSimpleProtocol); err != nil {
			return err
		}
	}
	return nil
}

// endSlots ends the connections that keep a replication slot of a database.
func (c *cluster) endSlots(ctx context.Context, database string) error {
	const end = "select pg_terminate_backend(active_pid) from pg_replication_slots where database = $1 and active_pid is not null"
	if tag, err := c.admin.Exec(ctx, end, database); err != nil || tag.RowsAffected() == 0 {
		return err
	}
	for {
		slots, err := c.names(ctx, `select slot_name from pg_replication_slots where database = $1 and active_pid is not null`, database)
		if err != nil || len(slots) == 0 {
			return err
		}
		select {
		case <-time.After(pollPause):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (c *cluster) names(ctx context.Context, query string, args ...any) ([]string, error) {
	rows, err := c.admin.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}
