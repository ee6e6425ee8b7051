package archive

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
	"github.com/jackc/pgx/v5/pgproto3"

	"tenanted/scopes"
)

// UnfollowableError says why a server does not tell the changes of a tenant's rows.
type UnfollowableError struct {
	Reason string // "wal_level is replica: …"
	err    error
}

// Error returns one line, with what to do where that is known.
func (e *UnfollowableError) Error() string { return "changes cannot be followed: " + e.Reason }

// Unwrap returns PostgreSQL's error, if it refused.
func (e *UnfollowableError) Unwrap() error { return e.err }

const (
	// slotWait bounds how long the server's other transactions may take to end before changes can be followed.
	slotWait = time.Minute
	// askEvery is how soon the server is asked how far it is, when it says nothing.
	askEvery = 10 * time.Millisecond
	// applyAtOnce is how many changes, whole transactions of them, are applied in one transaction. In a longer one the versions of
	// a row that is changed often would pile up, for each check of a reference to it to read.
	applyAtOnce = 500
	// sendAtOnce is how many changes are sent in one message.
	sendAtOnce = 250
)

// Changes are those of one tenant's rows from a moment on, in the order of the commits, from the server's log (logical
// decoding, with PostgreSQL's own pgoutput). They are for one goroutine. Close them after use.
//
// The server keeps its log for them in a temporary replication slot, which ends with the connection: whoever is killed leaves
// none behind, but the publication, which costs nothing and is replaced by the next Follow of that name.
type Changes struct {
	// Snapshot names the moment, for SET TRANSACTION SNAPSHOT in a REPEATABLE READ transaction on the same database. It can be
	// taken until the first Apply.
	Snapshot string

	name, slot string
	db         *database
	tables     map[uint32]*table // by their oid
	conn       *pgx.Conn
	stream     *pgconn.PgConn
	started    bool
	relations  map[uint32]*pglogrepl.RelationMessage
	within     bool          // a transaction, whose end has not come
	received   pglogrepl.LSN // all that was committed before has been received
	applied    pglogrepl.LSN // and applied
}

// Follow begins to follow the changes of the tenant's rows, in the schema of its placement, or else the search_path's. server is
// how the tables' owner connects to the database; it must be the server itself, and no pooler. The name is for the publication,
// and with a number for the slot: letters a to z, digits and _, at most 50.
//
// It returns an [*UnfollowableError] where the server does not let it: that takes PostgreSQL 15, wal_level = logical, a free slot, a
// role with REPLICATION, and tables whose primary key has the tenant's column. It waits until transactions that are under way,
// anybody's, have ended, for each at most a minute, or server's lock_timeout: a longer one is such an error too, and says whose it is.
func Follow(ctx context.Context, server *pgx.ConnConfig, m *Models, tenant scopes.Tenant, name string) (*Changes, error) {
	c := &Changes{name: name, tables: map[uint32]*table{}, relations: map[uint32]*pglogrepl.RelationMessage{}}
	err := c.begin(ctx, server, m, tenant)
	if err != nil {
		return nil, fmt.Errorf("follow %v: %w", tenant, errors.Join(err, c.Close(context.WithoutCancel(ctx))))
	}
	return c, nil
}

func (c *Changes) begin(ctx context.Context, server *pgx.ConnConfig, m *Models, tenant scopes.Tenant) (err error) {
	server = server.Copy()
	if server.RuntimeParams["lock_timeout"] == "" {
		server.RuntimeParams["lock_timeout"] = fmt.Sprint(slotWait.Milliseconds())
	}
	if c.conn, err = pgx.ConnectConfig(ctx, server); err != nil {
		return err
	}
	if err := pgx.BeginFunc(ctx, c.conn, func(tx pgx.Tx) error { return c.publish(ctx, tx, m, tenant) }); err != nil {
		return unfollowable(err)
	}
	if c.stream, err = pgconn.ConnectConfig(ctx, replicating(server)); err != nil {
		return unfollowable(err)
	}
	c.slot = fmt.Sprintf("%s_%d", c.name, c.conn.PgConn().PID()) // one server has slots of several databases, and deployments
	slot, err := pglogrepl.CreateReplicationSlot(ctx, c.stream, c.slot, "pgoutput", pglogrepl.CreateReplicationSlotOptions{Temporary: true, SnapshotAction: "EXPORT_SNAPSHOT"})
	if err != nil {
		return c.waitedFor(ctx, unfollowable(err))
	}
	c.Snapshot = slot.SnapshotName
	return nil
}

// waitedFor adds to an error for a transaction that did not end whose it is, as far as that can be found out.
func (c *Changes) waitedFor(ctx context.Context, err error) error {
	refused, ok := errors.AsType[*UnfollowableError](err)
	failed, waited := errors.AsType[*pgconn.PgError](err)
	if !ok || !waited || failed.Code != "55P03" {
		return err
	}
	var pid int
	var role, database string
	const oldest = `
		select l.pid, coalesce(a.usename, ''), coalesce(a.datname, '') from pg_locks l join pg_stat_activity a using (pid)
		where l.locktype = 'transactionid' and l.granted and l.pid <> pg_backend_pid() order by age(l.transactionid) desc limit 1`
	if c.conn.QueryRow(ctx, oldest).Scan(&pid, &role, &database) == nil {
		refused.Reason = fmt.Sprintf("a transaction of role %q in database %q (process %d) did not end in time", role, database, pid)
	}
	return err
}

// replicating returns a connection for replication, which writes values as an archive has them.
func replicating(server *pgx.ConnConfig) *pgconn.Config {
	config := server.Copy()
	for name, value := range map[string]string{
		"replication": "database", "datestyle": "ISO, YMD", "timezone": "UTC", "intervalstyle": "iso_8601", "extra_float_digits": "1", "bytea_output": "hex",
		"lc_monetary": "C", "client_encoding": "UTF8", "idle_in_transaction_session_timeout": "0",
	} {
		config.RuntimeParams[name] = value
	}
	// The end of a context must end the waiting, and not the connection.
	config.BuildContextWatcherHandler = func(conn *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.DeadlineContextWatcherHandler{Conn: conn.Conn()}
	}
	return &config.Config
}

// unfollowable makes a refusal of the server's an [*UnfollowableError].
func unfollowable(err error) error {
	failed, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return err
	}
	reason := oneLine(failed.Message)
	switch {
	case failed.Code == "42501" && failed.Severity == "FATAL":
		reason += ": give the owner REPLICATION (alter role … replication)"
	case failed.Code == "53300" || failed.Code == "53400":
		reason += ": raise max_replication_slots and max_wal_senders"
	case failed.Code == "55P03":
		reason = "somebody else's transaction did not end in time"
	}
	return &UnfollowableError{reason, err}
}

// publish makes the publication of the tenant's rows.
func (c *Changes) publish(ctx context.Context, tx pgx.Tx, m *Models, tenant scopes.Tenant) (err error) {
	if tenant.Schema != "" {
		if _, err := tx.Exec(ctx, "select set_config('search_path', $1, true)", quoteIdent(tenant.Schema)+", pg_temp"); err != nil {
			return err
		}
	}
	if c.db, err = readDatabase(ctx, tx, m, tenant); err != nil {
		return err
	}
	if err := c.followable(ctx, tx); err != nil {
		return err
	}
	if err := Unfollow(ctx, tx, c.name); err != nil {
		return err
	}
	var published []string
	for _, t := range c.db.tables {
		published = append(published, t.ident+" where ("+c.db.own(t, t.ident)+")")
	}
	_, err = tx.Exec(ctx, "create publication "+quoteIdent(c.name)+" for table "+strings.Join(published, ", ")+" with (publish_via_partition_root = true)")
	return err
}

// followable looks whether the server has what it takes. Of a table whose changes are known by another key than one with the tenant's
// column, a publication of the tenant's rows would refuse every tenant's.
func (c *Changes) followable(ctx context.Context, tx pgx.Tx) error {
	var level string
	var version int
	const query = "select current_setting('wal_level'), current_setting('server_version_num')::int / 10000"
	if err := tx.QueryRow(ctx, query).Scan(&level, &version); err != nil {
		return err
	}
	switch {
	case version < 15:
		return &UnfollowableError{Reason: fmt.Sprintf("PostgreSQL %d cannot tell one tenant's changes: 15 can", version)}
	case level != "logical":
		return &UnfollowableError{Reason: fmt.Sprintf("wal_level is %s: set it to logical, and restart the server", level)}
	}
	rows, _ := tx.Query(ctx, named+`
		select n.name, n.oid, c.relreplident = 'd' and c.relpersistence = 'p', array(select a.attname::text
			from pg_index i join pg_attribute a on a.attrelid = i.indrelid and a.attnum = any (i.indkey) where i.indrelid = n.oid and i.indisprimary)
		from named n join pg_class c on c.oid = n.oid`, c.db.idents())
	var name string
	var oid uint32
	var usual bool
	var key []string
	_, err := pgx.ForEachRow(rows, []any{&name, &oid, &usual, &key}, func() error {
		t := c.db.table(name)
		c.tables[oid] = t
		for _, column := range t.tenant {
			usual = usual && slices.Contains(key, column)
		}
		if !usual {
			return &UnfollowableError{Reason: fmt.Sprintf("the rows of table %s are not known by a primary key with the tenant's column", t.name)}
		}
		return nil
	})
	return err
}

// Unfollow removes what a Follow of that name left in the database, if it was killed: the publication, and a slot that is still being
// made, since the server looks for whom it makes it only when it is done.
func Unfollow(ctx context.Context, tx pgx.Tx, name string) error {
	var published, slots bool
	err := tx.QueryRow(ctx, "select exists (select from pg_publication where pubname = $1), exists (select "+leftSlots+")", name).Scan(&published, &slots)
	if err == nil && slots { // 10 s are for the process to end
		_, err = tx.Exec(ctx, "select pg_terminate_backend(active_pid, 10000) "+leftSlots, name)
	}
	if err == nil && published {
		_, err = tx.Exec(ctx, "drop publication if exists "+quoteIdent(name))
	}
	return err
}

// leftSlots are the slots of that name in this database.
const leftSlots = "from pg_replication_slots where database = current_database() and temporary and starts_with(slot_name, $1 || '_') and active_pid is not null"

// Close ends the following, and removes what it needed on the server: with a slot, the database could not be dropped. A second one
// does nothing.
func (c *Changes) Close(ctx context.Context) error {
	if c.conn == nil || c.conn.IsClosed() {
		return nil
	}
	var errs []error
	if c.stream != nil {
		errs = append(errs, c.stream.Close(ctx))
	}
	errs = append(errs, pgx.BeginFunc(ctx, c.conn, func(tx pgx.Tx) error { return Unfollow(ctx, tx, c.name) }), c.conn.Close(ctx))
	return errors.Join(errs...)
}

// position returns one behind all commits so far. Only what is on the disk is followed, so it sees to that, also for those who
// did not wait for it.
func (c *Changes) position(ctx context.Context) (at pglogrepl.LSN, err error) {
	var text string
	err = pgx.BeginFunc(ctx, c.conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "set local synchronous_commit = local"); err != nil {
			return err
		}
		return tx.QueryRow(ctx, "select pg_logical_emit_message(true, $1::text, ''::text)::text", c.name).Scan(&text)
	})
	if err != nil {
		return 0, err
	}
	return pglogrepl.ParseLSN(text)
}

// start has the server send.
func (c *Changes) start(ctx context.Context) error {
	if c.started {
		return nil
	}
	c.started = true
	return pglogrepl.StartReplication(ctx, c.stream, c.slot, 0, pglogrepl.StartReplicationOptions{
		PluginArgs: []string{"proto_version '1'", "publication_names '" + c.name + "'"},
	})
}

// tell says how far it is, and asks how far the server is.
func (c *Changes) tell(ctx context.Context) error {
	return pglogrepl.SendStandbyStatusUpdate(ctx, c.stream, pglogrepl.StandbyStatusUpdate{
		WALWritePosition: c.received, WALFlushPosition: c.applied, WALApplyPosition: c.applied, ReplyRequested: true,
	})
}

// next returns the next message, or nil if it only said how far the server is, or nothing for a while.
func (c *Changes) next(ctx context.Context) (pglogrepl.Message, error) {
	wait, cancel := context.WithTimeout(ctx, askEvery)
	defer cancel()
	message, err := c.stream.ReceiveMessage(wait)
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case pgconn.Timeout(err):
		return nil, c.tell(ctx)
	case err != nil:
		return nil, err
	}
	switch message := message.(type) {
	case *pgproto3.CopyData:
		return c.read(ctx, message.Data)
	case *pgproto3.ErrorResponse:
		return nil, pgconn.ErrorResponseToPgError(message)
	case *pgproto3.CopyDone:
		return nil, errors.New("the server ended the replication")
	}
	return nil, nil
}

func (c *Changes) read(ctx context.Context, data []byte) (pglogrepl.Message, error) {
	switch {
	case len(data) > 0 && data[0] == pglogrepl.PrimaryKeepaliveMessageByteID:
		alive, err := pglogrepl.ParsePrimaryKeepaliveMessage(data[1:])
		if err != nil {
			return nil, err
		}
		if !c.within {
			c.received = max(c.received, alive.ServerWALEnd)
		}
		if alive.ReplyRequested {
			return nil, c.tell(ctx)
		}
		return nil, nil
	case len(data) > 0 && data[0] == pglogrepl.XLogDataByteID:
		change, err := pglogrepl.ParseXLogData(data[1:])
		if err != nil {
			return nil, err
		}
		return pglogrepl.Parse(change.WALData)
	}
	return nil, errors.New("a message of the replication that is not known")
}
