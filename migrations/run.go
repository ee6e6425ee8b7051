package migrations

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"golang.org/x/sync/errgroup"
)

// Runner migrates targets as the owner.
type Runner struct {
	// Owner is the owner's connection to the targets' server, to whichever database: each target is in its own.
	Owner *pgx.ConnConfig
	// Runtime is the role that is granted its rights. It must exist.
	Runtime string
}

// Up creates the target's schema if it is missing, brings it to the newest version, and grants the
// runtime role its rights. A target that is up to date is only granted them.
func (r Runner) Up(ctx context.Context, t Target) Result {
	return r.run(ctx, t, func(ctx context.Context, db *sql.DB, provider *goose.Provider) error {
		if _, err := provider.Up(ctx); err != nil {
			return err
		}
		from, err := compatibleFrom(files, t.Set)
		if err != nil {
			return err
		}
		if _, err := db.ExecContext(ctx, fmt.Sprintf("comment on table %s is '%s'", t.Set.versionTable(), compatibleComment(from))); err != nil {
			return err
		}
		return r.grant(ctx, db, t)
	})
}

// Down undoes the target's newest migration, with the data that is in the tables it drops. Nothing
// happens at version 0.
func (r Runner) Down(ctx context.Context, t Target) Result {
	return r.run(ctx, t, func(ctx context.Context, _ *sql.DB, provider *goose.Provider) error {
		_, err := provider.Down(ctx)
		if errors.Is(err, goose.ErrNoNextVersion) {
			return nil
		}
		return err
	})
}

// Each runs one, [Runner.Up] or [Runner.Down], for every target, at most workers at a time. It calls
// report, never twice at once, as each is done, and returns all errors joined.
func Each(ctx context.Context, targets []Target, workers int, one func(context.Context, Target) Result, report func(Result)) error {
	results := make(chan Result)
	var group errgroup.Group
	group.SetLimit(max(workers, 1))
	go func() {
		defer close(results)
		for _, t := range targets {
			group.Go(func() error {
				results <- one(ctx, t)
				return nil
			})
		}
		_ = group.Wait() // the errors are in the results
	}()
	var failed []error
	for result := range results {
		failed = append(failed, result.Err)
		report(result)
	}
	return errors.Join(failed...)
}

// run calls work with a database handle that has the target's lock, and its schema as search_path.
func (r Runner) run(ctx context.Context, t Target, work func(context.Context, *sql.DB, *goose.Provider) error) (result Result) {
	started := time.Now()
	result = Result{Target: t}
	defer func() {
		result.Duration = time.Since(started)
		if result.Err != nil {
			result.Err = &Error{Placement: t.Placement, Err: result.Err}
		}
	}()
	db := r.open(t)
	defer db.Close() // ends the session, and with it the lock
	provider, err := newProvider(t.Set, db)
	if err != nil {
		result.Err = err
		return result
	}
	if result.From, _, result.Err = provider.GetVersions(ctx); result.Err != nil {
		return result
	}
	if result.Err = work(ctx, db, provider); result.Err == nil {
		result.To, _, result.Err = provider.GetVersions(ctx)
	}
	return result
}

func newProvider(set Set, db *sql.DB) (*goose.Provider, error) {
	dir, err := fs.Sub(files, string(set))
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(goose.DialectPostgres, db, dir, goose.WithDisableGlobalRegistry(true), goose.WithTableName(set.versionTable()))
}

// open returns a handle of one connection, which takes the lock before anything else uses it. goose's own
// lockers come too late and too slow for that: they leave the version table's creation unlocked, and
// they poll for seconds where the server would wake us at once.
func (r Runner) open(t Target) *sql.DB {
	config := r.Owner.Copy()
	config.Database = t.Database
	config.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol // several statements at once, none twice
	db := stdlib.OpenDB(*config, stdlib.OptionAfterConnect(func(ctx context.Context, conn *pgx.Conn) error {
		err := prepare(ctx, conn, t)
		if err != nil {
			_ = conn.Close(ctx) // the library leaves that to us
		}
		return err
	}))
	db.SetMaxOpenConns(1)
	return db
}

// PoolerError says that a connection leads to a pooler.
type PoolerError struct{ Host string }

func (e *PoolerError) Error() string {
	return fmt.Sprintf("%s is a connection pooler: settings and locks of a session do not survive there; set PGHOST and PGPORT to the PostgreSQL server itself", e.Host)
}

// RequireDirect returns a [*PoolerError] if there is a pooler between conn and the server. A pooler gives its clients
// process ids of its own, for cancelling.
func RequireDirect(ctx context.Context, conn *pgx.Conn) error {
	var pid uint32
	if err := conn.QueryRow(ctx, "select pg_backend_pid()", pgx.QueryExecModeSimpleProtocol).Scan(&pid); err != nil {
		return err
	}
	if pid != conn.PgConn().PID() {
		return &PoolerError{Host: fmt.Sprintf("%s:%d", conn.Config().Host, conn.Config().Port)}
	}
	return nil
}

// lockTimeout is how long a migration waits for a table that another session has locked, while it keeps other statements
// waiting behind it.
const lockTimeout = "10s"

// prepare takes the lock, makes the schema, and makes the session work in it. CREATE SCHEMA IF NOT EXISTS would need the right to create
// one even where it exists.
func prepare(ctx context.Context, conn *pgx.Conn, t Target) error {
	if err := RequireDirect(ctx, conn); err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, "select pg_advisory_lock($1)", LockKey(t.Schema)); err != nil {
		return err
	}
	var exists bool
	err := conn.QueryRow(ctx, "select exists (select from pg_namespace where nspname = $1)", t.Schema).Scan(&exists)
	if err == nil && !exists {
		_, err = conn.Exec(ctx, "create schema "+pgx.Identifier{t.Schema}.Sanitize())
	}
	if err == nil {
		_, err = conn.Exec(ctx, "select set_config('search_path', $1, false), set_config('lock_timeout', $2, false)",
			pgx.Identifier{t.Schema}.Sanitize(), lockTimeout)
	}
	return err
}

func (r Runner) grant(ctx context.Context, db *sql.DB, t Target) error {
	if t.Set == Control || t.Set == Placement {
		if _, err := db.ExecContext(ctx, grants("database", t, r.Runtime)); err != nil {
			return err
		}
	}
	_, err := db.ExecContext(ctx, grants(string(t.Set), t, r.Runtime))
	return err
}

// LockKey is the advisory lock of a schema, which a migration holds from before the schema exists; the database is part of the
// lock's identity already.
func LockKey(name string) int64 {
	hash := fnv.New64a()
	_, _ = hash.Write([]byte("tenanted/migrations " + name)) // never fails
	return int64(hash.Sum64())
}

// Apply runs a set's migrations in the caller's transaction, without a version table and without grants: for what is
// rolled back.
func Apply(ctx context.Context, tx pgx.Tx, set Set) error {
	return ApplyRange(ctx, tx, set, 0, set.Newest())
}

// ApplyRange is [Apply] for the migrations after one version, up to and with another.
func ApplyRange(ctx context.Context, tx pgx.Tx, set Set, after, to int64) error {
	names, err := fs.Glob(files, string(set)+"/*.sql")
	if err != nil {
		return err
	}
	for _, name := range names {
		version, err := goose.NumericComponent(name)
		if err != nil {
			return err
		}
		if version <= after || version > to {
			continue
		}
		text, err := files.ReadFile(name)
		if err != nil {
			return err
		}
		up, _, _ := strings.Cut(string(text), "-- +goose Down")
		if _, err := tx.Conn().Exec(ctx, up, pgx.QueryExecModeSimpleProtocol); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}
