// Package river shows River's jobs: a job works for the tenant that it was inserted for, and is inserted in the same
// transaction as the rows that it is about.
//
// River has a plain pool for its own tables, which belong to no tenant: whoever may write to them chooses the tenant that a job
// works for. Put into a job's arguments what identifies rows, and read the rows as the tenant: the workers have a
// session.Pool. Where tenants have schemas of their own, say in river.Config.Schema where River's tables are.
package river

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivertype"

	"tenanted/scopes/session"
	"tenanted/scopes/tenanthttp"
)

// newClient returns a client that inserts jobs and, once started, works them.
func newClient(own *pgxpool.Pool, tenants *session.Pool, directory tenanthttp.Directory) (*river.Client[pgx.Tx], error) {
	workers := river.NewWorkers()
	river.AddWorker(workers, &countWorker{tenants: tenants})
	return river.NewClient(riverpgxv5.New(own), &river.Config{
		Middleware: []rivertype.Middleware{&tenantOf{directory: directory}},
		Queues:     map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: 10}},
		Workers:    workers,
	})
}

// countArgs are the arguments of the job that counts a tenant's notes. The tenant is none of them.
type countArgs struct{}

// Kind implements river.JobArgs.
func (countArgs) Kind() string { return "count" }

// countWorker writes down how many notes the tenant has.
type countWorker struct {
	river.WorkerDefaults[countArgs]
	tenants *session.Pool
}

// Work implements river.Worker.
func (w *countWorker) Work(ctx context.Context, _ *river.Job[countArgs]) error {
	_, err := w.tenants.Exec(ctx, "insert into notes (text) select 'notes: ' || count(*) from notes")
	return err
}

// add adds a note and has the notes counted: both or neither.
func add(ctx context.Context, tenants *session.Pool, jobs *river.Client[pgx.Tx], text string) error {
	return pgx.BeginFunc(ctx, tenants, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "insert into notes (text) values ($1)", text); err != nil {
			return err
		}
		_, err := jobs.InsertTx(ctx, tx, countArgs{}, nil)
		return err
	})
}
