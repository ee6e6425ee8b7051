package archive

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Apply applies what was committed so far, in the order of the commits, to the tables that names mean in the transactions that in
// begins and commits, and returns how many changes that were. The tables must have the rows of the snapshot and what earlier calls
// have applied, and nobody else may change them: a change that does not find its row, and only that, is an error. After an error the
// changes are of no use any more.
func (c *Changes) Apply(ctx context.Context, in func(context.Context, func(pgx.Tx) error) error) (applied int64, err error) {
	until, err := c.position(ctx)
	if err == nil {
		err = c.start(ctx)
	}
	if err == nil {
		err = c.tell(ctx)
	}
	for err == nil && c.received < until {
		a := &applier{changes: c}
		err = in(ctx, func(tx pgx.Tx) error { return a.run(ctx, tx, until) })
		applied += a.applied
		c.applied = c.received
	}
	if err != nil {
		return applied, fmt.Errorf("apply changes: %w", err)
	}
	return applied, nil
}

// applier applies changes in one transaction.
type applier struct {
	changes *Changes
	tx      pgx.Tx
	batch   *pgconn.Batch
	of      []*table // the changes in batch, by their table; nil: one of any number of rows
	applied int64

	// Statements by their text, prepared for the transaction alone, since a pooler may give the next one another connection. That
	// is half as fast again as without.
	prepared map[string]string
}

func (a *applier) run(ctx context.Context, tx pgx.Tx, until pglogrepl.LSN) error {
	if _, err := tx.Exec(ctx, pinned, a.changes.db.setting, a.changes.db.key); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, loading, pgx.QueryExecModeSimpleProtocol); err != nil {
		return err
	}
	a.tx, a.batch, a.prepared = tx, &pgconn.Batch{}, map[string]string{}
	c := a.changes
	for c.within || c.received < until && a.applied+int64(len(a.of)) < applyAtOnce {
		message, err := c.next(ctx)
		if err == nil && message != nil {
			err = a.take(ctx, message)
		}
		if err == nil && len(a.of) >= sendAtOnce {
			err = a.send(ctx)
		}
		if err != nil {
			return err
		}
	}
	if err := a.send(ctx); err != nil {
		return err
	}
	for name := range maps.Values(a.prepared) {
		if _, err := tx.Exec(ctx, "deallocate "+quoteIdent(name)); err != nil {
			return err
		}
	}
	return nil
}

// send sends what take has put together.
func (a *applier) send(ctx context.Context) error {
	if len(a.of) == 0 {
		return nil
	}
	results, err := a.tx.Conn().PgConn().ExecBatch(ctx, a.batch).ReadAll()
	if err != nil {
		return err
	}
	for i, t := range a.of {
		if t != nil && results[i].CommandTag.RowsAffected() != 1 {
			return fmt.Errorf("table %s has not the row that was changed", t.name)
		}
	}
	a.applied += int64(len(a.of))
	a.batch, a.of = &pgconn.Batch{}, a.of[:0]
	return nil
}

// take takes a message.
func (a *applier) take(ctx context.Context, message pglogrepl.Message) error {
	c := a.changes
	switch m := message.(type) {
	case *pglogrepl.BeginMessage:
		c.within = true
	case *pglogrepl.CommitMessage:
		c.within, c.received = false, max(c.received, m.TransactionEndLSN)
	case *pglogrepl.RelationMessage:
		c.relations[m.RelationID] = m
	case *pglogrepl.InsertMessage:
		return a.change(ctx, m.RelationID, func(ch *change) { ch.insert(m.Tuple.Columns) })
	case *pglogrepl.UpdateMessage:
		return a.change(ctx, m.RelationID, func(ch *change) { ch.update(m.OldTuple, m.NewTuple.Columns) })
	case *pglogrepl.DeleteMessage:
		return a.change(ctx, m.RelationID, func(ch *change) { ch.delete(m.OldTuple.Columns) })
	case *pglogrepl.TruncateMessage:
		a.truncate(m.RelationIDs)
	}
	return nil
}

func (a *applier) change(ctx context.Context, relation uint32, write func(*change)) error {
	t, described := a.changes.tables[relation], a.changes.relations[relation]
	if t == nil || described == nil {
		return fmt.Errorf("a change of relation %d, which was not asked for", relation)
	}
	ch := &change{table: t, columns: described.Columns}
	write(ch)
	if ch.sql.Len() == 0 {
		return nil
	}
	name, err := a.prepare(ctx, ch.sql.String())
	if err != nil {
		return fmt.Errorf("table %s: %w", t.name, err)
	}
	a.batch.ExecPrepared(name, ch.values, nil, nil)
	a.of = append(a.of, t)
	return nil
}

func (a *applier) prepare(ctx context.Context, sql string) (name string, err error) {
	if name, ok := a.prepared[sql]; ok {
		return name, nil
	}
	name = fmt.Sprintf("%s_%d", a.changes.slot, len(a.prepared)+1)
	if _, err := a.tx.Conn().PgConn().Prepare(ctx, name, sql, nil); err != nil {
		return "", err
	}
	a.prepared[sql] = name
	return name, nil
}

// truncate removes the tenant's rows, children first.
func (a *applier) truncate(relations []uint32) {
	for _, t := range slices.Backward(a.changes.db.tables) {
		if slices.ContainsFunc(relations, func(oid uint32) bool { return a.changes.tables[oid] == t }) {
			a.batch.ExecParams("delete from "+t.ident+" where "+a.changes.db.own(t, t.ident), nil, nil, nil, nil)
			a.of = append(a.of, nil)
		}
	}
}

// change is a change of a row as a statement.
type change struct {
	table   *table
	columns []*pglogrepl.RelationMessageColumn
	sql     strings.Builder
	values  [][]byte
}

// value adds a value, and returns the parameter that stands for it.
func (ch *change) value(v *pglogrepl.TupleDataColumn) string {
	var text []byte // of null
	if v.DataType == pglogrepl.TupleDataTypeText {
		text = v.Data
	}
	ch.values = append(ch.values, text)
	return fmt.Sprintf("$%d", len(ch.values))
}

func (ch *change) insert(row []*pglogrepl.TupleDataColumn) {
	var names, values []string
	for i, column := range ch.columns {
		names = append(names, column.Name)
		values = append(values, ch.value(row[i]))
	}
	fmt.Fprintf(&ch.sql, "insert into %s (%s) overriding system value values (%s)", ch.table.ident, quoteIdents(names), strings.Join(values, ", "))
}

// update leaves values alone that are as they were, as far as the server tells: large ones that it does not send, and the key unless
// it sends the former one.
func (ch *change) update(former *pglogrepl.TupleData, row []*pglogrepl.TupleDataColumn) {
	var set []string
	for i, column := range ch.columns {
		if row[i].DataType != pglogrepl.TupleDataTypeToast && (!isKey(column) || former != nil) {
			set = append(set, quoteIdent(column.Name)+" = "+ch.value(row[i]))
		}
	}
	if len(set) == 0 {
		return
	}
	key := row
	if former != nil {
		key = former.Columns
	}
	fmt.Fprintf(&ch.sql, "update %s set %s where %s", ch.table.ident, strings.Join(set, ", "), ch.where(key))
}

func (ch *change) delete(key []*pglogrepl.TupleDataColumn) {
	fmt.Fprintf(&ch.sql, "delete from %s where %s", ch.table.ident, ch.where(key))
}

// where is the condition for the row of a key.
func (ch *change) where(key []*pglogrepl.TupleDataColumn) string {
	var terms []string
	for i, column := range ch.columns {
		if isKey(column) {
			terms = append(terms, quoteIdent(column.Name)+" = "+ch.value(key[i]))
		}
	}
	return strings.Join(terms, " and ")
}

func isKey(column *pglogrepl.RelationMessageColumn) bool { return column.Flags&1 != 0 }
