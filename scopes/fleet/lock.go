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
	PID   int32     // its server process
	Since time.Time // when its last statement began
}

// String implements fmt.Stringer.
func (l Lock) String() string {
	return fmt.Sprintf("%s is being migrated by %s (process %d) since %s", l.Placement, l.By, l.PID, l.Since.UTC().Format(time.RFC3339))
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

// lock takes a placement's lock for the session. When it has to wait it says for whom.
func (f *Fleet) lock(ctx context.Context, conn *pgx.Conn, p scopes.Placement, waiting func(Lock)) error {
	key := f.lockKey(p)
	var taken bool
	if err := conn.QueryRow(ctx, "select pg_try_advisory_lock($1)", key).Scan(&taken); err != nil || taken {
		return err
	}
	holder, err := lockHolder(ctx, conn, p, key)
	if err == nil {
		waiting(holder)
	} else if !errors.Is(err, pgx.ErrNoRows) { // it has just been given back
		return err
	}
	// Nobody waits behind this one, so it may take its time.
	if _, err := conn.Exec(ctx, fmt.Sprintf("begin; set local lock_timeout = 0; set local statement_timeout = 0; select pg_advisory_lock(%d); commit", key),
		pgx.QueryExecModeSimpleProtocol); err != nil {
		return fmt.Errorf("%v: %w", holder, err)
	}
	return nil
}

func lockHolder(ctx context.Context, conn *pgx.Conn, p scopes.Placement, key int64) (Lock, error) {
	l := Lock{Placement: p}
	err := conn.QueryRow(ctx, `
		select a.application_name, a.pid, coalesce(a.query_start, a.backend_start) from pg_locks l join pg_stat_activity a using (pid)
		where l.locktype = 'advisory' and l.granted and l.objsubid = 1
		  and l.database = (select oid from pg_database where datname = current_database())
		  and (l.classid::bigint << 32 | l.objid::bigint) = $1`, key).Scan(&l.By, &l.PID, &l.Since)
	l.By = strings.TrimPrefix(l.By, namePrefix)
	return l, err
}

func (f *Fleet) unlock(ctx context.Context, conn *pgx.Conn, p scopes.Placement) error {
	_, err := conn.Exec(ctx, "select pg_advisory_unlock($1)", f.lockKey(p))
	return err
}
