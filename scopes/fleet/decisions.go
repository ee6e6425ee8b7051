package fleet

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"hash/fnv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"tenanted/scopes/session"
)

// Decisions keeps what was decided about atomic migrations over several databases, in one place that lasts. [DecisionTable] is one.
type Decisions interface {
	// Begin begins an atomic migration, and returns its name, which is no other's: up to 100 letters and digits. It is under way until End,
	// or until the process ends. It fails while another one is under way.
	Begin(ctx context.Context, by string) (name string, err error)
	// Commit decides that a migration is committed in all databases. It fails if that was given up.
	Commit(ctx context.Context, name string) error
	// End says that the process has nothing more to do for a migration.
	End(ctx context.Context, name string) error
	// Outcome returns what was decided. A migration that is not under way any more, and undecided, is given up by that.
	Outcome(ctx context.Context, name string) (Outcome, error)
}

// Outcome is what was decided about an atomic migration.
type Outcome int

// The outcomes. What is unknown is somebody else's.
const (
	Unknown Outcome = iota
	UnderWay
	Committed
	RolledBack
)

// DecisionTable keeps decisions in a table of the control plane:
//
//	create table atomic_migrations (
//	    name       text        primary key,
//	    operator   text        not null,
//	    began_at   timestamptz not null default now(),
//	    decision   text        check (decision in ('commit', 'rollback')), -- null: none yet
//	    decided_at timestamptz,
//	    ended_at   timestamptz
//	);
//
// A migration is under way as long as the session that began it holds its advisory lock. It may be used by several goroutines at once.
type DecisionTable struct {
	// Conn leads to the table's database, straight to the server.
	Conn *pgx.ConnConfig
	// Table is the table's name, with its schema if need be.
	Table pgx.Identifier

	mutex sync.Mutex
	under map[string]*pgx.Conn // by the names of the migrations that this process has under way
}

// Begin implements [Decisions].
func (d *DecisionTable) Begin(ctx context.Context, by string) (string, error) {
	conn, err := d.connect(ctx)
	if err != nil {
		return "", err
	}
	name := strings.ToLower(rand.Text())
	if err := d.begin(ctx, conn, name, by); err != nil {
		_ = conn.Close(context.WithoutCancel(ctx))
		return "", err
	}
	d.mutex.Lock()
	defer d.mutex.Unlock()
	if d.under == nil {
		d.under = map[string]*pgx.Conn{}
	}
	d.under[name] = conn
	return name, nil
}

func (d *DecisionTable) begin(ctx context.Context, conn *pgx.Conn, name, by string) error {
	free, err := d.tryLock(ctx, conn, "")
	if err == nil && !free {
		return d.another(ctx, conn)
	}
	if err == nil {
		_, err = d.tryLock(ctx, conn, name)
	}
	if err == nil {
		_, err = conn.Exec(ctx, "insert into "+d.Table.Sanitize()+" (name, operator) values ($1, $2)", name, by)
	}
	return err
}

// another says who has an atomic migration under way.
func (d *DecisionTable) another(ctx context.Context, conn *pgx.Conn) error {
	by, since := "somebody", time.Now()
	err := conn.QueryRow(ctx, "select operator, began_at from "+d.Table.Sanitize()+" where ended_at is null order by began_at desc limit 1").Scan(&by, &since)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return err
	}
	return fmt.Errorf("another atomic migration is under way, by %s since %s: wait until it is done", by, since.UTC().Format(time.RFC3339))
}

// Commit implements [Decisions].
func (d *DecisionTable) Commit(ctx context.Context, name string) error {
	d.mutex.Lock()
	conn := d.under[name]
	d.mutex.Unlock()
	if conn == nil {
		return fmt.Errorf("atomic migration %s is not under way", name)
	}
	tag, err := conn.Exec(ctx, "update "+d.Table.Sanitize()+" set decision = 'commit', decided_at = clock_timestamp() where name = $1 and decision is null", name)
	if err == nil && tag.RowsAffected() == 0 {
		err = fmt.Errorf("atomic migration %s was given up", name)
	}
	return err
}

// End implements [Decisions].
func (d *DecisionTable) End(ctx context.Context, name string) error {
	d.mutex.Lock()
	conn := d.under[name]
	delete(d.under, name)
	d.mutex.Unlock()
	if conn == nil {
		return nil
	}
	_, err := conn.Exec(ctx, "update "+d.Table.Sanitize()+" set ended_at = clock_timestamp() where name = $1", name)
	return errors.Join(err, conn.Close(ctx))
}

// Outcome implements [Decisions].
func (d *DecisionTable) Outcome(ctx context.Context, name string) (Outcome, error) {
	conn, err := d.connect(ctx)
	if err != nil {
		return Unknown, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if outcome, err := d.decided(ctx, conn, name); err != nil || outcome != UnderWay {
		return outcome, err
	}
	over, err := d.tryLock(ctx, conn, name)
	if err != nil || !over {
		return UnderWay, err
	}
	// Its process may decide at this very moment, over another session than that which held the lock: one of the two is first.
	_, err = conn.Exec(ctx, "update "+d.Table.Sanitize()+" set decision = 'rollback', decided_at = clock_timestamp() where name = $1 and decision is null", name)
	if err != nil {
		return Unknown, err
	}
	return d.decided(ctx, conn, name)
}

// decided returns what the table says: UnderWay, if nothing was decided.
func (d *DecisionTable) decided(ctx context.Context, conn *pgx.Conn, name string) (Outcome, error) {
	var decision string
	err := conn.QueryRow(ctx, "select coalesce(decision, '') from "+d.Table.Sanitize()+" where name = $1", name).Scan(&decision)
	if errors.Is(err, pgx.ErrNoRows) {
		return Unknown, nil
	}
	return map[string]Outcome{"": UnderWay, "commit": Committed, "rollback": RolledBack}[decision], err
}

// connect opens a session whose commits last, whatever the database's default is.
func (d *DecisionTable) connect(ctx context.Context) (*pgx.Conn, error) {
	to := d.Conn.Copy()
	to.DefaultQueryExecMode = pgx.QueryExecModeExec
	to.RuntimeParams["synchronous_commit"] = "on"
	conn, err := pgx.ConnectConfig(ctx, to)
	if err != nil {
		return nil, session.Explain(err)
	}
	if err := RequireDirect(ctx, conn); err != nil {
		_ = conn.Close(context.WithoutCancel(ctx))
		return nil, err
	}
	return conn, nil
}

// tryLock takes the lock of an atomic migration for the session, or that of all of them for the empty name.
func (d *DecisionTable) tryLock(ctx context.Context, conn *pgx.Conn, name string) (taken bool, err error) {
	hash := fnv.New64a()
	_, _ = hash.Write([]byte("fleet atomic " + d.Table.Sanitize() + " " + name)) // never fails
	err = conn.QueryRow(ctx, "select pg_try_advisory_lock($1)", int64(hash.Sum64())).Scan(&taken)
	return taken, err
}
