package session

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// run executes one statement in one pipeline. Outside a transaction its settings go first: up to its end a
// pipeline is one implicit transaction, so what is set there holds for the statement and no longer.
func (c *core) run(ctx context.Context, query string, args []any) (*rows, error) {
	if c.tracer == nil {
		return c.runAdmitted(ctx, query, args)
	}
	ctx = c.tracer.TraceQueryStart(ctx, c.pgx, pgx.TraceQueryStartData{SQL: query, Args: args})
	r, err := c.runAdmitted(ctx, query, args)
	if err != nil {
		c.tracer.TraceQueryEnd(ctx, c.pgx, pgx.TraceQueryEndData{Err: err})
		return nil, err
	}
	r.ended = func() { c.tracer.TraceQueryEnd(ctx, c.pgx, pgx.TraceQueryEndData{CommandTag: r.tag, Err: r.err}) }
	return r, nil
}

func (c *core) runAdmitted(ctx context.Context, query string, args []any) (*rows, error) {
	settings, err := c.admit(ctx)
	if err != nil {
		return nil, err
	}
	r, err := c.execute(ctx, settings, query, args, c.describe)
	_, prepared := c.cached(settings.schema, query) // before, or just now
	for i, again := range []describer{c.describeOnce, describeNothing} {
		if !(prepared && outdated(err) || unknownStatement(err)) || i > 0 && errors.As(err, new(*argumentError)) {
			break // an argument that does not fit what was just described never will
		}
		c.forgetStatements()
		if !c.recover(ctx) {
			break
		}
		r, err = c.execute(ctx, settings, query, args, again)
	}
	if c.tx != nil {
		c.tx.used = true
	}
	return r, c.retryableRead(settings, err)
}

// admit returns the settings for a statement with this context, unless the open transaction is another tenant's or has
// ended.
func (c *core) admit(ctx context.Context) (txSettings, error) {
	if c.pg.IsClosed() {
		return txSettings{}, errClosed
	}
	settings, err := c.settingsFor(ctx)
	if err != nil || c.tx == nil {
		return settings, err
	}
	settings.reading = c.tx.settings.reading
	if c.tx.settings != settings {
		return settings, fmt.Errorf("statement for %v inside a transaction of %v: use the transaction's own context", settings, c.tx.settings)
	}
	if c.pg.TxStatus() == 'I' {
		return settings, fmt.Errorf("the transaction of %v was ended by a statement, and the tenant with it: use Commit or Rollback", settings)
	}
	return settings, nil
}

// recover makes the connection ready to execute a failed statement once more, where that undoes nothing: outside a
// transaction, as the first statement of one, or when nothing was sent.
func (c *core) recover(ctx context.Context) bool {
	switch {
	case c.pg.IsClosed():
		return false
	case c.tx == nil || c.pg.TxStatus() == 'T':
		return true
	case c.tx.used:
		return false
	}
	return c.open(ctx, c.tx.settings, "rollback", c.tx.begin) == nil
}

// describer returns what the server says of a statement's parameters and result, nil when it is not asked.
type describer func(ctx context.Context, settings txSettings, query string, args int) (*pgconn.StatementDescription, error)

func (c *core) execute(ctx context.Context, settings txSettings, query string, args []any, describe describer) (*rows, error) {
	sd, err := describe(ctx, settings, query, len(args))
	if err != nil {
		return nil, err
	}
	if err := c.build.Build(c.pgx.TypeMap(), sd, args); err != nil {
		return nil, &argumentError{query, err}
	}
	if sd != nil && !c.native {
		chooseFormats(c.build.ResultFormats, sd.Fields)
	}
	return c.send(ctx, settings, query, sd)
}

// send sends the statement, behind the settings outside a transaction, and reads up to its first row. The server
// describes the result each time: behind a pooler the statement may have been prepared again since we asked.
func (c *core) send(ctx context.Context, settings txSettings, query string, sd *pgconn.StatementDescription) (*rows, error) {
	p := c.pg.StartPipeline(ctx)
	sent := c.sendSettings(p, settings)
	switch {
	case sd == nil:
		p.SendQueryParams(query, c.build.ParamValues, nil, c.build.ParamFormats, c.build.ResultFormats)
	case sd.Name == "":
		p.SendQueryParams(query, c.build.ParamValues, sd.ParamOIDs, c.build.ParamFormats, c.build.ResultFormats)
	default:
		p.SendQueryPrepared(sd.Name, c.build.ParamValues, c.build.ParamFormats, c.build.ResultFormats)
	}
	if err := c.receiveSettings(p, sent); err != nil {
		return nil, err
	}
	result, err := p.GetResults()
	if err != nil {
		_ = p.Close()
		return nil, c.explain(err)
	}
	reader, ok := result.(*pgconn.ResultReader)
	if !ok {
		_ = p.Close()
		return nil, fmt.Errorf("BUG: pgx answered a statement with %T", result)
	}
	return &rows{conn: c, pipeline: p, reader: reader, fields: reader.FieldDescriptions()}, nil
}

// sendSettings puts the settings at the head of a pipeline, unless the open transaction has them already, and returns the number
// of statements that it sent.
func (c *core) sendSettings(p *pgconn.Pipeline, settings txSettings) (sent int) {
	if c.tx != nil {
		return 0
	}
	if c.explicit {
		p.SendQueryParams("begin", nil, nil, nil, nil)
		sent = 1
	}
	return sent + c.sendApply(p, settings)
}

// sendApply sends what applies the settings to the transaction, and returns the number of statements.
func (c *core) sendApply(p *pgconn.Pipeline, settings txSettings) (sent int) {
	if c.explicit {
		p.SendQueryParams(settings.setLocal(), nil, nil, nil, nil)
		sent = 1
	}
	sql := c.settingsSQL(settings)
	if sd, ok := c.cached("", sql); ok {
		p.SendQueryStatement(sd, c.settingsValues(settings), nil, nil)
	} else {
		p.SendQueryParams(sql, c.settingsValues(settings), nil, nil, nil)
	}
	return sent + 1
}

// receiveSettings ends the sending of a pipeline and reads the answers to the settings, of which so many statements were sent. An
// error leaves the pipeline closed; if it came before the last of these answers, nothing has been executed, and the statement may
// be tried again on another connection.
func (c *core) receiveSettings(p *pgconn.Pipeline, sent int) error {
	if c.explicit && c.tx == nil {
		// After an error the server leaves out what comes up to the next Sync, so COMMIT needs one before it: then it ends a failed
		// transaction too.
		p.SendPipelineSync()
		p.SendQueryParams("commit", nil, nil, nil, nil)
	}
	err := p.Sync()
	for ; err == nil && sent > 0; sent-- {
		var result any
		if result, err = p.GetResults(); err == nil {
			if reader, ok := result.(*pgconn.ResultReader); ok {
				_, err = reader.Close()
			}
		}
	}
	if err != nil {
		_ = p.Close()
		return c.retryable(c.explain(err))
	}
	return nil
}
