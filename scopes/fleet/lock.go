package fleet

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"tenanted/scopes"
)

// Lock is a placement's lock that somebody else holds.
type Lock struct {
	scopes.Placement
	By    string    // who, as Config.By of the holder
	PID   int32     // its server process; 0: none, the transaction is prepared
	Since time.Time // when its last statement began
}

// String implements fmt.Stringer.
func (l Lock) String() string {
	by := l.By
	if l.PID != 0 {
		by += fmt.Sprintf(" (process %d)", l.PID)
	}
	return fmt.Sprintf("%s is being migrated by %s since %s", l.Placement, by, l.Since.UTC().Format(time.RFC3339))
}

const namePrefix = "migrate: "

// applicationName is what pg_stat_activity says of who migrates. PostgreSQL shows what is not ASCII as question marks, and cuts
// off what is too long.
func applicationName(by string) string { return namePrefix + by }

// lockKey is the advisory lock of a placement; the database is part of the lock's identity already.
func (f *Fleet) lockKey(p scopes.Placement) int64 {
	if f.config.LockKey != nil {
		return f.config.LockKey(p)
	}
	hash := fnv.New64a()
	_, _ = hash.Write([]byte("fleet " + f.config.Table + " " + p.Schema)) // never fails
	return int64(hash.Sum64())
}

// locking is how an advisory lock is taken.
type locking struct {
	try    string // returns whether the lock was free
	wait   string // for a second
	giveUp string // after wait has failed
}

// oneSecond has a statement wait for a lock for a second, until the transaction ends. Nobody waits behind this one.
const oneSecond = "set local lock_timeout = '1s'; set local statement_timeout = 0; "

// forSession takes a placement's lock until it is given back.
func (f *Fleet) forSession(p scopes.Placement) locking {
	key := f.lockKey(p)
	return locking{
		try:    fmt.Sprintf("select pg_try_advisory_lock(%d)", key),
		wait:   fmt.Sprintf("begin; "+oneSecond+"select pg_advisory_lock(%d); commit", key),
		giveUp: "rollback",
	}
}

// forTransaction takes a placement's lock until the transaction ends that the session is in.
func (f *Fleet) forTransaction(p scopes.Placement) locking {
	key := f.lockKey(p)
	return locking{
		try: fmt.Sprintf("select pg_try_advisory_xact_lock(%d)", key),
		wait: fmt.Sprintf("savepoint waiting; "+oneSecond+"select pg_advisory_xact_lock(%d); set local lock_timeout = %s; set local statement_timeout = %s; release waiting",
			key, ms(f.config.LockTimeout), ms(f.config.StatementTimeout)),
		giveUp: "rollback to waiting",
	}
}

// lock takes a placement's lock. When it has to wait it says for whom. It waits for a second at a time, since what holds the lock may be
// prepared meanwhile, and must then be ended.
func (f *Fleet) lock(ctx context.Context, conn *pgx.Conn, p scopes.Placement, l locking, waiting func(Lock)) error {
	var taken bool
	if err := conn.QueryRow(ctx, l.try).Scan(&taken); err != nil || taken {
		return err
	}
	for said := false; ; said = true {
		holder, gid, err := lockHolder(ctx, conn, p, f.lockKey(p))
		switch {
		case errors.Is(err, pgx.ErrNoRows): // it has just been given back
		case err != nil:
			return err
		case gid != "":
			if err := f.settlePlacement(ctx, p, gid, waiting); err != nil {
				return err
			}
		case !said:
			waiting(holder)
		}
		_, err = conn.Exec(ctx, l.wait, pgx.QueryExecModeSimpleProtocol)
		if err == nil {
			return nil
		}
		if !lostLock(err) {
			return fmt.Errorf("%v: %w", holder, err)
		}
		if _, err := conn.Exec(ctx, l.giveUp); err != nil {
			return err
		}
	}
}

// settlePlacement ends what an interrupted atomic migration has prepared in a placement's database, over a connection of its own: the
// caller's may be in a transaction.
func (f *Fleet) settlePlacement(ctx context.Context, p scopes.Placement, gid string, waiting func(Lock)) error {
	if f.config.Decisions == nil {
		return &PreparedError{p, gid}
	}
	outcome, err := f.config.Decisions.Outcome(ctx, Prepared{GID: gid}.Migration())
	if err != nil || outcome == UnderWay {
		return err
	}
	if outcome == Unknown {
		return &PreparedError{p, gid}
	}
	conn, err := f.connectAnyhow(ctx, p)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return f.settle(ctx, conn, p, waiting)
}

// lockHolder returns who holds a lock: a session, or, with its name, a prepared transaction.
func lockHolder(ctx context.Context, conn *pgx.Conn, p scopes.Placement, key int64) (l Lock, gid string, err error) {
	l.Placement = p
	err = conn.QueryRow(ctx, `
		select coalesce(a.application_name, ''), coalesce(a.pid, 0), coalesce(a.query_start, a.backend_start, x.prepared, now()), coalesce(x.gid, '')
		from pg_locks l left join pg_stat_activity a using (pid)
		left join pg_locks own on l.pid is null and own.pid is null and own.virtualtransaction = l.virtualtransaction and own.locktype = 'transactionid'
		left join pg_prepared_xacts x on x.transaction = own.transactionid
		where l.locktype = 'advisory' and l.granted and l.objsubid = 1
		  and l.database = (select oid from pg_database where datname = current_database())
		  and (l.classid::bigint << 32 | l.objid::bigint) = $1 and (a.pid is not null or x.gid is not null)`, key).Scan(&l.By, &l.PID, &l.Since, &gid)
	l.By = strings.TrimPrefix(l.By, namePrefix)
	return l, gid, err
}

func (f *Fleet) unlock(ctx context.Context, conn *pgx.Conn, p scopes.Placement) error {
	_, err := conn.Exec(ctx, "select pg_advisory_unlock($1)", f.lockKey(p))
	return err
}
