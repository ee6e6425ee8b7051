package seed_test

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"tenanted/migrations"
	"tenanted/models"
	"tenanted/scopes"
	"tenanted/scopes/pgtest"
	"tenanted/seed"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// database returns a database with the tables of one placement, in its schema public, and no rows.
func database(t testing.TB) *pgtest.DB {
	t.Helper()
	return pgtest.Database(t, "seed", func(ctx context.Context, conn *pgx.Conn) error {
		runner := migrations.Runner{Owner: conn.Config(), Runtime: pgtest.Runtime}
		placement := scopes.Placement{Database: conn.Config().Database, Schema: "public"}
		return runner.Up(ctx, migrations.Target{Set: migrations.Tenant, Placement: placement}).Err
	})
}

// on begins transactions on conn, whose search_path leads to the tables.
func on(conn *pgx.Conn) seed.Begin {
	return func(ctx context.Context, work func(pgx.Tx) error) error { return pgx.BeginFunc(ctx, conn, work) }
}

// loadAll loads accounts 0 to n-1, each worker on a connection of its own, and returns the totals of those that
// were finished before an error. After each account, done is called, if it is not nil.
func loadAll(ctx context.Context, db *pgtest.DB, o seed.Options, n, workers int, done func()) (all seed.Totals, err error) {
	var mutex sync.Mutex
	var next atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	for range workers {
		group.Go(func() error {
			conn, err := pgx.ConnectConfig(ctx, db.Config(pgtest.Owner))
			if err != nil {
				return err
			}
			defer conn.Close(context.WithoutCancel(ctx))
			for number := int(next.Add(1)) - 1; number < n; number = int(next.Add(1)) - 1 {
				result, err := seed.Load(ctx, on(conn), o, number)
				if err != nil {
					return err
				}
				mutex.Lock()
				all.Add(result)
				mutex.Unlock()
				if done != nil {
					done()
				}
			}
			return nil
		})
	}
	err = group.Wait()
	return all, err
}

// options are small enough for a quick test, and have dates in UTC.
func options() seed.Options {
	o := seed.DefaultOptions()
	o.Projects = seed.Range{Min: 1, Max: 4}
	o.Location = time.UTC
	return o
}

func plan(t testing.TB, o seed.Options, number int) *seed.Plan {
	t.Helper()
	p, err := seed.NewPlan(t.Context(), o, number)
	require.NoError(t, err)
	return p
}

// rows are all rows of one account, but its own.
type rows struct {
	Users    []models.User
	Projects []models.Project
	Tasks    []models.Task
	Subtasks []models.Subtask
}

func rowsOf(p *seed.Plan) rows {
	return rows{
		Users:    slices.Collect(p.Users()),
		Projects: slices.Collect(p.Projects()),
		Tasks:    slices.Collect(p.Tasks()),
		Subtasks: slices.Collect(p.Subtasks()),
	}
}

// count returns the number of rows in each table, as Totals.
func count(t testing.TB, conn *pgx.Conn) (n seed.Totals) {
	t.Helper()
	const sql = `select (select count(*) from accounts), (select count(*) from users), (select count(*) from projects),
		(select count(*) from tasks), (select count(*) from subtasks)`
	err := conn.QueryRow(t.Context(), sql).Scan(&n.Accounts, &n.Users, &n.Projects, &n.Tasks, &n.Subtasks)
	require.NoError(t, err)
	return n
}
