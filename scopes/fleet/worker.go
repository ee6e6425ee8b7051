package fleet

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"tenanted/scopes"
	"tenanted/scopes/session"
)

// worker migrates placements of one database over one connection.
type worker struct {
	fleet    *Fleet
	database scopes.Placement
	waiting  func(Lock)

	conn *pgx.Conn // nil: not connected yet
	db   *sql.DB   // of conn alone, for goose
}

func newWorker(f *Fleet, p scopes.Placement, waiting func(Lock)) *worker {
	return &worker{fleet: f, database: p.InSchema(""), waiting: waiting}
}

const cleanupTime = 5 * time.Second

// close ends the connection, and with it the locks of its session.
func (w *worker) close() {
	if w == nil || w.conn == nil {
		return
	}
	_ = w.db.Close()
	w.conn = nil
}

// migrate brings a placement to the newest version, and writes it down.
func (w *worker) migrate(ctx context.Context, p scopes.Placement) Result {
	began := time.Now()
	ledger := w.fleet.config.Ledger
	if ledger == nil {
		ledger = noLedger{}
	}
	id, err := ledger.Begin(ctx, p, w.fleet.config.By)
	if err != nil {
		return Result{Placement: p, Err: fmt.Errorf("write the ledger: %w", err)}
	}
	r := w.tryUp(ctx, p)
	r.Took = time.Since(began)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTime)
	defer cancel()
	if err := ledger.End(ctx, id, r); err != nil && r.Err == nil {
		r.Err = fmt.Errorf("it is migrated, but that is not in the ledger: %w", err)
	}
	return r
}

// tryUp is up, tried again after it lost against the lock timeout or in a deadlock.
func (w *worker) tryUp(ctx context.Context, p scopes.Placement) Result {
	r := Result{Placement: p}
	first := true
	for r.Tries = 1; ; r.Tries++ {
		from, to, err := w.up(ctx, p)
		if first {
			r.From, first = from, false
		}
		r.To, r.Err = to, err
		if !lostLock(err) || r.Tries > w.fleet.config.Retries || !sleep(ctx, w.fleet.pause(r.Tries)) {
			return r
		}
	}
}

// lostLock reports whether somebody else had what a statement waited for.
func lostLock(err error) bool {
	const lockNotAvailable, deadlock = "55P03", "40P01"
	var pgErr *pgconn.PgError
	return errors.As(err, &pgErr) && (pgErr.Code == lockNotAvailable || pgErr.Code == deadlock)
}

// pause is how long the others may go on before the next try: about as long as they waited, longer each time.
func (f *Fleet) pause(tries int) time.Duration {
	longest := f.config.LockTimeout * time.Duration(tries)
	return longest/2 + rand.N(longest/2+1)
}

func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// up takes the lock, makes the schema if it is missing, and migrates it. It returns the versions before and after.
func (w *worker) up(ctx context.Context, p scopes.Placement) (from, to int64, err error) {
	if err := w.open(ctx); err != nil {
		return 0, 0, err
	}
	if err := w.fleet.lock(ctx, w.conn, p, w.waiting); err != nil {
		return 0, 0, err
	}
	defer func() {
		unlock, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTime)
		defer cancel()
		if failed := w.fleet.unlock(unlock, w.conn, p); err == nil {
			err = failed
		}
	}()
	if err := w.enter(ctx, p); err != nil {
		return 0, 0, err
	}
	provider, err := w.fleet.provider(w.db) // a new one for each: it remembers whether there is a version table
	if err != nil {
		return 0, 0, err
	}
	if from, _, err = provider.GetVersions(ctx); err != nil {
		return from, from, err
	}
	if _, err = provider.Up(ctx); err != nil {
		to, _, _ = provider.GetVersions(ctx) // as far as it came
		return from, to, err
	}
	if w.fleet.config.After != nil {
		err = w.fleet.config.After(ctx, w.conn, p)
	}
	if err == nil {
		to, _, err = provider.GetVersions(ctx)
	}
	return from, to, err
}

// open connects, unless that is done.
func (w *worker) open(ctx context.Context) error {
	if w.conn != nil {
		return nil
	}
	to, err := w.fleet.connConfig(w.database)
	if err != nil {
		return err
	}
	to.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol // several statements at once, none twice
	to.RuntimeParams["lock_timeout"] = ms(w.fleet.config.LockTimeout)
	to.RuntimeParams["statement_timeout"] = ms(w.fleet.config.StatementTimeout)
	w.db = stdlib.OpenDB(*to, stdlib.OptionAfterConnect(w.connected))
	w.db.SetMaxOpenConns(1)
	w.db.SetMaxIdleConns(1)
	if err := w.db.PingContext(ctx); err != nil {
		_ = w.db.Close()
		w.conn = nil
		return session.Explain(err)
	}
	return nil
}

func ms(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// connected keeps the one connection, which has the locks. database/sql would replace one that is lost.
func (w *worker) connected(ctx context.Context, conn *pgx.Conn) error {
	err := errors.New("fleet: the connection was lost")
	if w.conn == nil {
		err = requireDirect(ctx, conn)
	}
	if err != nil {
		_ = conn.Close(context.WithoutCancel(ctx)) // the library leaves that to us
		return err
	}
	w.conn = conn
	return nil
}

// enter makes the session work in a schema, and makes the schema. CREATE SCHEMA IF NOT EXISTS would need the right to create one
// even where it exists.
func (w *worker) enter(ctx context.Context, p scopes.Placement) error {
	var exists bool
	err := w.conn.QueryRow(ctx, "select exists (select from pg_namespace where nspname = $1)", p.Schema).Scan(&exists)
	if err == nil && !exists {
		_, err = w.conn.Exec(ctx, "create schema "+pgx.Identifier{p.Schema}.Sanitize())
	}
	if err == nil {
		_, err = w.conn.Exec(ctx, "select set_config('search_path', $1, false)", pgx.Identifier{p.Schema}.Sanitize())
	}
	return err
}

func (f *Fleet) provider(db *sql.DB) (*goose.Provider, error) {
	options := []goose.ProviderOption{goose.WithDisableGlobalRegistry(true), goose.WithTableName(f.config.Table)}
	if len(f.config.Go) > 0 {
		options = append(options, goose.WithGoMigrations(f.config.Go...))
	}
	return goose.NewProvider(goose.DialectPostgres, db, f.config.Migrations, options...)
}
