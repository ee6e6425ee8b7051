package session

import (
	"context"
	"crypto/sha256"
	"encoding/hex"

	"github.com/jackc/pgx/v5/pgconn"
)

// statementKey names a prepared statement. The schema belongs to it: the search_path decides which tables the text
// means, and so which types its parameters and its result have.
type statementKey struct{ schema, sql string }

// name returns the statement's name on the server, which no other text or schema shares.
func (k statementKey) name() string {
	hash := sha256.Sum256([]byte(k.schema + "\x00" + k.sql))
	return "session_" + hex.EncodeToString(hash[:12])
}

// text returns what is prepared. A pooler that keeps prepared statements tells them apart by their text, so the name, in
// a comment, keeps the schemas apart there too.
func (k statementKey) text() string {
	if k.schema == "" {
		return k.sql
	}
	return k.sql + "\n-- " + k.name()
}

// describe returns the prepared statement for query, and prepares it the first time, one more round trip.
// The settings go along, since the search_path decides what a table's name means. The statement that applies them is
// prepared beside it. For a statement that is not to be prepared describe returns nil.
func (c *core) describe(ctx context.Context, settings txSettings, query string, args int) (*pgconn.StatementDescription, error) {
	// Without arguments it is a literal that is not likely to come again: BEGIN's kin, DDL, reports.
	if c.statements == nil || args == 0 {
		return nil, nil
	}
	if sd, ok := c.cached(settings.schema, query); ok {
		return sd, nil
	}
	wanted := []statementKey{{settings.schema, query}}
	if key := (statementKey{"", c.settingsSQL(settings)}); c.tx == nil && !c.statements.Contains(key) {
		wanted = []statementKey{key, wanted[0]}
	}
	p := c.pg.StartPipeline(ctx)
	sent := c.sendSettings(p, settings)
	for _, name := range c.evicted {
		p.SendDeallocate(name)
	}
	for _, key := range wanted {
		p.SendDeallocate(key.name()) // one of that name may be left, of another client of a pooler
		p.SendPrepare(key.name(), key.text(), nil)
	}
	if err := c.receiveSettings(p, sent); err != nil {
		return nil, err
	}
	return c.receivePrepared(p, wanted)
}

// receivePrepared reads the descriptions and puts them into the cache; the last one is returned.
func (c *core) receivePrepared(p *pgconn.Pipeline, wanted []statementKey) (sd *pgconn.StatementDescription, err error) {
	c.evicted = c.evicted[:0]
	for len(wanted) > 0 {
		sd, err = c.receiveDescription(p)
		if err != nil {
			return nil, err
		}
		sd.Name, sd.SQL = wanted[0].name(), wanted[0].sql
		c.statements.Add(wanted[0], sd)
		wanted = wanted[1:]
	}
	return sd, p.Close()
}

// describeOnce returns what the server says of query now, without keeping a statement there or here: one more round
// trip. In contrast to a prepared statement it is never an older one, behind any pooler.
func (c *core) describeOnce(ctx context.Context, settings txSettings, query string, args int) (*pgconn.StatementDescription, error) {
	if args == 0 {
		return nil, nil
	}
	p := c.pg.StartPipeline(ctx)
	sent := c.sendSettings(p, settings)
	p.SendPrepare("", query, nil)
	if err := c.receiveSettings(p, sent); err != nil {
		return nil, err
	}
	sd, err := c.receiveDescription(p)
	if err != nil {
		return nil, err
	}
	return sd, p.Close()
}

// describeNothing has the server parse the statement together with its arguments, as text, in the round trip that executes it:
// tables cannot be changed in between, as they can after any description.
func describeNothing(context.Context, txSettings, string, int) (*pgconn.StatementDescription, error) {
	return nil, nil
}

// receiveDescription reads up to the next description. An error leaves the pipeline closed.
func (c *core) receiveDescription(p *pgconn.Pipeline) (*pgconn.StatementDescription, error) {
	for {
		result, err := p.GetResults()
		if err != nil {
			_ = p.Close()
			return nil, c.explain(err)
		}
		if sd, ok := result.(*pgconn.StatementDescription); ok {
			return sd, nil
		}
		// the answer to a deallocation
	}
}

func (c *core) cached(schema, sql string) (*pgconn.StatementDescription, bool) {
	if c.statements == nil {
		return nil, false
	}
	return c.statements.Get(statementKey{schema, sql})
}

// forgetStatements drops all prepared statements: when one is outdated, others are likely to be.
func (c *core) forgetStatements() {
	if c.statements != nil {
		c.statements.Purge()
	}
}
