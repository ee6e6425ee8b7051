package registry_test

import (
	"context"
	"math/rand"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"tenanted/scopes"
	"tenanted/scopes/pgtest"
	"tenanted/scopes/registry"
)

// The benchmarks compare the same work done in bare pgx, in plain GORM with the tenant's condition written by
// hand, and scoped. The first two connect as the owner, to whom row-level security does not apply: without the
// session nothing carries a tenant.

const (
	benchTenants = 20
	benchRows    = 500 // a tenant
	benchPage    = 10
)

const benchTables = `
create table items (account_id bigint, id bigint, name text not null, done boolean not null, details text not null, primary key (account_id, id));
create index items_name on items (account_id, name, id);
alter table items enable row level security;
create policy tenant on items using (account_id = nullif(current_setting('app.tenant_id', true), '')::bigint);
grant select, insert, update, delete on items to ` + pgtest.Runtime

const benchItems = `insert into items select a, i, 'item ' || i * 7919 % 500, i % 3 = 0, repeat('words ', 20)
from generate_series(1, $1) a, generate_series(1, $2) i`

// item is a row for plain GORM, tenantedItem the same for the scope.
type item struct {
	//tenantvet:ignore what the scope is compared with
	AccountID int64 `gorm:"primaryKey"`
	ID        int64 `gorm:"primaryKey"`
	Name      string
	Done      bool
	Details   string
}

type tenantedItem struct {
	scopes.Tenanted
	ID      int64 `gorm:"primaryKey"`
	Name    string
	Done    bool
	Details string
}

func (tenantedItem) TableName() string { return "items" }

func benchDatabase(b *testing.B) *pgtest.DB {
	return pgtest.Database(b, "registry-bench", func(ctx context.Context, conn *pgx.Conn) error {
		if _, err := conn.Exec(ctx, benchTables); err != nil {
			return err
		}
		if _, err := conn.Exec(ctx, benchItems, benchTenants, benchRows); err != nil {
			return err
		}
		_, err := conn.Exec(ctx, "vacuum analyze items")
		return err
	})
}

// loop runs work until the benchmark has enough, once beforehand so that statements are prepared, and
// reports the round trips of one run.
func (f *floors) loop(b *testing.B, work func(tenant int64) error) {
	b.ReportAllocs()
	for range 8 { // PostgreSQL settles on a plan for a prepared statement after five executions
		require.NoError(b, work(1))
	}
	before, n := f.trips.N(), int64(0)
	for b.Loop() {
		n++
		if err := work(n%benchTenants + 1); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(f.trips.N()-before)/float64(n), "roundtrips/op")
}

// floors are the connections that the work is done with. pgx reads into rows that it is given, as GORM does.
type floors struct {
	trips    pgtest.RoundTrips
	database string
	pgx      *pgx.Conn
	gorm     *gorm.DB
	tenanted *gorm.DB
}

func openFloors(b *testing.B) *floors {
	pg := benchDatabase(b)
	f := &floors{database: pg.Name}
	ctx := context.Background()

	conn, err := pgx.ConnectConfig(ctx, f.trips.Watch(pg.Config(pgtest.Owner)))
	require.NoError(b, err)
	b.Cleanup(func() { _ = conn.Close(ctx) })
	f.pgx = conn

	plain := stdlib.OpenDB(*f.trips.Watch(pg.Config(pgtest.Owner)))
	b.Cleanup(func() { _ = plain.Close() })
	f.gorm, err = gorm.Open(postgres.New(postgres.Config{Conn: plain}), &gorm.Config{Logger: logger.Discard})
	require.NoError(b, err)

	r, err := registry.Open(registry.Config{Runtime: f.trips.Watch(pg.Config(pgtest.Runtime))})
	require.NoError(b, err)
	b.Cleanup(func() { _ = r.Close() })
	f.tenanted, err = r.OpenGORM(&gorm.Config{Logger: logger.Discard}, scopes.NewPlugin(scopes.Config{}))
	require.NoError(b, err)
	return f
}

func (f *floors) as(tenant int64) context.Context {
	return scopes.WithTenant(context.Background(), scopes.Tenant{ID: scopes.TenantID(tenant), Placement: scopes.Placement{Database: f.database}})
}

const (
	pageSQL  = "select account_id, id, name, done, details from items where account_id = $1 order by name, id limit $2"
	countSQL = "select count(*) from items where account_id = $1"
)

func pgxPage(ctx context.Context, q interface {
	Query(context.Context, string, ...any) (pgx.Rows, error)
}, tenant int64) error {
	rows, err := q.Query(ctx, pageSQL, tenant, benchPage)
	if err != nil {
		return err
	}
	_, err = pgx.CollectRows(rows, pgx.RowToStructByPos[item])
	return err
}

func gormPage(db *gorm.DB, tenant int64) error {
	var rows []item
	return db.Where("account_id = ?", tenant).Order("name, id").Limit(benchPage).Find(&rows).Error
}

func tenantedPage(db *gorm.DB) error {
	var rows []tenantedItem
	return db.Order("name, id").Limit(benchPage).Find(&rows).Error
}

// BenchmarkRead reads ten rows outside a transaction, and at last in a read-only one.
func BenchmarkRead(b *testing.B) {
	f, ctx := openFloors(b), context.Background()
	b.Run("pgx", func(b *testing.B) {
		f.loop(b, func(tenant int64) error { return pgxPage(ctx, f.pgx, tenant) })
	})
	b.Run("gorm", func(b *testing.B) {
		f.loop(b, func(tenant int64) error { return gormPage(f.gorm, tenant) })
	})
	b.Run("tenanted", func(b *testing.B) {
		f.loop(b, func(tenant int64) error { return tenantedPage(f.tenanted.WithContext(f.as(tenant))) })
	})
	b.Run("reading", func(b *testing.B) {
		f.loop(b, func(tenant int64) error { return tenantedPage(f.tenanted.WithContext(scopes.Reading(f.as(tenant)))) })
	})
}

// BenchmarkTransaction counts rows and reads ten of them in one transaction.
func BenchmarkTransaction(b *testing.B) {
	f, ctx := openFloors(b), context.Background()
	b.Run("pgx", func(b *testing.B) {
		f.loop(b, func(tenant int64) error {
			return pgx.BeginFunc(ctx, f.pgx, func(tx pgx.Tx) error {
				var n int64
				if err := tx.QueryRow(ctx, countSQL, tenant).Scan(&n); err != nil {
					return err
				}
				return pgxPage(ctx, tx, tenant)
			})
		})
	})
	b.Run("gorm", func(b *testing.B) {
		f.loop(b, func(tenant int64) error {
			return f.gorm.Transaction(func(tx *gorm.DB) error {
				var n int64
				if err := tx.Model(&item{}).Where("account_id = ?", tenant).Count(&n).Error; err != nil {
					return err
				}
				return gormPage(tx, tenant)
			})
		})
	})
	b.Run("tenanted", func(b *testing.B) {
		f.loop(b, func(tenant int64) error {
			return f.tenanted.WithContext(f.as(tenant)).Transaction(func(tx *gorm.DB) error {
				var n int64
				if err := tx.Model(&tenantedItem{}).Count(&n).Error; err != nil {
					return err
				}
				return tenantedPage(tx)
			})
		})
	})
}

// BenchmarkUpdate changes one row, in the transaction that GORM puts around a write.
func BenchmarkUpdate(b *testing.B) {
	f, ctx := openFloors(b), context.Background()
	b.Run("pgx", func(b *testing.B) {
		f.loop(b, func(tenant int64) error {
			return pgx.BeginFunc(ctx, f.pgx, func(tx pgx.Tx) error {
				_, err := tx.Exec(ctx, "update items set done = $1 where account_id = $2 and id = $3", true, tenant, 1)
				return err
			})
		})
	})
	b.Run("gorm", func(b *testing.B) {
		f.loop(b, func(tenant int64) error {
			return f.gorm.Model(&item{}).Where("account_id = ? and id = ?", tenant, 1).Update("done", true).Error
		})
	})
	b.Run("tenanted", func(b *testing.B) {
		f.loop(b, func(tenant int64) error {
			return f.tenanted.WithContext(f.as(tenant)).Model(&tenantedItem{}).Where("id = ?", 1).Update("done", true).Error
		})
	})
}

// roundRobin reads ten rows of one tenant after the other, from as many goroutines as there are connections.
func roundRobin(b *testing.B, pg *pgtest.DB, conns int, tenants []scopes.Tenant) {
	visits(b, pg, conns, tenants, func(n int64) int { return int(n) % len(tenants) })
}

// visits reads ten rows of one tenant after the other, in some order, from as many goroutines as there are connections.
func visits(b *testing.B, pg *pgtest.DB, conns int, tenants []scopes.Tenant, order func(n int64) int) {
	r, err := registry.Open(registry.Config{Runtime: pg.Config(pgtest.Runtime), MaxConns: conns})
	require.NoError(b, err)
	defer r.Close()
	db, err := r.OpenGORM(&gorm.Config{Logger: logger.Discard}, scopes.NewPlugin(scopes.Config{}))
	require.NoError(b, err)
	read := func(n int64) error {
		return tenantedPage(db.WithContext(scopes.WithTenant(context.Background(), tenants[order(n)])))
	}
	for n := range 8 * len(tenants) {
		require.NoError(b, read(int64(n)))
	}
	var next atomic.Int64
	b.ResetTimer()
	b.SetParallelism(max(1, conns/runtime.GOMAXPROCS(0)))
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			if err := read(next.Add(1)); err != nil {
				b.Error(err)
			}
		}
	})
}

// BenchmarkDatabases has four connections: for one database, for four, and for twelve. With twelve, every read
// finds that its database's connection has had to make room for another's.
func BenchmarkDatabases(b *testing.B) {
	const conns = 4
	pg := benchDatabase(b)
	var tenants []scopes.Tenant
	for len(tenants) < 3*conns {
		tenants = append(tenants, scopes.Tenant{ID: 1, Placement: scopes.Placement{Database: benchDatabase(b).Name}})
	}
	for _, n := range []int{1, conns, 3 * conns} {
		b.Run(strconv.Itoa(n), func(b *testing.B) { roundRobin(b, pg, conns, tenants[:n]) })
	}
	b.Run("12 some more popular", func(b *testing.B) { // the first is asked for as often as the next two, and so on
		popular := rand.NewZipf(rand.New(rand.NewSource(1)), 1.5, 1, 3*conns-1)
		sequence := make([]int, 1<<16)
		for i := range sequence {
			sequence[i] = int(popular.Uint64())
		}
		visits(b, pg, conns, tenants, func(n int64) int { return sequence[int(n)%len(sequence)] })
	})
	b.Run("12 in visits of ten pages", func(b *testing.B) {
		visits(b, pg, conns, tenants, func(n int64) int { return int(n) / 10 % len(tenants) })
	})
}

// BenchmarkNewConnection reads ten rows over a connection that is kept, and over one that is opened for that and closed, by a server
// that asks for no password and by one that does, as by SCRAM.
func BenchmarkNewConnection(b *testing.B) {
	pg := benchDatabase(b)
	server := pgtest.Private(b, nil)
	benchmark := func(name string, runtime *pgx.ConnConfig, lifetime time.Duration) {
		b.Run(name, func(b *testing.B) {
			r, err := registry.Open(registry.Config{Runtime: runtime, MaxConns: 1, MaxLifetime: lifetime})
			require.NoError(b, err)
			defer r.Close()
			db, err := r.OpenGORM(&gorm.Config{Logger: logger.Discard}, scopes.NewPlugin(scopes.Config{}))
			require.NoError(b, err)
			db = db.WithContext(scopes.WithTenant(context.Background(), scopes.Tenant{ID: 1, Placement: scopes.Placement{Database: runtime.Database}}))
			for b.Loop() {
				if err := tenantedPage(db); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	benchmark("kept", pg.Config(pgtest.Runtime), time.Hour)
	benchmark("new", pg.Config(pgtest.Runtime), time.Nanosecond)
	server.Exec("postgres", benchTables+"; alter role "+pgtest.Runtime+" password 'secret'")
	server.Exec("postgres", "insert into items select 1, i, 'item ' || i, true, repeat('words ', 20) from generate_series(1, 500) i; analyze items")
	requirePasswords(b, server)
	scram := server.Config("postgres", pgtest.Runtime)
	scram.Password = "secret"
	benchmark("new by SCRAM", scram, time.Nanosecond)
}

// BenchmarkSchemas has two connections: for one schema, and for twelve.
func BenchmarkSchemas(b *testing.B) {
	const conns, schemas = 2, 12
	pg := pgtest.Database(b, "registry-bench-schemas", func(ctx context.Context, conn *pgx.Conn) error {
		for i := range schemas {
			name := "tenant_" + strconv.Itoa(i)
			sql := "create schema " + name + "; set search_path = " + name + ";" + benchTables + "; grant usage on schema " + name + " to " + pgtest.Runtime
			if _, err := conn.Exec(ctx, sql); err != nil {
				return err
			}
			if _, err := conn.Exec(ctx, benchItems, 1, benchRows); err != nil {
				return err
			}
		}
		_, err := conn.Exec(ctx, "vacuum analyze")
		return err
	})
	var tenants []scopes.Tenant
	for i := range schemas {
		tenants = append(tenants, scopes.Tenant{ID: 1, Placement: scopes.Placement{Database: pg.Name, Schema: "tenant_" + strconv.Itoa(i)}})
	}
	for _, n := range []int{1, schemas} {
		b.Run(strconv.Itoa(n), func(b *testing.B) { roundRobin(b, pg, conns, tenants[:n]) })
	}
}
