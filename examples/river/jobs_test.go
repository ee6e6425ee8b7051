package river

import (
	"context"
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
	"github.com/stretchr/testify/require"

	"example.com/examples/notesdb"

	"tenanted/scopes"
	"tenanted/scopes/pgtest"
	"tenanted/scopes/session"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// riverTables makes River's tables, as its command river migrate-up does.
func riverTables(ctx context.Context, conn *pgx.Conn) error {
	pool, err := pgxpool.New(ctx, conn.Config().ConnString())
	if err != nil {
		return err
	}
	defer pool.Close()
	migrator, err := rivermigrate.New(riverpgxv5.New(pool), nil)
	if err != nil {
		return err
	}
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return err
	}
	_, err = conn.Exec(ctx, "grant select, insert, update, delete on all tables in schema public to "+pgtest.Runtime+
		"; grant usage on all sequences in schema public to "+pgtest.Runtime)
	return err
}

func open(t *testing.T) (*session.Pool, *river.Client[pgx.Tx]) {
	db := notesdb.New(t, notesdb.Schema, riverTables)
	tenants := db.Pool(t)
	jobs, err := newClient(db.PlainPool(t), tenants, notesdb.Tenants)
	require.NoError(t, err)
	return tenants, jobs
}

// start has jobs worked until the test ends. wait returns the next job that has ended, and how.
func start(t *testing.T, jobs *river.Client[pgx.Tx]) (wait func() *river.Event) {
	ended, cancel := jobs.Subscribe(river.EventKindJobCompleted, river.EventKindJobFailed)
	require.NoError(t, jobs.Start(context.WithoutCancel(t.Context())))
	t.Cleanup(func() {
		cancel()
		require.NoError(t, jobs.StopAndCancel(context.WithoutCancel(t.Context())))
	})
	return func() *river.Event {
		select {
		case event := <-ended:
			return event
		case <-pgtest.Context(t).Done():
			t.Fatal("no job has ended")
			return nil
		}
	}
}

func texts(t *testing.T, tenant scopes.Tenant, tenants *session.Pool) []string {
	rows, err := tenants.Query(notesdb.As(t, tenant), "select text from notes order by text")
	require.NoError(t, err)
	texts, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	return texts
}

func TestJobWorksForTheTenantItWasInsertedFor(t *testing.T) {
	t.Parallel()
	tenants, jobs := open(t)
	wait := start(t, jobs)
	require.NoError(t, add(notesdb.As(t, notesdb.Acme), tenants, jobs, "anvil"))
	require.Equal(t, river.EventKindJobCompleted, wait().Kind)
	require.NoError(t, add(notesdb.As(t, notesdb.Umbrella), tenants, jobs, "leaks"))
	require.Equal(t, river.EventKindJobCompleted, wait().Kind)
	require.Equal(t, []string{"anvil", "notes: 1"}, texts(t, notesdb.Acme, tenants))
	require.Equal(t, []string{"leaks", "notes: 1"}, texts(t, notesdb.Umbrella, tenants))
}

func TestJobIsInsertedWithTheRowsOrNotAtAll(t *testing.T) {
	t.Parallel()
	tenants, jobs := open(t)
	acme, umbrella := notesdb.As(t, notesdb.Acme), notesdb.As(t, notesdb.Umbrella)
	failed := errors.New("failed")
	err := pgx.BeginFunc(acme, tenants, func(tx pgx.Tx) error {
		_, err := jobs.InsertTx(acme, tx, countArgs{}, nil)
		require.NoError(t, err)
		_, err = jobs.InsertTx(umbrella, tx, countArgs{}, nil)
		notesdb.RequireRefused(t, err)
		return failed
	})
	require.ErrorIs(t, err, failed)
	inserted, err := jobs.JobList(acme, river.NewJobListParams())
	require.NoError(t, err)
	require.Empty(t, inserted.Jobs)
}

func TestJobWithoutATenantIsRefused(t *testing.T) {
	t.Parallel()
	tenants, jobs := open(t)
	wait := start(t, jobs)
	_, err := jobs.Insert(t.Context(), countArgs{}, &river.InsertOpts{MaxAttempts: 1})
	require.NoError(t, err)
	event := wait()
	require.Equal(t, river.EventKindJobFailed, event.Kind)
	require.Equal(t, (&scopes.TenantMissingError{}).Error(), event.Job.Errors[0].Error)

	worker := &countWorker{tenants: tenants}
	require.ErrorAs(t, worker.Work(t.Context(), &river.Job[countArgs]{}), new(*scopes.TenantMissingError))
}

func TestJobOfAnUnknownTenantIsNotWorked(t *testing.T) {
	t.Parallel()
	_, jobs := open(t)
	wait := start(t, jobs)
	gone := notesdb.As(t, scopes.Tenant{ID: notesdb.Acme.ID, Slug: "gone"})
	_, err := jobs.Insert(gone, countArgs{}, &river.InsertOpts{MaxAttempts: 1})
	require.NoError(t, err)
	event := wait()
	require.Equal(t, river.EventKindJobFailed, event.Kind)
	require.Equal(t, (&scopes.TenantUnknownError{Slug: "gone"}).Error(), event.Job.Errors[0].Error)
}
