package tenancy_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"tenanted/app/config"
	"tenanted/app/tenancy"
	"tenanted/scopes"
	"tenanted/scopes/archive"
	"tenanted/scopes/pgtest"
)

// operator makes a role on the database's server that owns databases, may end the sessions in them, and follow changes if that
// server lets anybody.
func operator(t testing.TB, db *pgtest.DB) string {
	t.Helper()
	const role = "test_operator"
	db.Exec(t, pgtest.Superuser, `do $$ begin
		perform pg_advisory_xact_lock(1); -- roles are the whole server's
		if not exists (select from pg_roles where rolname = '`+role+`') then
			create role `+role+` login createdb replication in role `+pgtest.Owner+`, pg_signal_backend;
		end if;
	end $$`)
	return role
}

// moving are two servers, of which the default one or the other lets changes be followed.
func moving(t *testing.T, followed bool) (*pgtest.DB, config.Config) {
	t.Helper()
	empty := func(context.Context, *pgx.Conn) error { return nil }
	db, eu := pgtest.Elsewhere(t, "empty", empty), pgtest.Database(t, "empty", empty)
	if !followed {
		db, eu = eu, db
	}
	operator(t, eu)
	there := eu.Config(pgtest.Runtime)
	cfg := settings(t, db, config.Mixed, "PGOWNER="+operator(t, db), "SERVER_EU_HOST="+there.Host, fmt.Sprintf("SERVER_EU_PORT=%d", there.Port))
	withTenants(t, cfg, 4) // shared, schema, database, shared
	return db, cfg
}

// load writes rows of the first tenant until it is stopped, in transactions of several rows, and knows what was acknowledged.
type load struct {
	tenants *tenancy.Tenancy
	base    int64 // the ids of its rows are above
	mutex   sync.Mutex
	tasks   []int64       // with two subtasks each, of which one is done
	gone    []int64       // tasks that were deleted
	pause   time.Duration // the longest between two transactions that were acknowledged
	retried int           // transactions that failed
}

// write makes one change after the other. A number tells the writers apart.
func (l *load) write(ctx context.Context, number int) {
	last := time.Now()
	for n := int64(number); ctx.Err() == nil; n += 10 {
		if err := l.change(context.WithoutCancel(ctx), l.base+n); err != nil {
			l.mutex.Lock()
			l.retried++
			l.mutex.Unlock()
			time.Sleep(time.Millisecond)
			continue
		}
		l.mutex.Lock()
		l.tasks = append(l.tasks, l.base+n)
		if n >= 50 && (n/10)%3 == 0 {
			l.gone = append(l.gone, l.base+n-50)
		}
		l.pause = max(l.pause, time.Since(last))
		l.mutex.Unlock()
		last = time.Now()
		time.Sleep(10 * time.Millisecond) // some hundred transactions a second: more would measure the machine
	}
}

// change adds a task, and perhaps deletes one that an earlier change has added, if that was acknowledged.
func (l *load) change(ctx context.Context, id int64) error {
	tenant, err := l.tenants.Lookup(ctx, "tenant-0")
	if err != nil {
		return err
	}
	ctx = scopes.WithTenant(ctx, tenant)
	tx, err := l.tenants.SQL().BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	for _, statement := range []string{
		"insert into tasks (account_id, id, project_id, name) values (1, $1, 1, 'a')",
		"insert into subtasks (account_id, id, task_id, name) values (1, $1, $1, 'a'), (1, $1 + 1000000, $1, 'b')",
		"update subtasks set complete = true, details = repeat('long ', 2000) where id = $1",
		"update tasks set name = 'changed' where id = $1",
	} {
		if err := must(tx.ExecContext(ctx, statement, id)); err != nil {
			return err
		}
	}
	if n := id - l.base; n >= 50 && (n/10)%3 == 0 {
		if _, err := tx.ExecContext(ctx, "delete from subtasks where task_id = $1", id-50); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "delete from tasks where id = $1", id-50); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// since reports whether a change was acknowledged after a pause of at least that length.
func (l *load) since(pause time.Duration) bool {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return l.pause >= pause
}

// must makes no rows an error: that is what a process sees that goes by a former place.
func must(result sql.Result, err error) error {
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		return errors.Join(err, errors.New("no rows"))
	}
	return nil
}

// count compares what there is with what was acknowledged.
func (l *load) count(t *testing.T) {
	t.Helper()
	tenant, err := l.tenants.Lookup(t.Context(), "tenant-0")
	require.NoError(t, err)
	ctx := scopes.WithTenant(t.Context(), tenant)
	var has []int64
	rows, err := l.tenants.SQL().QueryContext(ctx, `select t.id from tasks t join subtasks s on s.task_id = t.id
		where t.id >= $1 and t.name = 'changed' group by t.id having count(*) = 2 and count(*) filter (where s.complete and length(s.details) = 10000) = 1 order by 1`, l.base)
	require.NoError(t, err)
	defer rows.Close()
	for rows.Next() {
		var id int64
		require.NoError(t, rows.Scan(&id))
		has = append(has, id)
	}
	require.NoError(t, rows.Err())
	var want []int64
	for _, id := range l.tasks {
		if !slices.Contains(l.gone, id) {
			want = append(want, id)
		}
	}
	slices.Sort(want)
	require.Equal(t, want, has)
	var all int
	require.NoError(t, l.tenants.SQL().QueryRowContext(ctx, "select count(*) from subtasks where task_id >= $1", l.base).Scan(&all))
	require.Equal(t, 2*len(want), all)
}

// While it is written to without a pause, a tenant is moved through every kind of placement and to another server and back. Each
// change that was acknowledged is there once, and other tenants' rows are as they were.
func TestMoveUnderLoad(t *testing.T) {
	t.Parallel()
	for _, followed := range []bool{true, false} {
		t.Run(fmt.Sprint("followed ", followed), func(t *testing.T) {
			t.Parallel()
			db, cfg := moving(t, followed)
			steps := []config.Choice{{Schema: "mine"}, {Database: db.Name + "_mine"}, {Server: "eu"}, {}}
			if !followed {
				steps = []config.Choice{{Server: "eu"}, {}}
			}
			tenants, err := tenancy.Open(t.Context(), cfg, slog.New(slog.DiscardHandler))
			require.NoError(t, err)
			defer tenants.Close()
			creator := newCreator(t, cfg)
			others := othersOf(t, creator)
			l := &load{tenants: tenants, base: 1000}
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			var writers sync.WaitGroup
			for number := range 3 {
				writers.Go(func() { l.write(ctx, number) })
			}
			progress := func() {
				l.mutex.Lock()
				before := len(l.tasks)
				l.mutex.Unlock()
				require.Eventually(t, func() bool {
					l.mutex.Lock()
					defer l.mutex.Unlock()
					return len(l.tasks) > before+10
				}, 30*time.Second, time.Millisecond)
			}
			progress()
			for i, where := range steps {
				var waiting error
				m, err := creator.Move(t.Context(), "tenant-0", tenancy.MoveOptions{Where: where, Begins: func(err error) { waiting = err }})
				require.NoError(t, err)
				fromOther := i == len(steps)-1
				require.Equal(t, followed != fromOther, m.Followed, "%v", waiting)
				require.Equal(t, m.Followed, waiting == nil)
				if !m.Followed {
					require.ErrorAs(t, waiting, new(*archive.UnfollowableError))
				}
				progress()
				t.Logf("%s → %s: %d rows, %d changes, held %v", m.From, m.To, m.Rows, m.Changes, m.Held)
			}
			stop()
			writers.Wait()
			l.count(t)
			t.Logf("%d acknowledged, %d refused, the longest pause %v", len(l.tasks), l.retried, l.pause)
			require.Equal(t, others, othersOf(t, creator))
			for _, left := range []string{"pg_publication", "pg_replication_slots where database = current_database()", "control.moves"} {
				var n int
				require.NoError(t, db.Connect(t, pgtest.Superuser).QueryRow(t.Context(), "select count(*) from "+left).Scan(&n))
				require.Zero(t, n, left)
			}
			_, err = creator.Move(t.Context(), "tenant-0", tenancy.MoveOptions{Where: config.Choice{Schema: "mine"}, Lock: true, Begins: func(err error) {
				require.ErrorContains(t, err, "--lock")
			}})
			require.NoError(t, err)
			l.count(t)
		})
	}
}

// othersOf are the checksums of the rows of all tenants but the first.
func othersOf(t *testing.T, creator *tenancy.Creator) string {
	t.Helper()
	var sums []string
	for number := 1; number < 4; number++ {
		contents, err := creator.Export(t.Context(), numbered(number).Slug, &strings.Builder{}, nil)
		require.NoError(t, err)
		sums = append(sums, fmt.Sprint(contents.Checksums.Tables))
	}
	return strings.Join(sums, "\n")
}
