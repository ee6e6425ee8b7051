package tenancy

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"

	"tenanted/scopes"
)

// maxExecRows bounds the rows that one tenant's statement may return.
const maxExecRows = 1000

// Exec is a statement to be executed for several tenants.
type Exec struct {
	SQL   string // one statement
	Write bool   // false: in a read-only transaction
	Jobs  int    // how many tenants at a time, at least 1
}

// ExecResult is the result of a statement for one tenant.
type ExecResult struct {
	Tenant   scopes.Tenant
	Columns  []string // none: the statement returns no rows
	Rows     [][]any
	Affected int64 // rows, of a statement that returns none
	Err      error
}

// returnsRows matches most statements that return rows. The rows of others are not read.
var returnsRows = regexp.MustCompile(`(?is)\A(\s|--[^\n]*\n|/\*.*?\*/|\()*(select|with|values|table|show|explain)\b|\breturning\b`)

// Exec executes a statement for each tenant, in a transaction of the runtime role with all layers of isolation, like the
// statements of a page. The results are in the order of the tenants; a tenant that fails does not stop the others. record, if
// not nil, is called around each execution.
func (t *Tenancy) Exec(ctx context.Context, tenants []scopes.Tenant, e Exec, record func(ctx context.Context, work func() error) error) []ExecResult {
	results := make([]ExecResult, len(tenants))
	at := map[string]*ExecResult{}
	for i, tenant := range tenants {
		results[i].Tenant = tenant
		at[tenant.Key()] = &results[i]
	}
	if record == nil {
		record = func(_ context.Context, work func() error) error { return work() }
	}
	errs := scopes.Each(ctx, tenants, e.Jobs, func(ctx context.Context) error {
		return record(ctx, func() error { return t.execFor(ctx, e, at[scopes.MustFromContext(ctx).Key()]) })
	})
	for i, err := range errs {
		results[i].Err = err
	}
	return results
}

func (t *Tenancy) execFor(ctx context.Context, e Exec, result *ExecResult) error {
	tx, err := t.SQL().BeginTx(ctx, &sql.TxOptions{ReadOnly: !e.Write})
	if err != nil {
		return err
	}
	if err := e.run(ctx, tx, result); err != nil {
		return errors.Join(err, ignoreDone(tx.Rollback()))
	}
	return tx.Commit()
}

// ignoreDone ignores that the transaction has ended already.
func ignoreDone(err error) error {
	if errors.Is(err, sql.ErrTxDone) {
		return nil
	}
	return err
}

func (e Exec) run(ctx context.Context, tx *sql.Tx, result *ExecResult) error {
	if !returnsRows.MatchString(e.SQL) {
		done, err := tx.ExecContext(ctx, e.SQL)
		if err == nil {
			result.Affected, err = done.RowsAffected()
		}
		return err
	}
	rows, err := tx.QueryContext(ctx, e.SQL)
	if err != nil {
		return err
	}
	defer rows.Close()
	if result.Columns, err = rows.Columns(); err != nil {
		return err
	}
	for rows.Next() {
		if len(result.Rows) == maxExecRows {
			return fmt.Errorf("more than %d rows: aggregate them, or use dbshell --tenant for one tenant", maxExecRows)
		}
		row, into := make([]any, len(result.Columns)), make([]any, len(result.Columns))
		for i := range row {
			into[i] = &row[i]
		}
		if err := rows.Scan(into...); err != nil {
			return err
		}
		result.Rows = append(result.Rows, row)
	}
	return rows.Err()
}
