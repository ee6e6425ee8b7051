package fleet

import (
	"cmp"
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

// migrate brings a placement to the newest version.
func (w *worker) migrate(ctx context.Context, p scopes.Placement, _ state) Result {
	return w.recorded(ctx, p, w.up)
}

// undo undoes a placement's newest migration.
func (w *worker) undo(ctx context.Context, p scopes.Placement, _ state) Result {
	return w.recorded(ctx, p, w.down)
}

// renew calls Config.After for a placement that is at the newest version. What a newer program has migrated is that one's to look after.
func (w *worker) renew(ctx context.Context, p scopes.Placement, s state) Result {
	began := time.Now()
	r := s.unchanged(p)
	if s.newest > w.fleet.Newest() {
		return r
	}
	r.Err = w.locked(ctx, p, func() error { return w.after(ctx, p) })
	r.Took = time.Since(began)
	return r
}

// recorded does work on a placement, and writes it down.
func (w *worker) recorded(ctx context.Context, p scopes.Placement, work migration) Result {
	began := time.Now()
	ledger := w.fleet.config.Ledger
	if ledger == nil {
		ledger = noLedger{}
	}
	id, err := ledger.Begin(ctx, p, w.fleet.config.By)
	if err != nil {
		return Result{Placement: p, Err: fmt.Errorf("write the ledger: %w", err)}
	}
	r := w.tried(ctx, p, work)
	r.Took = time.Since(began)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTime)
	defer cancel()
	if err := ledger.End(ctx, id, r); err != nil && r.Err == nil {
		r.Err = fmt.Errorf("it is migrated, but that is not in the ledger: %w", err)
	}
	return r
}

// migration changes a placement's version, and returns that before and after.
type migration func(ctx context.Context, p scopes.Placement) (from, to int64, err error)

// tried does work, again after it lost against the lock timeout or in a deadlock.
func (w *worker) tried(ctx context.Context, p scopes.Placement, work migration) Result {
	r := Result{Placement: p}
	for r.Tries = 1; ; r.Tries++ {
		from, to, err := work(ctx, p)
		if r.Tries == 1 {
			r.From = from
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

func (w *worker) up(ctx context.Context, p scopes.Placement) (from, to int64, err error) {
	return w.change(ctx, p, func(provider *goose.Provider) error {
		if _, err := provider.Up(ctx); err != nil {
			return err
		}
		return w.after(ctx, p)
	})
}

func (w *worker) down(ctx context.Context, p scopes.Placement) (from, to int64, err error) {
	return w.change(ctx, p, func(provider *goose.Provider) error {
		_, err := provider.Down(ctx)
		if errors.Is(err, goose.ErrNoNextVersion) {
			return nil
		}
		return err
	})
}

func (w *worker) after(ctx context.Context, p scopes.Placement) error {
	if w.fleet.config.After == nil {
		return nil
	}
	return w.fleet.config.After(ctx, w.conn, p)
}

// change has goose do work in a placement, and returns the versions before it and after it, or as far as it came.
func (w *worker) change(ctx context.Context, p scopes.Placement, work func(*goose.Provider) error) (from, to int64, err error) {
	err = w.locked(ctx, p, func() error {
		provider, err := w.fleet.provider(w.db) // a new one for each: it remembers whether there is a version table
		if err != nil {
			return err
		}
		if from, _, err = provider.GetVersions(ctx); err != nil {
			return err
		}
		failed := work(provider)
		to, _, err = provider.GetVersions(ctx)
		return cmp.Or(failed, err)
	})
	return from, to, err
}

// locked calls work while nobody else migrates the placement, in a session that works in its schema. It makes the schema if it
// is missing.
func (w *worker) locked(ctx context.Context, p scopes.Placement, work func() error) (err error) {
	if err := w.open(ctx); err != nil {
		return err
	}
	if err := w.fleet.lock(ctx, w.conn, p, w.fleet.forSession(p), w.waiting); err != nil {
		return err
	}
	defer func() {
		unlock, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTime)
		defer cancel()
		err = cmp.Or(err, w.fleet.unlock(unlock, w.conn, p))
	}()
	if err := w.enter(ctx, p); err != nil {
		return err
	}
	return work()
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
		err = RequireDirect(ctx, conn)
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
