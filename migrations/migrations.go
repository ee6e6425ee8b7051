// Package migrations holds the SQL that makes the tables, and brings placements to its newest version.
//
// There are four sets: [Tenant] makes the tables of one placement, [Shared] what tables that all tenants share
// have in addition, [Control] the directory in the default database, [Placement] the record of which tenant a database
// of its own belongs to. Each set has a version table of its own in each schema, so placements are migrated in parallel and independently of one another.
//
// What is guaranteed: a migration holds the schema's advisory lock from before the first statement
// until the connection ends, so that of two at once the second waits and then
// finds nothing to do. Each migration is one transaction with its row in the version table. After
// each run the runtime role is granted exactly what it needs (grants/*.sql), in one transaction. A process that is
// killed leaves a schema between two versions' transactions at worst, and the next run continues there.
//
// An older program may go on with newer tables if all migrations that it does not know only add, which each file says in a
// line "-- additive: yes" or "no". The version table's comment holds from which version on a program can: see
// [Compatible].
//
// A pooler between the runner and the server would hand its session, and with it the lock, to others: it is recognised
// and refused, before anything is changed.
//
// How it fails: with a [*Error] that names the placement; other placements of a fleet are still done.
package migrations

import (
	"embed"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/pressly/goose/v3"

	"tenanted/scopes"
	"tenanted/scopes/fleet"
)

//go:embed tenant/*.sql shared/*.sql control/*.sql placement/*.sql grants/*.sql
var files embed.FS

// Set names a set of migrations, and its directory.
type Set string

// The sets.
const (
	Tenant  Set = "tenant"  // the tables of one placement
	Shared  Set = "shared"  // additions for tables that all tenants share, after Tenant
	Control Set = "control" // the directory of tenants

	Placement Set = "placement" // which tenant a database of its own belongs to
)

const versionTableSuffix = "_version"

// versionTable is goose's, found by search_path.
func (s Set) versionTable() string { return string(s) + versionTableSuffix }

// Newest returns the version that the set's last file brings. Versions begin at 1; 0 is an empty schema.
func (s Set) Newest() int64 {
	names, err := fs.Glob(files, string(s)+"/*.sql")
	if err != nil || len(names) == 0 {
		panic("migrations: nothing embedded for " + string(s))
	}
	version, err := goose.NumericComponent(names[len(names)-1])
	if err != nil {
		panic(err)
	}
	return version
}

// Target is a schema and what belongs into it.
type Target struct {
	Set Set
	scopes.Placement
}

// String names the placement and, for the additions of shared tables, the set.
func (t Target) String() string {
	if t.Set == Shared {
		return t.Placement.String() + " (shared)"
	}
	return t.Placement.String()
}

// Result is what a run did to one target: it went From one version To another. Err says what stopped it, if
// something did; To is then unknown.
type Result struct {
	Target
	From, To int64
	Duration time.Duration
	Locks    []fleet.TableLock // of a dry run
	Err      error
}

// Error is a migration that failed, with the placement it failed in.
type Error struct {
	Placement scopes.Placement
	Err       error
}

func (e *Error) Error() string { return fmt.Sprintf("migrate %s: %v", e.Placement, e.Err) }

func (e *Error) Unwrap() error { return e.Err }

// grants returns the SQL that gives the runtime role its rights in t, in one transaction. The placeholders are psql's, so
// that the files can be run by hand with psql -v. Of two who grant in one database one waits for the other, whatever their
// targets: what holds for the database changes the rights of schema public too, and two changes of one row of the
// catalogs at once fail with "tuple concurrently updated".
func grants(name string, t Target, runtime string) string {
	sql, err := files.ReadFile("grants/" + name + ".sql")
	if err != nil {
		panic(err)
	}
	lock := fmt.Sprintf("select pg_advisory_xact_lock(%d);\n", LockKey("database"))
	return lock + strings.NewReplacer(
		`:"schema"`, pgx.Identifier{t.Schema}.Sanitize(),
		`:"database"`, pgx.Identifier{t.Database}.Sanitize(),
		`:"runtime"`, pgx.Identifier{runtime}.Sanitize(),
	).Replace(string(sql))
}
