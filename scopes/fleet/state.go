package fleet

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"tenanted/scopes"
)

// state is what a version table says.
type state struct {
	newest  int64
	applied []int64 // sorted
}

// complete reports whether all migrations were applied. A schema that a newer program has migrated is complete.
func (s state) complete(versions []int64) bool {
	for _, version := range versions {
		if _, applied := slices.BinarySearch(s.applied, version); !applied {
			return false
		}
	}
	return true
}

// unchanged is the result of a placement that stays in this state.
func (s state) unchanged(p scopes.Placement) Result {
	return Result{Placement: p, From: s.newest, To: s.newest}
}

// tablesAtOnce bounds the version tables that one statement reads, and with them its locks.
const tablesAtOnce = 50

// states reads the version tables of placements in one database, over one connection and without a lock that anybody would
// wait for. A schema without one is not among them. Before that it settles what was prepared, unless settle is nil, which is
// told whom it has to wait for.
func (f *Fleet) states(ctx context.Context, group []scopes.Placement, settle func(Lock)) (map[string]state, error) {
	conn, err := f.connect(ctx, group[0])
	if err != nil {
		return nil, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if settle != nil {
		if err := f.settle(ctx, conn, group[0], settle); err != nil {
			return nil, err
		}
	}
	return f.statesOver(ctx, conn, group)
}

// statesOver is states over a connection to the database.
func (f *Fleet) statesOver(ctx context.Context, conn *pgx.Conn, group []scopes.Placement) (map[string]state, error) {
	if len(group) == 0 {
		return nil, nil
	}
	var schemas []string
	for _, p := range group {
		schemas = append(schemas, p.Schema)
	}
	rows, _ := conn.Query(ctx, `
		select n.nspname::text from pg_class c join pg_namespace n on n.oid = c.relnamespace
		where c.relname = $1 and c.relkind = 'r' and n.nspname = any($2) order by 1`, f.config.Table, schemas)
	existing, err := pgx.CollectRows(rows, pgx.RowTo[string])
	states := map[string]state{}
	for chunk := range slices.Chunk(existing, tablesAtOnce) {
		if err == nil {
			err = f.readStates(ctx, conn, chunk, states)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("read the versions in database %q: %w", group[0].Database, err)
	}
	return states, nil
}

func (f *Fleet) readStates(ctx context.Context, conn *pgx.Conn, schemas []string, into map[string]state) error {
	var parts []string
	for i, schema := range schemas {
		parts = append(parts, fmt.Sprintf("select %d, array(select distinct version_id from %s where is_applied and version_id > 0 order by 1)", i,
			pgx.Identifier{schema, f.config.Table}.Sanitize()))
	}
	rows, err := conn.Query(ctx, strings.Join(parts, " union all "))
	if err != nil {
		return err
	}
	var i int
	var applied []int64
	_, err = pgx.ForEachRow(rows, []any{&i, &applied}, func() error {
		s := state{applied: slices.Clone(applied)}
		if len(applied) > 0 {
			s.newest = applied[len(applied)-1]
		}
		into[schemas[i]] = s
		return nil
	})
	return err
}

// connect opens a connection to look at a placement's database, straight to the server.
func (f *Fleet) connect(ctx context.Context, p scopes.Placement) (*pgx.Conn, error) {
	conn, err := f.connectAnyhow(ctx, p)
	if err != nil {
		return nil, err
	}
	if err := RequireDirect(ctx, conn); err != nil {
		_ = conn.Close(context.WithoutCancel(ctx))
		return nil, err
	}
	return conn, nil
}

// connConfig returns how to connect to a placement's database. No statement is prepared: each is executed once.
func (f *Fleet) connConfig(p scopes.Placement) (*pgx.ConnConfig, error) {
	to, err := f.config.Connect(p)
	if err != nil {
		return nil, err
	}
	to = to.Copy()
	if p.Database != "" {
		to.Database = p.Database
	}
	to.DefaultQueryExecMode = pgx.QueryExecModeExec
	to.RuntimeParams["application_name"] = applicationName(f.config.By)
	return to, nil
}

// PoolerError says that a connection leads to a pooler.
type PoolerError struct {
	Host string // and port
}

// Error implements error.
func (e *PoolerError) Error() string {
	return fmt.Sprintf("%s is a connection pooler: settings and locks of a session do not survive there; set PGHOST and PGPORT to the PostgreSQL server itself", e.Host)
}

// RequireDirect returns a [*PoolerError] if there is a pooler between conn and the server. A pooler gives its clients process
// ids of its own, for cancelling.
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
