package tenancy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"tenanted/app/config"
	"tenanted/migrations"
	"tenanted/scopes"
	"tenanted/scopes/archive"
)

// The steps of a move, as control.moves has them.
const (
	stepCopying  = "copying"
	stepCopied   = "copied"
	stepSwitched = "switched"
)

// Move is a tenant's way from one placement to another.
type Move struct {
	Entry    // as the tenant was when the move began
	From, To scopes.Placement
	Rows     int64         // that were moved; 0: an earlier run has moved them
	Held     time.Duration // how long changes of its rows had to wait; 0: an earlier run has moved them
	step     string
}

// Move moves a tenant to another placement of this configuration: the rows are copied, verified by their checksums, and the
// directory is switched to them; then what was left behind is removed. Reads go on. Changes of the tenant's rows wait from
// before the copy until the directory is switched, and no acknowledged one is lost: where they wait longer than their
// timeout, they fail. Other tenants are not held up.
//
// When it is interrupted, the next Move with the same target goes on, and [Creator.UndoMove] takes back what is not switched. It
// calls progress with the rows so far, first those read, then those written.
//
// After the switch it waits for grace, for processes and requests that still go by the former place, before that is removed:
// 10 seconds are what a process that hears of no changes remembers.
//
// The errors are those of [Creator.Find] and config.Config.PlacementFor, of archive.Hold, Export and Import, and a *SQLError for
// a former database in use: the tenant is at its new place then.
func (c *Creator) Move(ctx context.Context, tenant string, where config.Choice, grace time.Duration, progress func(rows int64)) (Move, error) {
	e, err := c.Find(ctx, tenant)
	if err != nil {
		return Move{}, err
	}
	m := Move{Entry: e}
	err = c.exclusively(ctx, e.Tenant, func(state string) error {
		if state != StateActive && state != StateSuspended {
			return fmt.Errorf("tenant %q is in state %q: only one in state %q or %q can be moved", e.Slug, state, StateActive, StateSuspended)
		}
		if err := c.beginMove(ctx, &m, where); err != nil {
			return err
		}
		return c.logged(ctx, "move", e.Tenant, fmt.Sprintf("from %s to %s", m.From, m.To), func() error { return c.move(ctx, &m, grace, progress) })
	})
	if err != nil {
		return m, fmt.Errorf("move tenant %q: %w", e.Slug, err)
	}
	return m, nil
}

func (c *Creator) move(ctx context.Context, m *Move, grace time.Duration, progress func(int64)) error {
	if m.step == stepCopied {
		closed, err := c.isClosed(ctx, m.From)
		if err != nil {
			return err
		}
		if closed {
			err = c.switchTo(ctx, c.control, m)
		} else {
			m.step = stepCopying // the rows may have changed since
		}
		if err != nil {
			return err
		}
	}
	if m.step == stepCopying {
		if err := c.copyAndSwitch(ctx, m, progress); err != nil {
			return err
		}
	}
	return c.leave(ctx, m, grace)
}

// beginMove finds the move that was begun, or begins one.
func (c *Creator) beginMove(ctx context.Context, m *Move, where config.Choice) error {
	to, err := c.setup.cfg.PlacementFor(m.Slug, where)
	if err != nil {
		return err
	}
	return c.alone(ctx, func(tx pgx.Tx) error {
		found, err := c.readMove(ctx, m)
		switch {
		case err != nil:
			return err
		case found && m.To != to:
			return fmt.Errorf("it is being moved to %s, and not to %s: name that place to go on, or undo the move", m.To, to)
		case found:
			return nil
		case to == m.Placement:
			return fmt.Errorf("it is in %s already", to)
		}
		m.From, m.To, m.step = m.Placement, to, stepCopying
		if taken, err := c.isTaken(ctx, to, m.ID); err != nil || taken {
			return errors.Join(err, fmt.Errorf("placement %s is another tenant's: choose another one", to))
		}
		_, err = tx.Exec(ctx, `
			insert into control.moves (tenant_id, from_server, from_database, from_schema, to_server, to_database, to_schema)
			values ($1, nullif($2, ''), $3, $4, nullif($5, ''), $6, $7)`,
			m.ID, m.From.Server, c.setup.stored(m.From), m.From.Schema, to.Server, c.setup.stored(to), to.Schema)
		return err
	})
}

// readMove completes a move by what control.moves has of the tenant.
func (c *Creator) readMove(ctx context.Context, m *Move) (found bool, err error) {
	err = c.control.QueryRow(ctx, `
		select coalesce(from_server, ''), coalesce(from_database, current_database()), from_schema,
			coalesce(to_server, ''), coalesce(to_database, current_database()), to_schema, step
		from control.moves where tenant_id = $1`, m.ID).
		Scan(&m.From.Server, &m.From.Database, &m.From.Schema, &m.To.Server, &m.To.Database, &m.To.Schema, &m.step)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

// movesTaken is the condition for moves that have a placement ($1, $2, $3) for one of their two.
const movesTaken = `
	(coalesce(from_server, ''), coalesce(from_database, current_database()), from_schema) = ($1, $2, $3) or
	(coalesce(to_server, ''), coalesce(to_database, current_database()), to_schema) = ($1, $2, $3)`

// isTaken reports whether a placement of one tenant alone is another tenant's than that of the id, or was until its move is over.
func (c *Creator) isTaken(ctx context.Context, p scopes.Placement, id any) (taken bool, err error) {
	if c.setup.cfg.Shared(p) {
		return false, nil
	}
	err = c.control.QueryRow(ctx, `
		select exists (select from control.tenants where (`+placementColumns+`) = ($1, $2, $3) and id <> $4)
			or exists (select from control.moves where (`+movesTaken+`) and tenant_id <> $4)`, p.Server, p.Database, p.Schema, id).Scan(&taken)
	return taken, err
}

// copyAndSwitch copies the rows while nobody changes them, and switches the directory.
func (c *Creator) copyAndSwitch(ctx context.Context, m *Move, progress func(int64)) error {
	if err := c.ensurePlacement(ctx, m.To); err != nil {
		return err
	}
	source, err := c.connectOwn(ctx, m.From)
	if err != nil {
		return err
	}
	defer source.Close(context.WithoutCancel(ctx))
	// No migration may give back the rights that closing the place takes.
	if _, err := source.Exec(ctx, "select pg_advisory_lock($1)", migrations.LockKey(m.From.Schema)); err != nil {
		return err
	}
	var held time.Time
	err = pgx.BeginFunc(ctx, source, func(tx pgx.Tx) error {
		return inSchema(ctx, tx, m.From.Schema, func(tx pgx.Tx) error {
			models, err := allRows()
			if err != nil {
				return err
			}
			held = time.Now()
			if err := archive.Hold(ctx, tx, models, m.Tenant, !c.setup.cfg.Shared(m.From)); err != nil {
				return err
			}
			if err := c.copyRows(ctx, m, progress); err != nil {
				return err
			}
			return c.endAt(ctx, tx, m, models)
		})
	})
	if err == nil && m.step != stepSwitched {
		err = c.switchTo(ctx, c.control, m)
	}
	m.Held = time.Since(held)
	return err
}

// copyRows copies the rows through a temporary file to the second place, where they are read back and verified.
func (c *Creator) copyRows(ctx context.Context, m *Move, progress func(int64)) error {
	from, to := m.Tenant, m.Tenant
	from.Placement, to.Placement = m.From, m.To
	return throughFile(ctx, func(w io.Writer) error {
		_, err := c.exporter(ctx, allRows, from, progress)(w)
		return err
	}, func(a *archive.Archive) error {
		m.Rows = a.Rows()
		return c.fill(ctx, m.To, func(ctx context.Context, in Placed) error {
			if err := in.Begin(ctx, func(tx pgx.Tx) error { return replace(ctx, tx, allRows, a, to, Import{Progress: progress}, false) }); err != nil {
				return err
			}
			return c.analyze(ctx, m.To)
		})
	})
}

// endAt ends the work at the first place. Rows in the tables that tenants share are removed in the transaction that switches the
// directory, which is in the same database. A place of the tenant's own is closed: its rows can be read and not be changed.
func (c *Creator) endAt(ctx context.Context, tx pgx.Tx, m *Move, models *archive.Models) error {
	if c.setup.cfg.Shared(m.From) {
		if _, err := archive.Delete(ctx, tx, models, m.Tenant); err != nil {
			return err
		}
		return c.switchTo(ctx, tx, m)
	}
	server, err := c.setup.cfg.ServerOf(m.From)
	if err != nil {
		return err
	}
	if _, err := c.control.Exec(ctx, "update control.moves set step = $2 where tenant_id = $1", m.ID, stepCopied); err != nil {
		return err
	}
	_, err = tx.Exec(ctx, fmt.Sprintf("revoke insert, update, delete, truncate on all tables in schema %s from %s",
		pgx.Identifier{m.From.Schema}.Sanitize(), pgx.Identifier{server.User}.Sanitize()))
	return err
}

// isClosed reports whether an earlier run has closed a place of the tenant's own.
func (c *Creator) isClosed(ctx context.Context, p scopes.Placement) (closed bool, err error) {
	server, err := c.setup.cfg.ServerOf(p)
	if err == nil {
		err = c.connectTo(ctx, p)
	}
	if err == nil {
		err = c.placed.QueryRow(ctx, "select not has_table_privilege($1, $2, 'insert')", server.User, tables(p.Schema)[0]).Scan(&closed)
	}
	return closed, err
}

// executor is a connection or a transaction.
type executor interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}

// switchTo has the directory name the second place.
func (c *Creator) switchTo(ctx context.Context, on executor, m *Move) error {
	_, err := on.Exec(ctx, `
		with switched as (update control.moves set step = $2, switched_at = clock_timestamp() where tenant_id = $1)
		update control.tenants set server = nullif($3, ''), database = $4, schema = $5 where id = $1`,
		m.ID, stepSwitched, m.To.Server, c.setup.stored(m.To), m.To.Schema)
	if err == nil {
		m.step = stepSwitched
	}
	return err
}

// leave removes what is left at the first place, after a while.
func (c *Creator) leave(ctx context.Context, m *Move, grace time.Duration) error {
	if !c.setup.cfg.Shared(m.From) {
		var past time.Duration
		err := c.control.QueryRow(ctx, "select clock_timestamp() - switched_at from control.moves where tenant_id = $1", m.ID).Scan(&past)
		if err != nil {
			return err
		}
		select {
		case <-time.After(grace - past):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		left := Erasure{Entry: m.Entry}
		left.Placement = m.From
		if err := c.erasePlacement(ctx, &left); err != nil {
			return fmt.Errorf("it is in %s now, and to remove %s: %w", m.To, m.From, err)
		}
	}
	_, err := c.control.Exec(ctx, "delete from control.moves where tenant_id = $1", m.ID)
	return err
}

// UndoMove takes back a move that has not switched the directory: what was copied is removed, and the first place is as it was.
// The errors are those of [Creator.Find], and one if the tenant is not being moved, or is moved.
func (c *Creator) UndoMove(ctx context.Context, tenant string) (Move, error) {
	e, err := c.Find(ctx, tenant)
	if err != nil {
		return Move{}, err
	}
	m := Move{Entry: e}
	err = c.exclusively(ctx, e.Tenant, func(string) error {
		found, err := c.readMove(ctx, &m)
		switch {
		case err != nil:
			return err
		case !found:
			return errors.New("it is not being moved")
		case m.step == stepSwitched:
			return fmt.Errorf("it is in %s already: complete the move, and then move it back", m.To)
		}
		return c.logged(ctx, "move --undo", e.Tenant, fmt.Sprintf("from %s to %s", m.From, m.To), func() error { return c.undoMove(ctx, &m) })
	})
	if err != nil {
		return m, fmt.Errorf("undo the move of tenant %q: %w", e.Slug, err)
	}
	return m, nil
}

func (c *Creator) undoMove(ctx context.Context, m *Move) error {
	if err := c.ensurePlacement(ctx, m.From); err != nil { // which grants the runtime role its rights again
		return err
	}
	left := Erasure{Entry: m.Entry}
	left.Placement, left.State = m.To, StateCreating
	if err := c.erase(ctx, &left, nil); err != nil {
		return err
	}
	_, err := c.control.Exec(ctx, "delete from control.moves where tenant_id = $1", m.ID)
	return err
}
