package seed

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"tenanted/models"
)

// Result is what became of one account.
type Result struct {
	Account models.Account // as it is in the database, which for one that was there already may not be as planned
	Totals  Totals
}

// Begin runs work in a transaction of its own, by the tables' owner, in which names mean the placement's tables, and commits
// it unless work fails.
type Begin func(ctx context.Context, work func(pgx.Tx) error) error

// Load makes account number (0 for the first) in transactions that begin starts; its totals are what the database counted.
// If the account exists already, Load changes nothing and counts it in Totals.Existing.
//
// Several may load at the same time, one account even: the second waits for the first and then finds it there.
func Load(ctx context.Context, begin Begin, o Options, number int) (Result, error) {
	plan, err := NewPlan(ctx, o, number)
	if err != nil {
		return Result{}, err
	}
	if err = raiseSequences(ctx, begin, o); err == nil {
		var result Result
		err = begin(ctx, func(tx pgx.Tx) (err error) {
			result, err = plan.load(ctx, tx)
			return err
		})
		if err == nil {
			return result, nil
		}
	}
	return Result{}, fmt.Errorf("seed %s: %w", plan.Account.Slug, err)
}

// LoadIn makes account number in the caller's transaction, for one that is rolled back: it leaves the identity sequences
// alone, which no rollback lowers again.
func LoadIn(ctx context.Context, tx pgx.Tx, o Options, number int) (Result, error) {
	plan, err := NewPlan(ctx, o, number)
	if err != nil {
		return Result{}, err
	}
	result, err := plan.load(ctx, tx)
	if err != nil {
		return Result{}, fmt.Errorf("seed %s: %w", plan.Account.Slug, err)
	}
	return result, nil
}

// settings keep the load's time linear. The server plans its check of a foreign key once for the session, while
// the first account is loaded into tables of a page or two, for which it prefers to scan the table; with that
// plan, until the next ANALYZE, each row would scan all accounts' rows: 200 accounts took 63 s instead of 3.
//
// The commit does not wait for the disk: whoever makes the account known commits after it, and waits.
const settings = `set local enable_seqscan = off; set local synchronous_commit = off`

// load makes the account in one transaction.
func (p *Plan) load(ctx context.Context, tx pgx.Tx) (Result, error) {
	if _, err := tx.Exec(ctx, settings, pgx.QueryExecModeSimpleProtocol); err != nil {
		return Result{}, err
	}
	isNew, err := p.insertAccount(ctx, tx)
	if err != nil {
		return Result{}, err
	}
	if !isNew {
		existing, err := p.existing(ctx, tx)
		return Result{Account: existing, Totals: Totals{Existing: 1}}, err
	}
	totals, err := p.copyRows(ctx, tx)
	return Result{Account: p.Account, Totals: totals}, err
}

// existing reads the account that is in the place of the planned one.
func (p *Plan) existing(ctx context.Context, tx pgx.Tx) (a models.Account, err error) {
	const query = `select id, slug, name, created_at from accounts where id = $1 or slug = $2 order by id = $1 desc limit 1`
	err = tx.QueryRow(ctx, query, int64(p.Account.ID), p.Account.Slug).Scan(&a.ID, &a.Slug, &a.Name, &a.CreatedAt)
	if err != nil {
		return a, fmt.Errorf("read the existing account: %w", err)
	}
	return a, nil
}

// insertAccount reports whether the account was not there before. Since it waits for another transaction
// that is just making the account, no other check is needed.
func (p *Plan) insertAccount(ctx context.Context, tx pgx.Tx) (isNew bool, err error) {
	const insert = `insert into accounts (id, slug, name, created_at) values ($1, $2, $3, $4) on conflict do nothing`
	a := p.Account
	tag, err := tx.Exec(ctx, insert, int64(a.ID), a.Slug, a.Name, a.CreatedAt)
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
