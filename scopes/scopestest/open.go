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
	// Owner connects as the tables' owner, who row-level security does not apply to. Needed by [Layers] only.
	Owner *pgx.ConnConfig
	// Judge connects as a role that sees and may do everything. Default: Owner.
	Judge *pgx.ConnConfig
	// A attacks, B is attacked. Both have their placement, with the tables in it, on the server that the roles connect to.
	A, B scopes.Tenant
	// Options are the application's for scopes/session. Default: none.
	Options session.Options
}

// layers are the layers that are on; the keys are a matter of the database, not of how it is opened.
type layers struct{ scope, session, rls bool }

// opened is the target, opened with some layers.
type opened struct {
	layers
	db    *gorm.DB
	pools []*sql.DB

	mu    sync.Mutex
	conns []*pgconn.PgConn // made so far
}

const maxConns = 4

// openTarget opens the target as the application would, but for the layers that are off.
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

// watched returns a copy of config that keeps note of the connections made with it.
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
	if !o.session { // without that layer, the settings are the connection's on purpose
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

// noScope stands for the scope's plugin where that is off. GORM knows plugins by their names.
type noScope struct{}

func (noScope) Name() string              { return "scopes" }
func (noScope) Initialize(*gorm.DB) error { return nil }

// withoutScopes returns the clauses that are not of package scopes.
func withoutScopes(clauses []clause.Interface) []clause.Interface {
	return slices.DeleteFunc(slices.Clone(clauses), func(c clause.Interface) bool {
		return strings.HasSuffix(reflect.TypeOf(c).PkgPath(), "/scopes")
	})
}
