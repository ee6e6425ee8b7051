package scopestest

import (
	"context"
	"database/sql"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/logger"

	"tenanted/scopes"
	"tenanted/scopes/registry"
	"tenanted/scopes/session"
)

// Target is the database that the attacks are made on.
type Target struct {
	// Runtime is how the application connects for a tenant.
	Runtime *pgx.ConnConfig
	// Owner connects as the tables' owner, to which row-level security does not apply. Only [Layers] needs it.
	Owner *pgx.ConnConfig
	// Judge connects as a role that can read and change all rows. Default: Owner.
	Judge *pgx.ConnConfig
	// A attacks B. The placements of both, with their tables, must exist on the server that the roles connect to.
	A, B scopes.Tenant
	// Options are the application's for scopes/session. Default: none.
	Options session.Options
}

// layers are the layers that are on. The keys are not among them, since they are in the database.
type layers struct{ scope, session, rls bool }

// opened is the target, opened with some layers.
type opened struct {
	layers
	db    *gorm.DB
	pools []*sql.DB

	mu    sync.Mutex
	conns []*pgconn.PgConn // opened so far
}

const maxConns = 4

// openTarget opens the target as the application does, without the layers that are off.
func openTarget(t testing.TB, target Target, models []model, on layers) *opened {
	o := &opened{layers: on}
	role := target.Runtime
	if !on.rls {
		role = target.Owner
	}
	role = o.watched(role)
	var pool gorm.ConnPool
	if on.session {
		r, err := registry.Open(registry.Config{Runtime: role, MaxConns: maxConns, Options: target.Options})
		require.NoError(t, err)
		t.Cleanup(func() { _ = r.Close() })
		o.pools, pool = []*sql.DB{r.DB()}, r.DB()
	} else {
		plain := openPlain(t, role, target, on.rls)
		o.pools, pool = slices.Collect(maps.Values(plain.of)), plain
	}
	o.db = openGORM(t, pool)
	if on.scope {
		require.NoError(t, o.db.Use(scopes.NewPlugin(scopes.Config{})))
		return o
	}
	require.NoError(t, disarmAll(o.db, models...))
	return o
}

func openGORM(t testing.TB, pool gorm.ConnPool) *gorm.DB {
	db, err := gorm.Open(postgres.New(postgres.Config{Conn: pool}),
		&gorm.Config{Logger: logger.Discard, DisableAutomaticPing: true})
	require.NoError(t, err)
	return db
}

// watched returns a copy of config that records the connections that are opened with it.
func (o *opened) watched(config *pgx.ConnConfig) *pgx.ConnConfig {
	config = config.Copy()
	config.AfterConnect = func(_ context.Context, conn *pgconn.PgConn) error {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.conns = append(o.conns, conn)
		return nil
	}
	return config
}

// leftovers returns the settings that idle connections should not have.
func (o *opened) leftovers(ctx context.Context) (found []string, err error) {
	if !o.session { // without that layer, connections keep their settings on purpose
		return nil, nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.conns = slices.DeleteFunc(o.conns, (*pgconn.PgConn).IsClosed)
	for _, conn := range o.conns {
		const ask = `select coalesce(current_setting('` + session.Setting + `', true), ''), current_setting('search_path'), reset_val
			from pg_settings where name = 'search_path'`
		result := conn.ExecParams(ctx, ask, nil, nil, nil, nil).Read()
		if result.Err != nil {
			return nil, result.Err
		}
		row := result.Rows[0]
		if tenant, path := string(row[0]), string(row[1]); tenant != "" || path != string(row[2]) {
			found = append(found, session.Setting+"="+tenant+" search_path="+path)
		}
	}
	return found, nil
}

// noScope replaces the scope's plugin if that is off, under the same name.
type noScope struct{}

func (noScope) Name() string              { return "scopes" }
func (noScope) Initialize(*gorm.DB) error { return nil }

// withoutScopes returns the clauses that are not package scopes'.
func withoutScopes(clauses []clause.Interface) []clause.Interface {
	return slices.DeleteFunc(slices.Clone(clauses), func(c clause.Interface) bool {
		return strings.HasSuffix(reflect.TypeOf(c).PkgPath(), "/scopes")
	})
}
