package scopestest_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/logger"
	"pgregory.net/rapid"

	"tenanted/migrations"
	"tenanted/scopes"
	"tenanted/scopes/pgtest"
	"tenanted/scopes/registry"
	"tenanted/scopes/scopestest"
)

// The rows of the property tests. Keys and names of the two tenants overlap on purpose.
const (
	rowsOfA = `
		insert into accounts values (1, '2020-01-01');
		insert into users (account_id, id, email, first_name, last_name, password_hash, date_joined)
			select 1, n, 'u' || n, 'x', 'a', '', '2020-01-01' from generate_series(1, 3) n;
		insert into projects select 1, n, (array['x', 'y', 'z'])[n] from generate_series(1, 3) n;
		insert into tasks select 1, n, n % 3 + 1, (array['x', 'y', 'z'])[n % 3 + 1] from generate_series(1, 6) n;
		insert into subtasks select 1, n, n % 6 + 1, (array['x', 'y', 'z'])[n % 3 + 1], n % 2 = 0, 'a' from generate_series(1, 9) n;`
	rowsOfB = `
		insert into accounts values (2, '2021-01-01');
		insert into users (account_id, id, email, first_name, last_name, password_hash, date_joined)
			select 2, n, 'u' || n, 'x', 'canary', '', '2020-01-01' from generate_series(2, 5) n;
		insert into projects select 2, n, (array['x', 'y', 'z', 'canary'])[n - 1] from generate_series(2, 5) n;
		insert into tasks select 2, n, n % 3 + 2, (array['x', 'y', 'canary'])[n % 3 + 1] from generate_series(3, 9) n;
		insert into subtasks select 2, n, n % 6 + 3, (array['x', 'y', 'canary'])[n % 3 + 1], n % 2 = 0, 'canary' from generate_series(5, 14) n;`
)

// fixture is a database that chains of calls are made on.
type fixture struct {
	db  *gorm.DB
	ctx context.Context
}

func propertyDatabase(t *testing.T, key, rows string) *pgtest.DB {
	return pgtest.Database(t, "scopestest-property-"+key, func(ctx context.Context, conn *pgx.Conn) error {
		runner := migrations.Runner{Owner: conn.Config(), Runtime: pgtest.Runtime}
		placement := scopes.Placement{Database: conn.Config().Database, Schema: "public"}
		if err := runner.Up(ctx, migrations.Target{Set: migrations.Tenant, Placement: placement}).Err; err != nil {
			return err
		}
		_, err := conn.Exec(ctx, rows)
		return err
	})
}

func openFixture(t *testing.T, db *pgtest.DB, pool *sql.DB, plugin gorm.Plugin) fixture {
	t.Cleanup(func() {
		require.Zero(t, pool.Stats().InUse)
		_ = pool.Close()
	})
	g, err := gorm.Open(postgres.New(postgres.Config{Conn: pool}),
		&gorm.Config{Logger: logger.Discard, DisableAutomaticPing: true})
	require.NoError(t, err)
	if plugin == nil {
		require.NoError(t, scopestest.Disarm(g, application))
		require.NoError(t, keepTogether(g))
		return fixture{g, t.Context()} // with a tenant, the models' keys would be completed
	}
	require.NoError(t, g.Use(plugin))
	tenant := scopes.Tenant{ID: 1, Placement: scopes.Placement{Database: db.Name, Schema: "public"}}
	return fixture{g, scopes.WithTenant(t.Context(), tenant)}
}

// keepTogether makes plain GORM put the caller's conditions into parentheses before it adds the key of a model, which it
// does for models with soft delete only, and which is what the scope does.
func keepTogether(db *gorm.DB) error {
	parenthesise := func(db *gorm.DB) {
		c := db.Statement.Clauses["WHERE"]
		if where, ok := c.Expression.(clause.Where); ok && len(where.Exprs) > 0 {
			c.Expression = clause.Where{Exprs: []clause.Expression{together{where}}}
			db.Statement.Clauses["WHERE"] = c
		}
	}
	callbacks := db.Callback()
	return errors.Join(
		callbacks.Query().Before("gorm:query").Register("test:together", parenthesise),
		callbacks.Row().Before("gorm:row").Register("test:together", parenthesise),
		callbacks.Update().Before("gorm:update").Register("test:together", parenthesise),
		callbacks.Delete().Before("gorm:delete").Register("test:together", parenthesise),
	)
}

type together struct{ clause.Where }

func (w together) Build(b clause.Builder) {
	_ = b.WriteByte('(')
	w.Where.Build(b)
	_ = b.WriteByte(')')
}

// oracle is a database that holds A's rows alone, used by plain GORM.
func oracle(t *testing.T) fixture {
	db := propertyDatabase(t, "alone-2", rowsOfA)
	return openFixture(t, db, stdlib.OpenDB(*db.Config(pgtest.Owner)), nil)
}

func TestChainsWithAllLayers(t *testing.T) {
	t.Parallel()
	db := propertyDatabase(t, "both-2", rowsOfA+rowsOfB)
	r, err := registry.Open(registry.Config{Runtime: db.Config(pgtest.Runtime)})
	require.NoError(t, err)
	t.Cleanup(func() { _ = r.Close() })
	compareFixtures(t, openFixture(t, db, r.DB(), scopes.NewPlugin(scopes.Config{})), oracle(t))
}

func TestChainsWithTheScopeAlone(t *testing.T) {
	t.Parallel()
	db := propertyDatabase(t, "both-2", rowsOfA+rowsOfB)
	pool := stdlib.OpenDB(*db.Config(pgtest.Owner))
	compareFixtures(t, openFixture(t, db, pool, scopes.NewPlugin(scopes.Config{})), oracle(t))
}

// compareFixtures makes random chains in both fixtures. A must get and change the same in the one that B shares, and B's
// rows must stay what they are.
func compareFixtures(t *testing.T, both, alone fixture) {
	bs := both.rows(t, 2)
	require.Contains(t, bs, "canary")
	rapid.Check(t, func(rt *rapid.T) {
		c := drawChain(rt)
		got, want := both.run(c), alone.run(c)
		if (got.err == nil) != (want.err == nil) {
			rt.Fatalf("error %v, alone %v", got.err, want.err)
		}
		if got.err == nil && got.answer != want.answer {
			rt.Fatalf("answer\n%s\nalone\n%s", got.answer, want.answer)
		}
		if got.err == nil && got.rows[0] != want.rows[0] {
			rt.Fatalf("A's rows are\n%s\nalone\n%s", got.rows[0], want.rows[0])
		}
		if got.rows[1] != "" && got.rows[1] != bs {
			rt.Fatalf("B's rows are\n%s\nand were\n%s", got.rows[1], bs)
		}
		if strings.Contains(got.answer+fmt.Sprint(got.err), "canary") {
			rt.Fatalf("A saw B's: %s %v", got.answer, got.err)
		}
	})
}

// result is what came of a chain: what the caller got, and the tenants' rows at its end, empty after a read and where the
// transaction has failed.
type result struct {
	answer string
	err    error
	rows   [2]string
}

var errRollback = errors.New("roll back")

// run runs the chain in a transaction that is rolled back.
func (w fixture) run(c chain) (r result) {
	err := w.db.WithContext(w.ctx).Transaction(func(tx *gorm.DB) error {
		r.answer, r.err = c.finish(tx)
		if !c.writes {
			return errRollback
		}
		for i := range r.rows {
			rows, err := tenantsRows(tx, i+1)
			if err != nil {
				break // the transaction has failed, and changes nothing
			}
			r.rows[i] = rows
		}
		return errRollback
	})
	if !errors.Is(err, errRollback) {
		r.err = errors.Join(r.err, err)
	}
	return r
}

// rows returns a tenant's rows outside any chain.
func (w fixture) rows(t *testing.T, tenant int) (rows string) {
	require.NoError(t, w.db.WithContext(w.ctx).Transaction(func(tx *gorm.DB) (err error) {
		rows, err = tenantsRows(tx, tenant)
		return err
	}))
	return rows
}

// tenantsRows looks at a tenant's rows from within a transaction of A's, by doing what raw SQL can do.
func tenantsRows(tx *gorm.DB, tenant int) (rows string, err error) {
	var ok string
	if err := tx.Raw("select set_config('app.tenant_id', ?::int::text, true)", tenant).Scan(&ok).Error; err != nil {
		return "", err
	}
	return rows, tx.Raw(`select coalesce(string_agg(row, E'\n' order by row), '') from (
		select 'accounts' || a::text as row from accounts a where id = @id union all
		select 'users' || u::text from users u where account_id = @id union all
		select 'projects' || p::text from projects p where account_id = @id union all
		select 'tasks' || t::text from tasks t where account_id = @id union all
		select 'subtasks' || s::text from subtasks s where account_id = @id) rows`, sql.Named("id", tenant)).Scan(&rows).Error
}
