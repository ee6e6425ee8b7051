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
	Rows     int64         // that were copied; 0: an earlier run has copied them
	Followed bool          // changes went on during the copy, and were applied after it
	Changes  int64         // that were applied after the copy
	Held     time.Duration // how long changes of its rows had to wait; 0: an earlier run has moved them
	step     string
}

// MoveOptions are how a tenant is moved.
type MoveOptions struct {
	// Where is the placement it is moved to, as far as it is chosen. Default: what the configuration gives each tenant.
	Where config.Choice
	// Grace is how long the former place is kept after the switch, for processes and requests that still go by it: 10 seconds are
	// what a process that hears of no changes remembers. Default: none.
	Grace time.Duration
	// Lock has changes wait from the beginning of the copy, also where the server lets them be followed. Default: where it does not.
	Lock bool
	// Begins is called before the copy: with nil if changes are followed, or else why they have to wait. It may be nil.
	Begins func(waiting error)
	// Progress is called with the rows so far, first those read, then those written. It may be nil.
	Progress func(rows int64)
}

// Move moves a tenant to another placement of this configuration: the rows are copied, verified by their checksums, and the
// directory is switched to them; then what was left behind is removed. Reads go on, and no acknowledged change is lost. Other
// tenants are not held up.
//
// Where the server lets changes be followed (see archive.Follow), they go on during the copy, and are applied to it; they wait only
// while the last of them are, and the directory is switched. Elsewhere they wait from before the copy until then. Where they wait
// longer than their timeout, they fail.
//
// When it is interrupted, the next Move with the same target goes on, and [Creator.UndoMove] takes back what is not switched. A copy
// that was not complete is made anew.
//
// The errors are those of [Creator.Find] and config.Config.PlacementFor, of archive.Hold, Export, Import and Changes.Apply, and a
// *SQLError for a former database in use: the tenant is at its new place then.
func (c *Creator) Move(ctx context.Context, tenant string, o MoveOptions) (Move, error) {
	e, err := c.Find(ctx, tenant)
	if err != nil {
		return Move{}, err
	}
	m := Move{Entry: e}
	err = c.exclusively(ctx, e.Tenant, func(state string) error {
		if state != StateActive && state != StateSuspended {
			return fmt.Errorf("tenant %q is in state %q: only one in state %q or %q can be moved", e.Slug, state, StateActive, StateSuspended)
		}
		if err := c.beginMove(ctx, &m, o.Where); err != nil {
			return err
		}
		return c.logged(ctx, "move", e.Tenant, fmt.Sprintf("from %s to %s", m.From, m.To), func() error { return c.move(ctx, &m, o) })
	})
	if err != nil {
		return m, fmt.Errorf("move tenant %q: %w", e.Slug, err)
	}
	return m, nil
}

func (c *Creator) move(ctx context.Context, m *Move, o MoveOptions) error {
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
		if err := c.copyAndSwitch(ctx, m, o); err != nil {
			return err
		}
	}
	return c.leave(ctx, m, o.Grace)
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

// copyAndSwitch copies the rows, and switches the directory while nobody changes them.
func (c *Creator) copyAndSwitch(ctx context.Context, m *Move, o MoveOptions) error {
	if err := c.ensurePlacement(ctx, m.To); err != nil {
		return err
	}
	models, err := allRows()
	if err != nil {
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
	changes, err := c.follow(ctx, m, models, o)
	if err != nil {
		return err
	}
	if changes == nil {
		return c.holdAndSwitch(ctx, source, m, models, waitAtMost, func() error { return c.copyRows(ctx, m, "", o.Progress) })
	}
	defer changes.Close(context.WithoutCancel(ctx))
	if err := c.copyRows(ctx, m, changes.Snapshot, o.Progress); err != nil {
		return err
	}
	return c.followAndSwitch(ctx, source, m, models, changes)
}

// waitAtMost is how long a move waits for each of somebody else's locks.
const waitAtMost = time.Minute

// holdAndSwitch has changes at the first place wait, calls complete, which makes the second place the same, and switches the directory.
func (c *Creator) holdAndSwitch(ctx context.Context, source *pgx.Conn, m *Move, models *archive.Models, wait time.Duration, complete func() error) error {
	held := time.Now()
	defer func() { m.Held = max(m.Held, time.Since(held)) }()
	err := pgx.BeginFunc(ctx, source, func(tx pgx.Tx) error {
		return inSchema(ctx, tx, m.From.Schema, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, fmt.Sprintf("set local lock_timeout = %d", wait.Milliseconds())); err != nil {
				return err
			}
			if err := archive.Hold(ctx, tx, models, m.Tenant, !c.setup.cfg.Shared(m.From)); err != nil {
				return err
			}
			if err := complete(); err != nil {
				return err
			}
			return c.endAt(ctx, tx, m, models)
		})
	})
	if err == nil && m.step != stepSwitched {
		err = c.switchTo(ctx, c.control, m)
	}
	return err
}

// copyRows copies the rows, those of a snapshot if one is named, through a temporary file to the second place, where they are read back
// and verified.
func (c *Creator) copyRows(ctx context.Context, m *Move, snapshot string, progress func(int64)) error {
	from, to := m.Tenant, m.Tenant
	from.Placement, to.Placement = m.From, m.To
	return throughFile(ctx, func(w io.Writer) error {
		_, err := c.exporter(ctx, allRows, from, snapshot, progress)(w)
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
	if err := c.unfollow(ctx, m); err != nil {
		return err
	}
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
	if err := c.unfollow(ctx, m); err != nil {
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
