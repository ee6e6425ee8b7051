package seed

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"tenanted/models"
)

// Result is what became of one account.
type Result struct {
	Account models.Account
	Totals  Totals
}

// Load makes account number (0 for the first) on conn, and undoes it again if o.Rollback says so; its totals
// are what the database counted, either way. If the account is there already, Load changes nothing and
// counts it in Totals.Existing.
//
// conn belongs to the tables' owner, is in no transaction, and finds the placement's tables by its
// search_path. Loads on several connections may run at the same time, for one account even: the second waits for
// the first and then finds it there.
func Load(ctx context.Context, conn *pgx.Conn, o Options, number int) (Result, error) {
	plan, err := NewPlan(o, number)
	if err != nil {
		return Result{}, err
	}
	if !o.Rollback {
		err = raiseSequences(ctx, conn, o)
	}
	var totals Totals
	if err == nil {
		totals, err = plan.load(ctx, conn)
	}
	if err != nil {
		return Result{}, fmt.Errorf("seed %s: %w", plan.Account.Slug, err)
	}
	return Result{Account: plan.Account, Totals: totals}, nil
}

// begin keeps the load's time linear. The server plans its check of a foreign key once for the session, while
// the first account is loaded into tables of a page or two, for which it prefers to scan the table; with that
// plan, until the next ANALYZE, each row would scan all accounts' rows: 200 accounts took 63 s instead of 3.
//
// The commit does not wait for the disk: whoever makes the account known commits after it, and waits.
const begin = `begin; set local enable_seqscan = off; set local synchronous_commit = off`

// load makes the account in one transaction.
func (p *Plan) load(ctx context.Context, conn *pgx.Conn) (Totals, error) {
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{BeginQuery: begin})
	if err != nil {
		return Totals{}, err
	}
	defer tx.Rollback(ctx) // after an error; if it fails too, pgx closes the connection
	isNew, err := p.insertAccount(ctx, tx)
	if err != nil {
		return Totals{}, err
	}
	if !isNew {
		return Totals{Existing: 1}, tx.Rollback(ctx)
	}
	totals, err := p.copyRows(ctx, tx)
	if err != nil {
		return Totals{}, err
	}
	if p.options.Rollback {
		return totals, tx.Rollback(ctx)
	}
	return totals, tx.Commit(ctx)
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
