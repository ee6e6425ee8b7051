package session

import (
	"cmp"
	"context"

	"github.com/jackc/pgx/v5"
)

// transaction is what a connection knows of its open transaction.
type transaction struct {
	settings   txSettings
	begin      string // how it was begun
	used       bool   // a statement has been executed
	savepoints int    // made so far, by [pgxTx.Begin]
}

// begin begins a transaction for the context's tenant, by a statement of this text.
func (c *core) begin(ctx context.Context, begin string) (err error) {
	if c.pg.IsClosed() {
		return errClosed
	}
	settings, err := c.settingsFor(ctx)
	if err != nil {
		return err
	}
	if c.tracer != nil {
		traced := c.tracer.TraceQueryStart(ctx, c.pgx, pgx.TraceQueryStartData{SQL: begin})
		defer func() { c.tracer.TraceQueryEnd(traced, c.pgx, pgx.TraceQueryEndData{Err: err}) }()
	}
	if err := c.open(ctx, settings, begin); err != nil {
		return c.retryableRead(settings, c.retryable(err))
	}
	c.tx = &transaction{settings: settings, begin: begin}
	return nil
}

// open executes statements of which the last one begins a transaction, and applies the settings to it, in one round trip. An
// error leaves no transaction.
func (c *core) open(ctx context.Context, settings txSettings, statements ...string) error {
	p := c.pg.StartPipeline(ctx)
	for _, sql := range statements {
		p.SendQueryParams(sql, nil, nil, nil, nil)
	}
	c.sendApply(p, settings)
	if err := cmp.Or(p.Sync(), p.Close()); err != nil {
		_ = p.Close()
		c.closeUnlessIdle()
		return c.explain(err)
	}
	return nil
}

// commit ends the open transaction. One in which a statement failed is rolled back, which is an error.
func (c *core) commit(ctx context.Context) error {
	c.tx = nil
	tag, err := c.pgx.Exec(ctx, "commit")
	if err == nil && tag.String() == "ROLLBACK" {
		err = pgx.ErrTxCommitRollback
	}
	c.closeUnlessIdle()
	return c.explain(err)
}

// rollback works after the transaction's context has ended too. Where the connection is closed, the transaction has ended
// with it: an error would only hide the one that the caller is rolling back for.
func (c *core) rollback(ctx context.Context) error {
	c.tx = nil
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTime)
	defer cancel()
	_, err := c.pgx.Exec(ctx, "rollback")
	c.closeUnlessIdle()
	if c.pg.IsClosed() {
		return nil
	}
	return c.explain(err)
}

// tx ends the transaction, and with it its settings.
type tx struct {
	conn *conn
	ctx  context.Context
}

// Commit implements driver.Tx.
func (t *tx) Commit() error { return t.conn.commit(t.ctx) }

// Rollback implements driver.Tx.
func (t *tx) Rollback() error { return t.conn.rollback(t.ctx) }
