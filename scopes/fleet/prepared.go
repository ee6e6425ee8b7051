package fleet

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"tenanted/scopes"
)

// Prepared is a transaction that an atomic migration has prepared, and that was neither committed nor rolled back yet.
type Prepared struct {
	GID      string    // as COMMIT PREPARED takes it
	Database string    // on the server that was asked
	Owner    string    // the role that may end it
	Since    time.Time // when it was prepared
}

// gidPrefix begins the name of what is prepared; the migration's name follows, and a number.
const gidPrefix = "fleet:"

func gidOf(name string, number int) string { return fmt.Sprintf("%s%s:%d", gidPrefix, name, number) }

// Migration returns the name that [Decisions] gave the atomic migration.
func (p Prepared) Migration() string {
	name, _, _ := strings.Cut(strings.TrimPrefix(p.GID, gidPrefix), ":")
	return name
}

// ListPrepared returns what atomic migrations have prepared in all databases of the server, of whichever program.
func ListPrepared(ctx context.Context, conn *pgx.Conn) ([]Prepared, error) {
	rows, _ := conn.Query(ctx, "select gid, database::text, owner::text, prepared from pg_prepared_xacts where gid like $1 order by prepared, gid", gidPrefix+"%")
	return pgx.CollectRows(rows, pgx.RowToStructByPos[Prepared])
}

// Settled is what became of a transaction that an interrupted atomic migration had prepared.
type Settled struct {
	Database  scopes.Placement // without a schema
	Committed bool             // otherwise it was rolled back
}

// String implements fmt.Stringer.
func (s Settled) String() string {
	did := "rolled back"
	if s.Committed {
		did = "committed"
	}
	return fmt.Sprintf("%s: %s what an interrupted atomic migration had prepared", s.Database, did)
}

// settleAll ends what interrupted atomic migrations have prepared in the placements' databases, and returns in which it could not. Each
// server is asked once; one that cannot be asked is left out, since its placements have errors of their own.
func (f *Fleet) settleAll(ctx context.Context, placements []scopes.Placement, waiting func(Lock)) map[scopes.Placement]error {
	unsettled := map[scopes.Placement]error{}
	if f.config.Decisions == nil {
		return unsettled
	}
	asked := map[string]map[string]bool{}
	for _, group := range byDatabase(placements) {
		database := group[0].InSchema("")
		left, known := asked[database.Server]
		if !known {
			var err error
			if left, err = f.leftOn(ctx, database); err != nil {
				continue // the server's next database may answer
			}
			asked[database.Server] = left
		}
		if left[database.Database] || database.Database == "" && len(left) > 0 {
			if err := f.settleIn(ctx, database, waiting); err != nil {
				unsettled[database] = err
			}
		}
	}
	return unsettled
}

// leftOn returns the names of a server's databases in which something is prepared, or is about to be: a server process goes on for a
// client that was killed.
func (f *Fleet) leftOn(ctx context.Context, database scopes.Placement) (map[string]bool, error) {
	conn, err := f.connectAnyhow(ctx, database)
	if err != nil {
		return nil, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	rows, _ := conn.Query(ctx, `
		select database::text from pg_prepared_xacts where gid like $1
		union
		select datname::text from pg_stat_activity where state = 'active' and query like 'prepare transaction ''' || $1`, gidPrefix+"%")
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	left := map[string]bool{}
	for _, name := range names {
		left[name] = true
	}
	return left, err
}

func (f *Fleet) settleIn(ctx context.Context, database scopes.Placement, waiting func(Lock)) error {
	conn, err := f.connect(ctx, database)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return f.settle(ctx, conn, database, waiting)
}

// settle ends what interrupted atomic migrations have prepared in a database, as was decided. It waits for one that is under way. What nobody
// knows is left alone: it is another program's.
func (f *Fleet) settle(ctx context.Context, conn *pgx.Conn, database scopes.Placement, waiting func(Lock)) error {
	if f.config.Decisions == nil {
		return nil
	}
	for said := false; ; said = true {
		underWay, err := f.settleOnce(ctx, conn, database.InSchema(""))
		if err != nil || !underWay {
			return err
		}
		if !said {
			waiting(Lock{Placement: database.InSchema(""), By: "an atomic migration", Since: time.Now()})
		}
		if !sleep(ctx, pollEvery) {
			return context.Cause(ctx)
		}
	}
}

func (f *Fleet) settleOnce(ctx context.Context, conn *pgx.Conn, database scopes.Placement) (underWay bool, err error) {
	rows, _ := conn.Query(ctx, `
		select gid from pg_prepared_xacts where database = current_database() and gid like $1
		union all
		select '' from pg_stat_activity where datname = current_database() and state = 'active' and query like 'prepare transaction ''' || $1`, gidPrefix+"%")
	gids, err := pgx.CollectRows(rows, pgx.RowTo[string])
	for _, gid := range gids {
		if err != nil {
			break
		}
		if gid == "" {
			underWay = true
			continue
		}
		var outcome Outcome
		outcome, err = f.config.Decisions.Outcome(ctx, Prepared{GID: gid}.Migration())
		switch {
		case err != nil || outcome == Unknown:
		case outcome == UnderWay:
			underWay = true
		default:
			err = finish(ctx, conn, gid, outcome == Committed)
			f.config.Settled(Settled{database, outcome == Committed})
		}
	}
	if err != nil {
		err = fmt.Errorf("end what an atomic migration has prepared in %s: %w", database, err)
	}
	return underWay, err
}

// finish commits or rolls back what is prepared in conn's database. That it is gone is no error.
func finish(ctx context.Context, conn *pgx.Conn, gid string, commit bool) error {
	statement := "rollback prepared '" + gid + "'"
	if commit {
		statement = "commit prepared '" + gid + "'"
	}
	for {
		_, err := conn.Exec(ctx, statement, pgx.QueryExecModeSimpleProtocol)
		const gone, busy = "42704", "55000" // somebody else ends it, as the server process of who was killed
		switch pgErr, _ := errors.AsType[*pgconn.PgError](err); {
		case pgErr == nil:
			return err
		case pgErr.Code == gone:
			return nil
		case pgErr.Code != busy || !sleep(ctx, pollEvery):
			return err
		}
	}
}

// pollEvery is how often something is asked for that somebody else will do.
const pollEvery = 50 * time.Millisecond

// PreparedError says that a placement is locked by what an atomic migration has prepared.
type PreparedError struct {
	scopes.Placement
	GID string // as COMMIT PREPARED takes it
}

// Error implements error.
func (e *PreparedError) Error() string {
	return fmt.Sprintf("%s is locked by the prepared transaction %s of an atomic migration: if that was interrupted, migrate again, which ends it", e.Placement, e.GID)
}
