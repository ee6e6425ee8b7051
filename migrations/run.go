package migrations

import (
	"context"
	"fmt"
	"hash/fnv"
	"io/fs"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/pressly/goose/v3"

	"tenanted/scopes"
	"tenanted/scopes/fleet"
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
func (r Runner) Up(ctx context.Context, t Target) Result { return r.run(ctx, t, (*fleet.Fleet).Up) }

// Down undoes the target's newest migration, with the data that is in the tables it drops. Nothing
// happens at version 0.
func (r Runner) Down(ctx context.Context, t Target) Result {
	return r.run(ctx, t, (*fleet.Fleet).Down)
}

// run does something to a fleet of one placement.
func (r Runner) run(ctx context.Context, t Target, do func(*fleet.Fleet, context.Context, []scopes.Placement) ([]fleet.Result, error)) Result {
	f, err := Fleet(t.Set, fleet.Config{Connect: func(scopes.Placement) (*pgx.ConnConfig, error) { return r.Owner, nil }},
		func(scopes.Placement) string { return r.Runtime }, nil)
	if err != nil {
		return Result{Target: t, Err: err}
	}
	results, _ := do(f, ctx, []scopes.Placement{t.Placement}) // its error is the result's
	return ResultOf(t.Set, results[0])
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
