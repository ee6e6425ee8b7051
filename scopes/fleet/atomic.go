package fleet

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pressly/goose/v3"
	"golang.org/x/sync/errgroup"

	"tenanted/scopes"
)

// ErrRolledBack says that a placement is as it was, since another one could not be migrated and it is all or none.
var ErrRolledBack = errors.New("rolled back: all or none, and another one failed")

// NotAtomicError says why placements cannot be migrated atomically. Nothing was begun.
type NotAtomicError struct {
	Reasons []string // each with what to do
}

// Error implements error.
func (e *NotAtomicError) Error() string {
	return "all or none cannot be had: " + strings.Join(e.Reasons, "; ")
}

// Atomic brings all placements of all parts to the newest version, or none: in one transaction for each database, with Config.After in it.
// In one database that is all. Over several ones each transaction is prepared (PREPARE TRANSACTION), the decision to commit is kept by
// Config.Decisions of the first part, and then all are committed. A process that is killed meanwhile leaves
// transactions that are prepared, with their locks, until the next [Fleet.Up], [Fleet.Down] or Atomic ends them as was decided.
//
// Every table that is migrated stays locked until the last one is, so whoever uses it waits for that long: LockTimeout bounds
// only how long a statement waits for a lock. A [*NotAtomicError] says that it cannot be done: a migration without a transaction,
// or a server whose max_prepared_transactions is too low. Other errors are an [*Error] with all placements. The results are in the order of the parts and of
// their placements; Canary does nothing.
func Atomic(ctx context.Context, parts ...Part) ([][]Result, error) {
	if len(parts) == 0 {
		return nil, nil
	}
	a := newAtomicRun(parts)
	groups := byDatabase(placementsOf(parts))
	if len(groups) > 1 {
		done, err := a.begin(ctx)
		if err != nil {
			return nil, err
		}
		defer done()
	}
	if err := a.look(ctx, groups); err != nil {
		return nil, err
	}
	if len(a.units) > 0 {
		a.recorded(ctx)
	}
	if a.err() == nil {
		a.renew(ctx)
	}
	return a.results, a.err()
}

// atomicRun is one call of Atomic.
type atomicRun struct {
	parts   []Part
	first   *Fleet // whose connections, jobs and decisions are used
	began   time.Time
	results [][]Result

	name  string // of the migration, over several databases
	units []*unit

	mutex sync.Mutex // for waiting
}

func (a *atomicRun) waiting(l Lock) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	a.first.config.Waiting(l)
}

// unit is what is done in one database, in one transaction.
type unit struct {
	database scopes.Placement
	free     int // prepared transactions that its server has room for
	max      int // max_prepared_transactions
	steps    []*atomicStep
	gid      string // empty: the transaction is committed as usual
	err      error  // of the transaction as a whole
}

// atomicStep is a placement of a part that has something to do.
type atomicStep struct {
	fleet  *Fleet
	state  state
	result *Result
}

func newAtomicRun(parts []Part) *atomicRun {
	a := &atomicRun{parts: parts, first: parts[0].Fleet, began: time.Now(), results: make([][]Result, len(parts))}
	for i, part := range parts {
		a.results[i] = make([]Result, len(part.Placements))
		for j, p := range part.Placements {
			a.results[i][j].Placement = p
		}
	}
	return a
}

// each calls work for each of n things, some at a time, and returns the first error. After one, no further thing is begun.
func (a *atomicRun) each(ctx context.Context, n int, work func(ctx context.Context, i int) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(a.first.config.Jobs)
	for i := range n {
		group.Go(func() error {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return work(ctx, i)
		})
	}
	return group.Wait()
}

// begin begins the migration of several databases, and returns how to end it.
func (a *atomicRun) begin(ctx context.Context) (done func(), err error) {
	decisions := a.first.config.Decisions
	if decisions == nil {
		return nil, errors.New("fleet: Config.Decisions is required for several databases")
	}
	if a.name, err = decisions.Begin(ctx, a.first.config.By); err != nil {
		return nil, err
	}
	return func() {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTime)
		defer cancel()
		_ = decisions.End(end, a.name) // what was decided stays
	}, nil
}

// look finds what there is to do, and whether it can be done.
func (a *atomicRun) look(ctx context.Context, groups [][]scopes.Placement) error {
	for _, err := range a.first.settleAll(ctx, placementsOf(a.parts), a.waiting) {
		return fmt.Errorf("nothing was begun: %w", err)
	}
	units := make([]*unit, len(groups))
	err := a.each(ctx, len(groups), func(ctx context.Context, i int) (err error) {
		units[i], err = a.lookIn(ctx, groups[i])
		return err
	})
	if err != nil {
		return fmt.Errorf("nothing was begun: %w", err)
	}
	a.units = slices.DeleteFunc(units, func(u *unit) bool { return len(u.steps) == 0 })
	return a.possible()
}

func (a *atomicRun) lookIn(ctx context.Context, group []scopes.Placement) (*unit, error) {
	u := &unit{database: group[0].InSchema("")}
	conn, err := a.first.connect(ctx, u.database)
	if err != nil {
		return u, fmt.Errorf("%s: %w", u.database, err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	const room = "select current_setting('max_prepared_transactions')::int, current_setting('max_prepared_transactions')::int - (select count(*)::int from pg_prepared_xacts)"
	if err := conn.QueryRow(ctx, room).Scan(&u.max, &u.free); err != nil {
		return u, err
	}
	for i, part := range a.parts {
		states, err := part.Fleet.statesOver(ctx, conn, part.within(group))
		if err != nil {
			return u, fmt.Errorf("%s: %w", u.database, err)
		}
		for j, p := range part.Placements {
			if p.InSchema("") != u.database {
				continue
			}
			s, result := states[p.Schema], &a.results[i][j]
			if *result = s.unchanged(p); !s.complete(part.Fleet.versions) {
				u.steps = append(u.steps, &atomicStep{fleet: part.Fleet, state: s, result: result})
			}
		}
	}
	return u, nil
}

// possible returns a *NotAtomicError if it cannot be all or none.
func (a *atomicRun) possible() error {
	var reasons []string
	for _, u := range a.units {
		for _, s := range u.steps {
			for _, name := range s.fleet.withoutTransaction(s.state) {
				reason := fmt.Sprintf("migration %s runs without a transaction: migrate to it without all or none first", name)
				if !slices.Contains(reasons, reason) {
					reasons = append(reasons, reason)
				}
			}
		}
	}
	if len(a.units) > 1 {
		reasons = append(reasons, a.noRoom()...)
	}
	if len(reasons) > 0 {
		return &NotAtomicError{reasons}
	}
	return nil
}

// noRoom names the servers that cannot hold all prepared transactions.
func (a *atomicRun) noRoom() (reasons []string) {
	needed := map[string]int{}
	for _, u := range a.units {
		needed[u.database.Server]++
	}
	for _, u := range a.units {
		if n := needed[u.database.Server]; n > u.free {
			name := "the server"
			if u.database.Server != "" {
				name = fmt.Sprintf("server %q", u.database.Server)
			}
			reasons = append(reasons, fmt.Sprintf("%s has max_prepared_transactions = %d, with room for %d, and %d databases are to be migrated: set it to %d or more and restart the server",
				name, u.max, max(u.free, 0), n, n+u.max-max(u.free, 0)))
			needed[u.database.Server] = 0
		}
	}
	return reasons
}

// recorded migrates, writes down what became of it, and reports it.
func (a *atomicRun) recorded(ctx context.Context) {
	written, err := a.beginLedger(ctx)
	if err == nil {
		err = a.migrate(ctx)
	}
	if err != nil {
		a.failed(err)
	}
	cleanup, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTime) // there may be many
	defer cancel()
	var p Progress
	for _, s := range a.steps() {
		if s.result.Err != nil {
			p.Failed++
		}
		if id, begun := written[s]; begun {
			if err := s.fleet.config.Ledger.End(cleanup, id, *s.result); err != nil && s.result.Err == nil {
				s.result.Err = fmt.Errorf("it is migrated, but that is not in the ledger: %w", err)
			}
		}
	}
	for _, s := range a.steps() {
		p.Done++
		p.Total, p.Elapsed = len(a.steps()), time.Since(a.began)
		s.fleet.config.Report(*s.result, p)
	}
}

// beginLedger returns the numbers by which the steps' entries are ended.
func (a *atomicRun) beginLedger(ctx context.Context) (map[*atomicStep]int64, error) {
	written := map[*atomicStep]int64{}
	for _, s := range a.steps() {
		ledger := s.fleet.config.Ledger
		if ledger == nil {
			continue
		}
		id, err := ledger.Begin(ctx, s.result.Placement, s.fleet.config.By)
		if err != nil {
			return written, fmt.Errorf("write the ledger: %w", err)
		}
		written[s] = id
	}
	return written, nil
}

func (a *atomicRun) steps() (all []*atomicStep) {
	for _, u := range a.units {
		all = append(all, u.steps...)
	}
	return all
}

// failed says of all placements that they are as they were, each with its own error, if it has one.
func (a *atomicRun) failed(err error) {
	for _, u := range a.units {
		for _, s := range u.steps {
			s.result.To = s.result.From
			s.result.Err = cmp.Or(s.result.Err, u.err, err)
		}
	}
}

func (a *atomicRun) err() error {
	all := slices.Concat(a.results...)
	failed := slices.DeleteFunc(slices.Clone(all), func(r Result) bool { return r.Err == nil })
	if len(failed) == 0 {
		return nil
	}
	return &Error{Failed: failed, Total: len(all)}
}

// migrate migrates everything or nothing. Its error is why nothing is.
func (a *atomicRun) migrate(ctx context.Context) error {
	if len(a.units) == 1 {
		return a.unitDone(ctx, a.units[0], "commit")
	}
	for i, u := range a.units {
		u.gid = gidOf(a.name, i)
	}
	err := a.each(ctx, len(a.units), func(ctx context.Context, i int) error {
		return a.unitDone(ctx, a.units[i], "prepare transaction '"+a.units[i].gid+"'")
	})
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTime)
	defer cancel()
	commit := err == nil
	if commit {
		commit, err = decide(end, a.first.config.Decisions, a.name)
	}
	if !errors.Is(err, errUndecided) {
		a.end(end, commit)
	}
	if commit {
		a.unfinished()
		return nil
	}
	switch cause := context.Cause(ctx); {
	case errors.Is(err, errUndecided):
		return err
	case cause != nil:
		return fmt.Errorf("rolled back: %w", cause)
	case errors.As(err, new(*unitError)):
		return ErrRolledBack
	}
	return err
}

// endTime bounds the second phase, and then what is written down. No interruption ends them.
const endTime = time.Minute

// unitError is the error of a unit, which has it.
type unitError struct{ error }

func (e *unitError) Unwrap() error { return e.error }

// unitDone does what there is to do in one database, and ends the transaction with a statement. The error is in the unit too, unless it is
// that of another one.
func (a *atomicRun) unitDone(ctx context.Context, u *unit, end string) error {
	w := newWorker(a.first, u.database, a.waiting)
	defer w.close()
	err := w.open(ctx)
	if err == nil {
		err = w.inTransaction(ctx, func(db *sql.DB) error { return a.inUnit(ctx, w, db, u) }, end)
	}
	if err == nil {
		return nil
	}
	failed := func(s *atomicStep) bool { return s.result.Err != nil }
	switch {
	case ctx.Err() != nil: // by the error of another one
		for _, s := range u.steps {
			s.result.Err = nil
		}
	case slices.ContainsFunc(u.steps, failed):
		u.err = ErrRolledBack
	default:
		u.err = err
	}
	return &unitError{err}
}

// inUnit locks the placements of a database, before anything that others would wait for, and migrates them.
func (a *atomicRun) inUnit(ctx context.Context, w *worker, db *sql.DB, u *unit) error {
	locked := map[scopes.Placement]bool{}
	for _, s := range u.steps {
		if p := s.result.Placement; !locked[p] {
			locked[p] = true
			if err := s.fleet.lock(ctx, w.conn, p, s.fleet.forTransaction(p), w.waiting); err != nil {
				return err
			}
		}
	}
	for _, s := range u.steps {
		if s.do(ctx, w, db); s.result.Err != nil {
			return s.result.Err
		}
	}
	return nil
}

// do migrates one placement in the open transaction, again after it lost against the lock timeout.
func (s *atomicStep) do(ctx context.Context, w *worker, db *sql.DB) {
	in := &worker{fleet: s.fleet, database: w.database, conn: w.conn, db: w.db}
	began, r := time.Now(), s.result
	defer func() { r.Took = time.Since(began) }()
	const savepoint = "placement"
	for r.Tries = 1; ; r.Tries++ {
		if _, r.Err = w.conn.Exec(ctx, "savepoint "+savepoint); r.Err != nil {
			return
		}
		r.From, r.To, r.Err = in.within(ctx, db, r.Placement)
		if r.Err == nil {
			r.Err = in.after(ctx, r.Placement)
		}
		if r.Err == nil {
			_, r.Err = w.conn.Exec(ctx, "release "+savepoint)
			return
		}
		if !lostLock(r.Err) || r.Tries > s.fleet.config.Retries {
			return
		}
		if _, err := w.conn.Exec(ctx, "rollback to "+savepoint); err != nil || !sleep(ctx, s.fleet.pause(r.Tries)) {
			return
		}
	}
}

// errUndecided says that nobody knows here what was decided.
var errUndecided = errors.New("it is not known whether the migration is committed: migrate again, which ends what is prepared as was decided")

// decide has the decision to commit kept, and returns what was decided. An error may have come after the decision was kept.
func decide(ctx context.Context, decisions Decisions, name string) (commit bool, err error) {
	if err := decisions.Commit(ctx, name); err == nil {
		return true, nil
	} else if outcome, unknown := decisions.Outcome(ctx, name); outcome == Committed || outcome == RolledBack {
		return outcome == Committed, err
	} else {
		return false, errors.Join(fmt.Errorf("%w: %w", errUndecided, err), unknown)
	}
}

// end ends what is prepared. Where that fails the unit says so, and the next migration does it.
func (a *atomicRun) end(ctx context.Context, commit bool) {
	_ = a.each(context.WithoutCancel(ctx), len(a.units), func(_ context.Context, i int) error {
		u := a.units[i]
		conn, err := a.first.connect(ctx, u.database)
		if err == nil {
			defer conn.Close(context.WithoutCancel(ctx))
			err = finish(ctx, conn, u.gid, commit)
		}
		if err != nil && commit {
			u.err = fmt.Errorf("it is to be committed, and that failed: migrate again, which does it: %w", err)
		}
		return nil // the others are ended all the same
	})
}

// unfinished gives the placements of units that could not be committed yet their errors.
func (a *atomicRun) unfinished() {
	for _, u := range a.units {
		for _, s := range u.steps {
			s.result.Err = cmp.Or(s.result.Err, u.err)
		}
	}
}

// renew calls Config.After for placements that had nothing to do, of fleets that want that.
func (a *atomicRun) renew(ctx context.Context) {
	for i, part := range a.parts {
		if !part.Fleet.config.Always {
			continue
		}
		var unchanged []scopes.Placement
		var at []int
		for j, r := range a.results[i] {
			if r.Tries == 0 {
				unchanged, at = append(unchanged, r.Placement), append(at, j)
			}
		}
		results, _ := part.Fleet.do(ctx, unchanged, (*worker).renew, (*worker).renew)
		for j, r := range results {
			a.results[i][at[j]] = r
		}
	}
}

var noTransaction = regexp.MustCompile(`(?mi)^--\s*\+goose\s+NO\s+TRANSACTION\b`)

// withoutTransaction names the migrations that a schema lacks and that do not run in a transaction.
func (f *Fleet) withoutTransaction(s state) (names []string) {
	return slices.DeleteFunc(slices.Clone(f.loose), func(name string) bool {
		version, _ := goose.NumericComponent(name)
		_, applied := slices.BinarySearch(s.applied, version)
		return applied
	})
}

// looseOf names the migrations that do not run in a transaction.
func looseOf(c Config) (names []string, err error) {
	for _, m := range c.Go {
		if m.UpFnNoTxContext != nil {
			names = append(names, fmt.Sprintf("%05d_function.go", m.Version))
		}
	}
	if c.Migrations == nil {
		return names, nil
	}
	files, err := fs.Glob(c.Migrations, "*.sql")
	for _, file := range files {
		text, err := fs.ReadFile(c.Migrations, file)
		if err != nil {
			return nil, err
		}
		if noTransaction.Match(text) {
			names = append(names, file)
		}
	}
	return names, err
}
