package fleet

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"tenanted/scopes"
)

// Config configures a [Fleet].
type Config struct {
	// Connect returns how to connect to a placement's database as the role that owns its tables. The schema does not matter.
	// Required.
	Connect func(scopes.Placement) (*pgx.ConnConfig, error)

	// Migrations has goose's SQL files in its top directory, Go has migrations that are functions. One of them is required.
	Migrations fs.FS
	Go         []*goose.Migration

	// Table is the name of the version table, which is in each placement's schema. Default: "goose_db_version".
	Table string

	// NamesSchema says that the migrations name the schema that they work in. [Drifts] then renames it, in the transaction that it
	// rolls back. Default: false, they find it by search_path.
	NamesSchema bool

	// After is called with each placement that was brought to the newest version, and, with Always, with those that had it and
	// no newer one, in a session that works in its schema: to grant rights. Default: nil.
	After  func(ctx context.Context, conn *pgx.Conn, p scopes.Placement) error
	Always bool

	// LockKey is the advisory lock of a placement, in its database. Default: one made of the table's and the schema's names.
	LockKey func(scopes.Placement) int64

	// Jobs is how many placements are migrated at once, and the bound on connections. Default: 4.
	Jobs int

	// LockTimeout is how long a statement waits for a lock, while it keeps others waiting behind it. Default: 2 seconds.
	LockTimeout time.Duration
	// StatementTimeout bounds a statement; 0, the default, does not.
	StatementTimeout time.Duration
	// Retries is how often a placement is tried again that lost against LockTimeout or in a deadlock. Default: 5.
	Retries int

	// Canary is how many of the placements are migrated before the others, which are not begun if one fails. Default: 0.
	Canary int

	// By is who migrates, for those who wait for a lock, and for the ledger. Default: "somebody".
	By string
	// Ledger writes down what happens. Default: nil, nobody.
	Ledger Ledger

	// Decisions keeps what is decided about atomic migrations over several databases. With it, [Fleet.Up] and [Fleet.Down] too end what
	// an interrupted one has prepared. Default: nil, [Atomic] does for one database only.
	Decisions Decisions

	// Report is called with each result, and how far the work is. Waiting is called when a placement is locked by somebody else,
	// Settled when something was ended that an interrupted atomic migration had prepared. Report and Waiting are not called twice
	// at once. Default: nil.
	Report  func(Result, Progress)
	Waiting func(Lock)
	Settled func(Settled)
}

// WithDefaults returns a copy in which unset fields have their defaults.
func (c Config) WithDefaults() Config {
	orDefault(&c.Table, goose.DefaultTablename)
	orDefault(&c.Jobs, 4)
	orDefault(&c.LockTimeout, 2*time.Second)
	orDefault(&c.Retries, 5)
	orDefault(&c.By, "somebody")
	if c.Report == nil {
		c.Report = func(Result, Progress) {}
	}
	if c.Waiting == nil {
		c.Waiting = func(Lock) {}
	}
	if c.Settled == nil {
		c.Settled = func(Settled) {}
	}
	return c
}

func orDefault[T comparable](field *T, value T) {
	var unset T
	if *field == unset {
		*field = value
	}
}

func (c Config) validate() error {
	switch {
	case c.Connect == nil:
		return errors.New("fleet: Config.Connect is required")
	case c.Migrations == nil && len(c.Go) == 0:
		return errors.New("fleet: Config.Migrations or Config.Go is required")
	case c.Jobs < 0 || c.Retries < 0 || c.Canary < 0 || c.LockTimeout < 0 || c.StatementTimeout < 0:
		return errors.New("fleet: numbers and durations of Config must not be negative")
	}
	return nil
}

// Fleet migrates placements. It may be used by several goroutines at once.
type Fleet struct {
	config   Config
	versions []int64  // of all migrations, in their order
	loose    []string // the migrations that do not run in a transaction
}

// New returns a fleet. It connects to nothing. Errors are those of Config, and of goose for files that are none of its.
func New(config Config) (*Fleet, error) {
	config = config.WithDefaults()
	if err := config.validate(); err != nil {
		return nil, err
	}
	f := &Fleet{config: config}
	nowhere := stdlib.OpenDB(pgx.ConnConfig{})
	defer nowhere.Close()
	provider, err := f.provider(nowhere)
	if err != nil {
		return nil, fmt.Errorf("fleet: %w", err)
	}
	for _, source := range provider.ListSources() {
		f.versions = append(f.versions, source.Version)
	}
	if f.loose, err = looseOf(config); err != nil {
		return nil, fmt.Errorf("fleet: %w", err)
	}
	return f, nil
}

// Newest returns the version that the last migration brings.
func (f *Fleet) Newest() int64 { return f.versions[len(f.versions)-1] }

// Result is what became of one placement. On success To is the newest version.
type Result struct {
	scopes.Placement
	From, To int64         // versions
	Took     time.Duration // waiting for locks included
	Tries    int           // 0: nothing had to be done, or it was not begun
	Locks    []TableLock   // of [Fleet.DryRun]
	Err      error         // nil: it is at the newest version
}

// TableLock is a lock on a table that was there before, for as long as the placement took.
type TableLock struct {
	Table string // without its schema
	Mode  string // the strongest one, as PostgreSQL's pg_locks has it
}

// Progress is how far the work is.
type Progress struct {
	Done, Failed, Total int           // placements; those that failed are done too
	Elapsed             time.Duration // since the beginning
	Left                time.Duration // estimated from those that were migrated; 0: not known
}

// ErrNotBegun says that a placement was left as it is, since one of those that come first failed, or the work was interrupted.
var ErrNotBegun = errors.New("not begun")

// Error says that some placements of a fleet are not at the newest version.
type Error struct {
	Failed []Result // in the order of the placements; those that were not begun too
	Total  int      // all placements
}

// Error implements error.
func (e *Error) Error() string {
	first := e.Failed[0]
	return fmt.Sprintf("%d of %d placements are not migrated, first %s: %v", len(e.Failed), e.Total, first.Placement, first.Err)
}

// Unwrap returns the placements' errors.
func (e *Error) Unwrap() []error {
	errs := make([]error, len(e.Failed))
	for i, r := range e.Failed {
		errs[i] = r.Err
	}
	return errs
}

// Up brings the placements to the newest version, and makes schemas that are missing; the databases must exist. The results are
// in the order of the placements. The error is an [*Error] if one of them failed.
func (f *Fleet) Up(ctx context.Context, placements []scopes.Placement) ([]Result, error) {
	if f.config.Always {
		return f.do(ctx, placements, (*worker).migrate, (*worker).renew)
	}
	return f.do(ctx, placements, (*worker).migrate, nil)
}

// Down undoes the newest migration of each placement, with the data that is in the tables it drops; nothing happens at version
// 0. After and Always do nothing. The results and the error are as those of [Fleet.Up].
func (f *Fleet) Down(ctx context.Context, placements []scopes.Placement) ([]Result, error) {
	return f.do(ctx, placements, (*worker).undo, (*worker).undo)
}

// DryRun is [Fleet.Up] in a transaction of each placement that is rolled back: it finds out what would fail, and which tables
// would be locked for how long. It locks them for that long itself. The ledger has nothing of it, and After and Always do
// nothing. A migration without a transaction, as one that makes an index concurrently, fails, since it cannot be tried.
func (f *Fleet) DryRun(ctx context.Context, placements []scopes.Placement) ([]Result, error) {
	run := newRun(f, placements, (*worker).try, nil)
	run.dry = true
	return run.all(ctx, placements)
}

// Settle ends what interrupted atomic migrations have prepared in the placements' databases, as was decided: what [Fleet.Up], [Fleet.Down]
// and [Atomic] do first. It is for who has other work to do before, which would be held up.
func (f *Fleet) Settle(ctx context.Context, placements []scopes.Placement) error {
	return errors.Join(slices.Collect(maps.Values(f.settleAll(ctx, placements, f.config.Waiting)))...)
}

func (f *Fleet) do(ctx context.Context, placements []scopes.Placement, do, whenComplete step) ([]Result, error) {
	return newRun(f, placements, do, whenComplete).all(ctx, placements)
}

func (run *run) all(ctx context.Context, placements []scopes.Placement) ([]Result, error) {
	f := run.fleet
	switch {
	case run.dry:
	case len(byDatabase(placements)) == 1:
		run.settle = run.waiting
	default:
		run.unsettled = f.settleAll(ctx, placements, run.waiting)
	}
	first := min(f.config.Canary, len(placements))
	run.do(ctx, placements[:first])
	if first > 0 && run.progress.Failed > 0 {
		run.skip(placements[first:], fmt.Errorf("%w: one of the first %d placements failed", ErrNotBegun, first))
	} else {
		run.do(ctx, placements[first:])
	}
	return run.results, run.err()
}
