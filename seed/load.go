package seed

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Begin runs work in a transaction of its own, by the tables' owner, in which names mean the placement's tables, and commits
// it unless work fails.
type Begin func(ctx context.Context, work func(pgx.Tx) error) error

// Load makes account number (0 for the first) in transactions that begin starts; its totals are what the database counted.
// If the account exists already, Load changes nothing and counts it in Totals.Existing.
//
// Several may load at the same time, one account even: the second waits for the first and then finds it there.
func Load(ctx context.Context, begin Begin, o Options, number int) (Totals, error) {
	plan, err := NewPlan(ctx, o, number)
	if err != nil {
		return Totals{}, err
	}
	if err = raiseSequences(ctx, begin, o); err == nil {
		var totals Totals
		err = begin(ctx, func(tx pgx.Tx) (err error) {
			totals, err = plan.load(ctx, tx)
			return err
		})
		if err == nil {
			return totals, nil
		}
	}
	return Totals{}, fmt.Errorf("seed %s: %w", plan.Slug, err)
}

// LoadIn makes account number in the caller's transaction, for one that is rolled back: it leaves the identity sequences
// alone, which no rollback lowers again.
func LoadIn(ctx context.Context, tx pgx.Tx, o Options, number int) (Totals, error) {
	plan, err := NewPlan(ctx, o, number)
	if err != nil {
		return Totals{}, err
	}
	totals, err := plan.load(ctx, tx)
	if err != nil {
		return Totals{}, fmt.Errorf("seed %s: %w", plan.Slug, err)
	}
	return totals, nil
}

// settings keep the load's time linear. The server plans its check of a foreign key once for the session, while
// the first account is loaded into tables of a page or two, for which it prefers to scan the table; with that
// plan, until the next ANALYZE, each row would scan all accounts' rows: 200 accounts took 63 s instead of 3.
//
// The commit does not wait for the disk: the transaction that registers the account commits after it, and waits.
const settings = `set local enable_seqscan = off; set local synchronous_commit = off`

// load makes the account in one transaction.
func (p *Plan) load(ctx context.Context, tx pgx.Tx) (Totals, error) {
	if _, err := tx.Exec(ctx, settings, pgx.QueryExecModeSimpleProtocol); err != nil {
		return Totals{}, err
	}
	isNew, err := p.insertAccount(ctx, tx)
	if err != nil {
		return Totals{}, err
	}
	if !isNew {
		return Totals{Existing: 1}, nil
	}
	return p.copyRows(ctx, tx)
}

// insertAccount reports whether the account was not there before. Since it waits for another transaction
// that is just making the account, no other check is needed.
func (p *Plan) insertAccount(ctx context.Context, tx pgx.Tx) (isNew bool, err error) {
	const insert = `insert into accounts (id, created_at) values ($1, $2) on conflict do nothing`
	tag, err := tx.Exec(ctx, insert, int64(p.Account.ID), p.Account.CreatedAt)
	if err != nil {
		return false, fmt.Errorf("insert the account: %w", err)
	}
	return tag.RowsAffected() == 1, nil
}

// copyRows sends all rows but the account's own, parents before children, and returns the server's count.
func (p *Plan) copyRows(ctx context.Context, tx pgx.Tx) (t Totals, err error) {
	t.Accounts = 1
	if t.Users, err = users.copy(ctx, tx, p.Users()); err != nil {
		return Totals{}, err
	}
	if t.Projects, err = projects.copy(ctx, tx, p.Projects()); err != nil {
		return Totals{}, err
	}
	if t.Tasks, err = tasks.copy(ctx, tx, p.Tasks()); err != nil {
		return Totals{}, err
	}
	if t.Subtasks, err = subtasks.copy(ctx, tx, p.Subtasks()); err != nil {
		return Totals{}, err
	}
	return t, nil
}
