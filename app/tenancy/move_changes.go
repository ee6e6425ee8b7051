package tenancy

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/jackc/pgx/v5"

	"tenanted/app/config"
	"tenanted/scopes/archive"
)

const (
	// caughtUp is how long the last changes may take to apply, so that the rest is applied while changes wait.
	caughtUp = 100 * time.Millisecond
	// holdWait is how long changes wait for those under way to end, before they go on and it is tried again, holdTries times.
	holdWait  = time.Second
	holdTries = 60
)

// errAsked is why changes wait that could be followed.
var errAsked = errors.New("--lock asks for it")

// followedAs is the name under which the changes of a moving tenant's rows are followed.
func followedAs(m *Move) string { return "tenanted_move_" + m.Key() }

// follow begins to follow the changes of the tenant's rows at the first place. It returns nil where they have to wait.
func (c *Creator) follow(ctx context.Context, m *Move, models *archive.Models, o MoveOptions) (*archive.Changes, error) {
	begins := o.Begins
	if begins == nil {
		begins = func(error) {}
	}
	if o.Lock {
		begins(errAsked)
		return nil, nil
	}
	server, err := c.setup.cfg.Conn(config.AsOwner, m.From)
	if err != nil {
		return nil, err
	}
	server.DefaultQueryExecMode = pgx.QueryExecModeExec
	from := m.Tenant
	from.Placement = m.From
	changes, err := archive.Follow(ctx, server, models, from, followedAs(m))
	if refused, ok := errors.AsType[*archive.UnfollowableError](err); ok {
		begins(refused)
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	m.Followed = true
	begins(nil)
	return changes, nil
}

// followAndSwitch applies what was changed during the copy, and the last of it while changes wait. A change that takes long keeps
// the others waiting for a second at a time.
func (c *Creator) followAndSwitch(ctx context.Context, source *pgx.Conn, m *Move, models *archive.Models, changes *archive.Changes) error {
	for try := 1; ; try++ {
		if err := c.catchUp(ctx, m, changes); err != nil {
			return err
		}
		err := c.holdAndSwitch(ctx, source, m, models, holdWait, func() error { return c.applyLast(ctx, m, models, changes) })
		if code(err) != codeLockTimeout || try == holdTries {
			return err
		}
	}
}

// catchUp applies changes until few are left, or no fewer than before.
func (c *Creator) catchUp(ctx context.Context, m *Move, changes *archive.Changes) error {
	for before := time.Duration(math.MaxInt64); ; {
		began := time.Now()
		if err := c.apply(ctx, m, changes); err != nil {
			return err
		}
		took := time.Since(began)
		if took < caughtUp || took > before/4*3 {
			return nil
		}
		before = took
	}
}

// apply applies the changes so far. Each finds its row, or the move fails, and the copy was compared by its checksums: so what is
// applied up to the last commit is the same, without another comparison while changes wait.
func (c *Creator) apply(ctx context.Context, m *Move, changes *archive.Changes) error {
	return c.fill(ctx, m.To, func(ctx context.Context, in Placed) error {
		applied, err := changes.Apply(ctx, in.Begin)
		m.Changes += applied
		if err != nil {
			return fmt.Errorf("%w (the same command with --lock follows no changes)", err)
		}
		return nil
	})
}

// applyLast applies what was changed until now, and sees to it that the next rows get keys of their own.
func (c *Creator) applyLast(ctx context.Context, m *Move, models *archive.Models, changes *archive.Changes) error {
	if err := c.apply(ctx, m, changes); err != nil {
		return err
	}
	return c.fill(ctx, m.To, func(ctx context.Context, in Placed) error {
		return in.Begin(ctx, func(tx pgx.Tx) error { return archive.RaiseSequences(ctx, tx, models, m.Tenant) })
	})
}

// unfollow removes what a run that was killed has left at the first place. A replication slot is not among it: that ended with it.
func (c *Creator) unfollow(ctx context.Context, m *Move) error {
	err := c.connectTo(ctx, m.From)
	if code(err) == codeNoDatabase {
		return nil // an earlier run has removed it
	}
	if err != nil {
		return err
	}
	return pgx.BeginFunc(ctx, c.placed, func(tx pgx.Tx) error { return archive.Unfollow(ctx, tx, followedAs(m)) })
}
