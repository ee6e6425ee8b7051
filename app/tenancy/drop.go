package tenancy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/jackc/pgx/v5"

	"tenanted/app/config"
	"tenanted/migrations"
	"tenanted/scopes"
	"tenanted/scopes/archive"
)

// Erasure is what [Creator.Drop] removed.
type Erasure struct {
	Entry                // as the tenant was
	Rows    []TableCount // that were removed, parents before children; none: there were no tables
	Removed string       // what was removed with them: "database acme", "schema acme of database x"; empty: shared tables
}

// Drop removes a tenant: its rows, its own database or schema, and its row in the directory with its host names. The first step
// puts it in state "dropping", in which it is not served. If Drop fails or is interrupted, it stays in this state, and the next
// Drop continues. A tenant in state "creating" can be removed too.
//
// If there are rows, keep is called with an Exporter before anything is removed. Changes are blocked from then on, so the
// export contains everything that was acknowledged. If keep returns an error, Drop returns it and removes nothing. If keep is
// nil, there is no export.
//
// The errors are those of [Creator.Find], of archive.Hold, and a *SQLError for a database in use.
func (c *Creator) Drop(ctx context.Context, tenant string, keep func(Entry, Exporter) error) (Erasure, error) {
	e, err := c.Find(ctx, tenant)
	if err != nil {
		return Erasure{}, err
	}
	erased := Erasure{Entry: e}
	err = c.exclusively(ctx, e.Tenant, func(string) error {
		if moved, err := c.readMove(ctx, &Move{Entry: e}); err != nil || moved {
			return cmp.Or(err, fmt.Errorf("tenant %q is being moved: complete the move or undo it first", e.Slug))
		}
		return c.logged(ctx, "drop", e.Tenant, e.Placement.String(), func() error { return c.drop(ctx, &erased, keep) })
	})
	return erased, err
}

// Exporter writes an archive of a tenant to w, and returns what is in it.
type Exporter func(w io.Writer) (archive.Contents, error)

func (c *Creator) drop(ctx context.Context, erased *Erasure, keep func(Entry, Exporter) error) error {
	if _, err := c.control.Exec(ctx, "update control.tenants set state = $2 where id = $1", erased.ID, StateDropping); err != nil {
		return err
	}
	if err := c.erase(ctx, erased, keep); err != nil {
		return fmt.Errorf("drop tenant %q, which is in state %q now: %w", erased.Slug, StateDropping, err)
	}
	_, err := c.control.Exec(ctx, "delete from control.tenants where id = $1", erased.ID)
	return err
}

// exporter returns the export of a tenant over connections of its own, for while the others are in a transaction, of a snapshot if one
// is named.
func (c *Creator) exporter(ctx context.Context, of func() (*archive.Models, error), t scopes.Tenant, snapshot string, progress func(rows int64)) Exporter {
	return func(w io.Writer) (contents archive.Contents, err error) {
		other, err := c.setup.NewCreator(ctx)
		if err != nil {
			return contents, err
		}
		defer other.Close(context.WithoutCancel(ctx))
		return other.export(ctx, of, t, w, snapshot, progress)
	}
}

// erase removes the tenant's rows, and the placement if it is its own. It does not fail if an earlier Drop has removed them.
func (c *Creator) erase(ctx context.Context, erased *Erasure, keep func(Entry, Exporter) error) error {
	if err := c.awaitCreation(ctx, erased.Placement); err != nil {
		return err
	}
	err := c.connectTo(ctx, erased.Placement)
	unused, foreign := c.refusedAs(ctx, erased.Placement, err)
	switch {
	case code(err) == codeNoDatabase:
		return nil
	case unused:
		return c.erasePlacement(ctx, erased)
	case erased.State == StateCreating && foreign:
		return nil // the creation was refused for the same reason, and changed nothing there
	case err != nil:
		return err
	}
	err = pgx.BeginFunc(ctx, c.placed, func(tx pgx.Tx) error {
		// The session of a killed command may still be creating the schema.
		if _, err := tx.Exec(ctx, "select pg_advisory_xact_lock($1)", migrations.LockKey(erased.Schema)); err != nil {
			return err
		}
		exists, err := hasTables(ctx, tx, erased.Schema)
		if err != nil || !exists {
			return err
		}
		return inSchema(ctx, tx, erased.Schema, func(tx pgx.Tx) error { return c.eraseRows(ctx, tx, erased, keep) })
	})
	if err != nil || c.setup.cfg.Shared(erased.Placement) {
		return err
	}
	return c.erasePlacement(ctx, erased)
}

// awaitCreation waits until PostgreSQL has finished creating a database for a command that was killed.
func (c *Creator) awaitCreation(ctx context.Context, p scopes.Placement) error {
	return c.onServer(ctx, p, func(conn *pgx.Conn) error {
		return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
			_, err := tx.Exec(ctx, "select pg_advisory_xact_lock($1)", databaseLock(p.Database))
			return err
		})
	})
}

// onServer calls work with the connection from which a placement's database is created and dropped.
func (c *Creator) onServer(ctx context.Context, p scopes.Placement, work func(*pgx.Conn) error) error {
	if p.Server == "" {
		return work(c.control)
	}
	server, err := c.setup.cfg.ServerOf(p)
	if err != nil {
		return err
	}
	conn, err := maintenanceConn(ctx, server)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return work(conn)
}

// refusedAs classifies a database that was refused. It is unused if it is not bound and empty, as an interrupted creation leaves
// it. It is foreign if it belongs to another deployment or to none, and is not a copy of one of this deployment's.
func (c *Creator) refusedAs(ctx context.Context, database scopes.Placement, refused error) (unused, foreign bool) {
	if _, ok := errors.AsType[*PlacementError](refused); !ok || c.deployment.isCopy() {
		return false, false
	}
	conn, err := Connect(ctx, c.setup.cfg, config.AsOwner, database)
	if err != nil {
		return false, false
	}
	defer conn.Close(context.WithoutCancel(ctx))
	p, err := readPlacement(ctx, conn)
	if err != nil {
		return false, false
	}
	unused = (!p.Exists || p.unbound(c.deployment)) && c.deployment.mayBind(ctx, c.setup.cfg, conn, database.InSchema("")) == nil
	return unused, !unused && p.Deployment != c.deployment.ID
}

// hasTables reports whether the tenant's tables are in a schema. Some of them, without an account, were left by a creation that was
// killed between two migrations, and are as good as none. With an account they are outdated, and what is in them is not lost for that.
func hasTables(ctx context.Context, tx pgx.Tx, schema string) (exists bool, err error) {
	all := tables(schema)
	var first, last bool
	err = tx.QueryRow(ctx, "select to_regclass($1) is not null, to_regclass($2) is not null", all[0], all[len(all)-1]).Scan(&first, &last)
	if err != nil || last || !first {
		return last, err
	}
	var used bool
	if err := tx.QueryRow(ctx, "select exists (select from "+all[0]+")").Scan(&used); err != nil || !used {
		return false, err
	}
	return false, errors.New("its tables are outdated: run `migrate` first")
}

// eraseRows removes the tenant's rows, with the tables if they are its own.
func (c *Creator) eraseRows(ctx context.Context, tx pgx.Tx, erased *Erasure, keep func(Entry, Exporter) error) error {
	m, err := allRows()
	if err != nil {
		return err
	}
	shared := c.setup.cfg.Shared(erased.Placement)
	if err := archive.Hold(ctx, tx, m, erased.Tenant, !shared); err != nil {
		return err
	}
	if erased.Rows, err = countRows(ctx, tx, erased.Entry); err != nil {
		return err
	}
	if keep != nil && erased.State != StateCreating && !erased.empty() {
		if err := keep(erased.Entry, c.exporter(ctx, archived, erased.Tenant, "", nil)); err != nil {
			return err
		}
	}
	if shared {
		_, err := archive.Delete(ctx, tx, m, erased.Tenant)
		return err
	}
	// Statements that wait for a table's lock fail then, even if the database itself can only be dropped later.
	for _, table := range tables(erased.Schema) {
		if _, err := tx.Exec(ctx, "drop table "+table+" cascade"); err != nil {
			return err
		}
	}
	return nil
}

func (e Erasure) empty() bool {
	for _, count := range e.Rows {
		if count.Rows > 0 {
			return false
		}
	}
	return true
}

// erasePlacement removes a schema or database of the tenant's own.
func (c *Creator) erasePlacement(ctx context.Context, erased *Erasure) error {
	own, err := c.hasDatabase(ctx, erased.Entry)
	if err != nil {
		return err
	}
	if own {
		erased.Removed = "database " + erased.InSchema("").String()
		return c.dropDatabase(ctx, erased.Placement)
	}
	erased.Removed = fmt.Sprintf("schema %s of database %s", erased.Schema, erased.InSchema(""))
	if err := c.connectTo(ctx, erased.Placement); err != nil {
		return err
	}
	_, err = c.placed.Exec(ctx, "drop schema if exists "+pgx.Identifier{erased.Schema}.Sanitize()+" cascade")
	return err
}

// hasDatabase reports whether the entry's database is not the default one and has no other placement.
func (c *Creator) hasDatabase(ctx context.Context, e Entry) (own bool, err error) {
	if e.InSchema("") == c.setup.cfg.Default() {
		return false, nil
	}
	err = c.control.QueryRow(ctx, `
		with used (server, database, schema, id) as (
			select `+placementColumns+`, id from control.tenants
			union all select coalesce(from_server, ''), coalesce(from_database, current_database()), from_schema, tenant_id from control.moves
			union all select coalesce(to_server, ''), coalesce(to_database, current_database()), to_schema, tenant_id from control.moves)
		select not exists (select from used where server = $1 and database = $2 and (schema, id) <> ($3, $4))`,
		e.Server, e.Database, e.Schema, e.ID).Scan(&own)
	return own, err
}

func (c *Creator) dropDatabase(ctx context.Context, p scopes.Placement) error {
	if err := c.connectTo(ctx, c.setup.cfg.Default()); err != nil {
		return err
	}
	return c.onServer(ctx, p, func(conn *pgx.Conn) error {
		drop := "drop database if exists " + pgx.Identifier{p.Database}.Sanitize() + " with (force)"
		_, err := conn.Exec(ctx, drop)
		if c := code(err); c == codeNoPermission || c == codeInUse {
			return &SQLError{
				Problem: fmt.Sprintf("database %q is in use, and its owner may not end the sessions of others", p.InSchema("")),
				SQL:     drop + "; and then this command again",
			}
		}
		return err
	})
}
