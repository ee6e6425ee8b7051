package tenancy

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"tenanted/app/config"
	"tenanted/migrations"
	"tenanted/scopes"
	"tenanted/scopes/fleet"
)

// Migrate is how placements are migrated; the zero value is good.
type Migrate struct {
	Jobs        int           // at once; default 4
	LockTimeout time.Duration // how long a statement waits for a lock, and others behind it; default 2 s
	Canary      int           // how many come first, of which a failure keeps the others from being begun
	DryRun      bool          // in transactions that are rolled back
	// Report is called with each result, and Waiting when somebody else migrates a placement; one call at a time. They may be nil.
	Report  func(migrations.Result, fleet.Progress)
	Waiting func(fleet.Lock)
}

// Migrate makes the placements' databases and schemas where they are missing, and brings them to the newest version,
// several at a time. A placement that fails, or whose database belongs to another deployment, does not keep the others from
// being done; all errors are returned, joined. What was done is written into control.migration_log.
func (s *Setup) Migrate(ctx context.Context, placements []scopes.Placement, m Migrate) error {
	if m.Report == nil {
		m.Report = func(migrations.Result, fleet.Progress) {}
	}
	mine, refused, do := placements, refusals{}, (*fleet.Fleet).DryRun
	if !m.DryRun {
		do = (*fleet.Fleet).Up
		var err error
		if refused, err = s.ensureDatabases(ctx, placements); err != nil {
			return err
		}
		mine = s.accepted(placements, refused, m)
	}
	log, err := s.openMigrationLog(ctx)
	if err != nil {
		return err
	}
	defer log.close(ctx)
	errs := slices.Collect(maps.Values(refused))
	return errors.Join(append(errs, s.eachSet(ctx, placementSets, mine, m, log, do)...)...)
}

// Down undoes the newest migration of each set of each placement, with the data that is in the tables it drops. It reports and
// returns what [Setup.Migrate] does.
func (s *Setup) Down(ctx context.Context, placements []scopes.Placement, report func(migrations.Result)) error {
	log, err := s.openMigrationLog(ctx)
	if err != nil {
		return err
	}
	defer log.close(ctx)
	sets := slices.Clone(placementSets)
	slices.Reverse(sets)
	m := Migrate{Report: func(r migrations.Result, _ fleet.Progress) { report(r) }}
	return errors.Join(s.eachSet(ctx, sets, placements, m, log, (*fleet.Fleet).Down)...)
}

// eachSet does something to all placements that a set is for, and then to those of the next, but where it failed.
func (s *Setup) eachSet(ctx context.Context, sets []migrations.Set, placements []scopes.Placement, m Migrate, log *migrationLog, do doToFleet) (errs []error) {
	failed := map[scopes.Placement]bool{}
	for _, set := range sets {
		of := slices.DeleteFunc(slices.Clone(placements), func(p scopes.Placement) bool { return failed[p] || !slices.Contains(setsOf(s.cfg, p), set) })
		errs = append(errs, s.inSet(ctx, set, of, m, log, failed, do)...)
	}
	return errs
}

// doToFleet is a method of a fleet.
type doToFleet func(*fleet.Fleet, context.Context, []scopes.Placement) ([]fleet.Result, error)

// accepted reports the placements whose database must not be used, and returns the others.
func (s *Setup) accepted(placements []scopes.Placement, refused refusals, m Migrate) (mine []scopes.Placement) {
	for _, p := range placements {
		if err := refused[p.InSchema("")]; err != nil {
			m.Report(migrations.Result{Target: migrations.Target{Set: migrations.Tenant, Placement: p}, Err: err}, fleet.Progress{})
			continue
		}
		mine = append(mine, p)
	}
	return mine
}

// inSet does something to placements in one set, and adds those that failed.
func (s *Setup) inSet(ctx context.Context, set migrations.Set, placements []scopes.Placement, m Migrate, log *migrationLog,
	failed map[scopes.Placement]bool, do doToFleet) (errs []error) {
	if len(placements) == 0 {
		return nil
	}
	f, err := s.fleet(set, fleet.Config{
		Jobs: m.Jobs, LockTimeout: m.LockTimeout, Canary: m.Canary, Waiting: m.Waiting, Ledger: log.of(set),
		Report: func(r fleet.Result, p fleet.Progress) {
			result := s.explained(ctx, migrations.ResultOf(set, r))
			if result.Err != nil {
				failed[r.Placement] = true
				errs = append(errs, result.Err)
			}
			m.Report(result, p)
		},
	})
	if err != nil {
		return []error{err}
	}
	_, _ = do(f, ctx, placements) // the errors were reported
	return errs
}

// fleet returns what migrates the placements of a set, as the owner.
func (s *Setup) fleet(set migrations.Set, c fleet.Config) (*fleet.Fleet, error) {
	c.Connect = func(p scopes.Placement) (*pgx.ConnConfig, error) { return s.cfg.Conn(config.AsOwner, p) }
	c.By = operator(s.cfg)
	return migrations.Fleet(set, c, s.runtimeAt, s.say)
}

func (s *Setup) runtimeAt(p scopes.Placement) string {
	server, _ := s.cfg.ServerOf(p) // of one that is not configured no placement is reached
	return server.User
}

// migrationLog writes control.migration_log.
type migrationLog struct {
	operator string
	mutex    sync.Mutex
	conn     *pgx.Conn
}

func (s *Setup) openMigrationLog(ctx context.Context) (*migrationLog, error) {
	conn, err := connect(ctx, s.cfg.OwnerConn())
	if err != nil {
		return nil, err
	}
	return &migrationLog{operator: operator(s.cfg), conn: conn}, nil
}

func (l *migrationLog) close(ctx context.Context) { _ = l.conn.Close(context.WithoutCancel(ctx)) }

func (l *migrationLog) of(set migrations.Set) fleet.Ledger { return setLog{l, set} }

// setLog is the log of one set of migrations.
type setLog struct {
	*migrationLog
	set migrations.Set
}

// Begin implements fleet.Ledger.
func (l setLog) Begin(ctx context.Context, p scopes.Placement, by string) (id int64, err error) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	err = l.conn.QueryRow(ctx, "insert into control.migration_log (operator, server, database, schema, migrations) values ($1, $2, $3, $4, $5) returning id",
		by, p.Server, p.Database, p.Schema, string(l.set)).Scan(&id)
	return id, err
}

// End implements fleet.Ledger. Where nothing was done, nothing is kept.
func (l setLog) End(ctx context.Context, id int64, r fleet.Result) error {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if r.Err == nil && r.From == r.To {
		_, err := l.conn.Exec(ctx, "delete from control.migration_log where id = $1", id)
		return err
	}
	why := ""
	if r.Err != nil {
		why = strings.ReplaceAll(r.Err.Error(), "\n", "; ")
	}
	_, err := l.conn.Exec(ctx, "update control.migration_log set ended_at = clock_timestamp(), from_version = $2, to_version = $3, tries = $4, error = $5 where id = $1",
		id, r.From, r.To, r.Tries, why)
	return err
}
