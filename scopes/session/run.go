package session

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5/pgconn"
)

// run executes one statement in one pipeline. Outside a transaction its settings go first: up to its end a
// pipeline is one implicit transaction, so what is set there holds for the statement and no longer.
func (c *conn) run(ctx context.Context, query string, named []driver.NamedValue) (*rows, error) {
	if c.pg.IsClosed() {
		return nil, errClosed
	}
	settings, err := c.settingsFor(ctx)
	if err != nil {
		return nil, err
	}
	if c.tx != nil && *c.tx != settings {
		return nil, fmt.Errorf("statement for %v inside a transaction of %v: use the transaction's own context", settings, *c.tx)
	}
	if c.tx != nil && c.pg.TxStatus() == 'I' {
		return nil, fmt.Errorf("the transaction of %v was ended by a statement, and the tenant with it: use Commit or Rollback", *c.tx)
	}
	args := make([]any, len(named))
	for i, v := range named {
		args[i] = v.Value
	}
	sd, err := c.describe(ctx, settings, query, len(args))
	if err != nil {
		return nil, err
	}
	if err := c.build.Build(c.Conn.Conn().TypeMap(), sd, args); err != nil {
		return nil, fmt.Errorf("arguments of %q: %w", query, err)
	}
	if sd != nil {
		chooseFormats(c.build.ResultFormats, sd.Fields)
	}
	r, err := c.send(ctx, settings, query, sd)
	if err != nil {
		c.forget(query, err)
	}
	return r, err
}

// send sends the statement, behind the settings outside a transaction, and reads up to its first row.
func (c *conn) send(ctx context.Context, settings txSettings, query string, sd *pgconn.StatementDescription) (*rows, error) {
	p := c.pg.StartPipeline(ctx)
	c.sendSettings(p, settings)
	if sd != nil {
		p.SendQueryStatement(sd, c.build.ParamValues, c.build.ParamFormats, c.build.ResultFormats)
	} else {
		p.SendQueryParams(query, c.build.ParamValues, nil, c.build.ParamFormats, c.build.ResultFormats)
	}
	if err := c.receiveSettings(p); err != nil {
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

// sendSettings puts the settings at the head of a pipeline, unless the open transaction has them already.
func (c *conn) sendSettings(p *pgconn.Pipeline, settings txSettings) {
	if c.tx != nil {
		return
	}
	if sd, ok := c.cached(settings.sql()); ok {
		p.SendQueryStatement(sd, settings.values(), nil, nil)
	} else {
		p.SendQueryParams(settings.sql(), settings.values(), nil, nil, nil)
	}
}

// receiveSettings ends the sending of a pipeline and reads the answer to the settings. An error leaves the pipeline
// closed; if it came before the first answer, nothing has been executed, and the statement may be tried again on
// another connection.
func (c *conn) receiveSettings(p *pgconn.Pipeline) error {
	err := p.Sync()
	if err == nil && c.tx == nil {
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

// describe returns the prepared statement for query, and prepares it the first time, one more round trip.
// The settings go along, since the search_path decides what a table's name means. The statement that applies them is
// prepared beside it. For a statement that is not to be prepared describe returns nil.
func (c *conn) describe(ctx context.Context, settings txSettings, query string, args int) (*pgconn.StatementDescription, error) {
	// Without arguments it is a literal that is not likely to come again: BEGIN's kin, DDL, reports.
	if !c.prepares || args == 0 {
		return nil, nil
	}
	if sd, ok := c.cached(query); ok {
		return sd, nil
	}
	p := c.pg.StartPipeline(ctx)
	c.sendSettings(p, settings)
	for _, name := range c.evicted {
		p.SendDeallocate(name)
	}
	wanted := []string{query}
	if c.tx == nil && !c.statements.Contains(settings.sql()) {
		wanted = []string{settings.sql(), query}
	}
	names := make([]string, len(wanted))
	for i, sql := range wanted {
		c.prepared++
		names[i] = "session_" + strconv.Itoa(c.prepared)
		p.SendPrepare(names[i], sql, nil)
	}
	if err := c.receiveSettings(p); err != nil {
		return nil, err
	}
	return c.receivePrepared(p, wanted, names)
}

// receivePrepared reads the descriptions and puts them into the cache; the last one is returned.
func (c *conn) receivePrepared(p *pgconn.Pipeline, wanted, names []string) (sd *pgconn.StatementDescription, err error) {
	c.evicted = c.evicted[:0]
	for len(wanted) > 0 {
		result, err := p.GetResults()
		if err != nil {
			_ = p.Close()
			return nil, c.explain(err)
		}
		description, ok := result.(*pgconn.StatementDescription)
		if !ok {
			continue // the answer to a deallocation
		}
		sd = description
		sd.Name, sd.SQL = names[0], wanted[0]
		c.statements.Add(sd.SQL, sd)
		wanted, names = wanted[1:], names[1:]
	}
	return sd, p.Close()
}

func (c *conn) cached(sql string) (*pgconn.StatementDescription, bool) {
	if !c.prepares {
		return nil, false
	}
	return c.statements.Get(sql)
}

// forget drops a prepared statement that the server can no longer execute: a migration changed its result
// (0A000), or somebody deallocated it (26000).
func (c *conn) forget(query string, err error) {
	var pgErr *pgconn.PgError
	if c.prepares && errors.As(err, &pgErr) && (pgErr.Code == "0A000" || pgErr.Code == "26000") {
		c.statements.Purge()
	}
}
