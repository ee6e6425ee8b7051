package tenancy

import (
	"context"
	"errors"
	"fmt"
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
	Atomic      bool          // all or none: see [fleet.Atomic]; Canary and DryRun do nothing
	// Report is called with each result, and Waiting when somebody else migrates a placement; one call at a time. Settled is told what was
	// ended that an interrupted atomic migration had prepared. They may be nil.
	Report  func(migrations.Result, fleet.Progress)
	Waiting func(fleet.Lock)
	Settled func(fleet.Settled)
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
		if len(placements) > 1 { // otherwise it is done over a connection that is made anyway
			if err := s.settle(ctx, placements, m); err != nil {
				return err
			}
		}
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
	if m.Atomic {
		if len(errs) > 0 {
			return fmt.Errorf("nothing was begun, since it is all or none: %w", errors.Join(errs...))
		}
		return s.atomic(ctx, mine, m, log)
	}
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

// settle ends what an interrupted atomic migration has prepared, which would hold up whoever grants rights in a database.
func (s *Setup) settle(ctx context.Context, placements []scopes.Placement, m Migrate) error {
	f, err := s.fleet(ctx, migrations.Tenant, fleet.Config{Waiting: m.Waiting, Settled: m.Settled})
	if err != nil {
		return err
	}
	return f.Settle(ctx, placements)
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
	f, err := s.fleet(ctx, set, s.reporting(ctx, set, m, log, &errs, failed))
	if err != nil {
		return []error{err}
	}
	results, _ := do(f, ctx, placements) // the errors were reported
	if m.DryRun {
		return errs
	}
	if err := log.of(set).found(ctx, results); err != nil && ctx.Err() == nil {
		errs = append(errs, err)
	}
	return errs
}

// reporting is how a set is migrated: with results that are reported, and errors added to errs and failed.
func (s *Setup) reporting(ctx context.Context, set migrations.Set, m Migrate, log *migrationLog, errs *[]error, failed map[scopes.Placement]bool) fleet.Config {
	return fleet.Config{
		Jobs: m.Jobs, LockTimeout: m.LockTimeout, Canary: m.Canary, Waiting: m.Waiting, Settled: m.Settled, Ledger: log.of(set),
		Report: func(r fleet.Result, p fleet.Progress) {
			result := s.explained(ctx, migrations.ResultOf(set, r))
			if result.Err != nil {
				failed[r.Placement] = true
				if !errors.Is(r.Err, fleet.ErrRolledBack) { // which another one's error says why
					*errs = append(*errs, result.Err)
				}
			}
			m.Report(result, p)
		},
	}
}

// atomic brings all placements to the newest version of all sets, or none.
func (s *Setup) atomic(ctx context.Context, placements []scopes.Placement, m Migrate, log *migrationLog) error {
	var parts []fleet.Part
	var errs []error
	for _, set := range placementSets {
		f, err := s.fleet(ctx, set, s.reporting(ctx, set, m, log, &errs, map[scopes.Placement]bool{}))
		if err != nil {
			return err
		}
		of := slices.DeleteFunc(slices.Clone(placements), func(p scopes.Placement) bool { return !slices.Contains(setsOf(s.cfg, p), set) })
		parts = append(parts, fleet.Part{Fleet: f, Placements: of})
	}
	results, err := fleet.Atomic(ctx, parts...)
	if _, reported := errors.AsType[*fleet.Error](err); err != nil && !reported {
		return err
	}
	for i, of := range results {
		if err := log.of(placementSets[i]).found(ctx, of); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// fleet returns what migrates the placements of a set, as the owner.
func (s *Setup) fleet(ctx context.Context, set migrations.Set, c fleet.Config) (*fleet.Fleet, error) {
	return migrations.Fleet(set, s.fleetConfig(ctx, c), s.runtimeAt, s.say)
}

// fleetConfig completes what is the same for all sets.
func (s *Setup) fleetConfig(ctx context.Context, c fleet.Config) fleet.Config {
	c.Connect = func(p scopes.Placement) (*pgx.ConnConfig, error) { return s.cfg.Conn(config.AsOwner, p) }
	c.By = operator(ctx, s.cfg)
	c.Decisions = &fleet.DecisionTable{Conn: s.cfg.OwnerConn(), Table: pgx.Identifier{config.ControlSchema, "atomic_migrations"}}
	return c
}

func (s *Setup) runtimeAt(p scopes.Placement) string {
	server, _ := s.cfg.ServerOf(p) // of one that is not configured no placement is reached
	return server.User
}

// migrationLog writes control.migration_log.
type migrationLog struct {
	home  scopes.Placement // the default database
	mutex sync.Mutex
	conn  *pgx.Conn
}

func (s *Setup) openMigrationLog(ctx context.Context) (*migrationLog, error) {
	conn, err := connect(ctx, s.cfg.OwnerConn())
	if err != nil {
		return nil, err
	}
	return &migrationLog{home: s.cfg.Default(), conn: conn}, nil
}

func (l *migrationLog) close(ctx context.Context) { _ = l.conn.Close(context.WithoutCancel(ctx)) }

func (l *migrationLog) of(set migrations.Set) setLog { return setLog{l, set} }

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
	if err == nil && (r.Err == nil || r.To > 0) {
		err = l.known(ctx, r)
	}
	return err
}

// known writes down at which versions placements are. What is known already is not written, so nobody is notified.
func (l setLog) known(ctx context.Context, results ...fleet.Result) error {
	var servers, databases, schemas []string
	var versions []int64
	for _, r := range results {
		database := r.Database
		if r.InSchema("") == l.home {
			database = ""
		}
		servers, databases, schemas, versions = append(servers, r.Server), append(databases, database), append(schemas, r.Schema), append(versions, r.To)
	}
	_, err := l.conn.Exec(ctx, `
		insert into control.placement_versions as v (server, database, schema, migrations, version)
		select s, d, n, $1, x from unnest($2::text[], $3::text[], $4::text[], $5::bigint[]) u (s, d, n, x)
		on conflict (server, database, schema, migrations) do update set version = excluded.version, seen_at = now() where v.version <> excluded.version`,
		string(l.set), servers, databases, schemas, versions)
	return err
}

// recordVersion writes down that a placement is at the newest version, which was made by other means than a migration.
func (s *Setup) recordVersion(ctx context.Context, conn *pgx.Conn, p scopes.Placement) error {
	log := setLog{&migrationLog{home: s.cfg.Default(), conn: conn}, migrations.Tenant}
	return log.known(ctx, fleet.Result{Placement: p, To: migrations.Tenant.Newest()})
}

// found writes down the versions of placements that had nothing to do.
func (l setLog) found(ctx context.Context, results []fleet.Result) error {
	unchanged := slices.DeleteFunc(slices.Clone(results), func(r fleet.Result) bool { return r.Err != nil || r.Tries > 0 })
	if len(unchanged) == 0 {
		return nil
	}
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return l.known(ctx, unchanged...)
}
