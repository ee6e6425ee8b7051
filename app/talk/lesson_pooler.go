package talk

import (
	"context"
	"database/sql"

	"tenanted/scopes"
	"tenanted/scopes/session"
)

// countAsBolt counts by the session layer.
func countAsBolt(bolt context.Context, db *sql.DB) (n int64, err error) {
	return n, db.QueryRowContext(bolt, `SELECT count(*) FROM "full".subtasks`).Scan(&n)
}

// countAsNobody is another program's, which tells no tenant.
func countAsNobody(ctx context.Context, db *sql.DB) (n int64, err error) {
	return n, db.QueryRowContext(ctx, `SELECT count(*) FROM "full".subtasks`).Scan(&n)
}

var behindPooler = Experiment{
	Name: "pgbouncer", Title: "Two programs behind PgBouncer", code: []any{countAsBolt, countAsNobody, setForTheSession},
	Claim: "Behind a pooler in transaction mode programs share a connection: what one sets for its session another one works with, and what the session layer sets is gone.",
	run: func(ctx context.Context, t *trial) error {
		through, err := t.pgBouncer(ctx)
		if err != nil {
			return err
		}
		ours := session.Open(t.recorder.Watch(through))
		t.cleanup(func() { _ = ours.Close() })
		byHand, other := t.driver(through), t.driver(through)
		t.begin()
		own, err := countAsBolt(scopes.WithTenant(ctx, in(t.lab.Tenants[1], fullSchema)), ours)
		if err != nil {
			return err
		}
		nothing, err := countAsNobody(ctx, other)
		if err != nil {
			return err
		}
		if err := setForTheSession(ctx, byHand, "2"); err != nil {
			return err
		}
		leaked, err := countAsNobody(ctx, other)
		t.end()
		t.answer("Bolt, by the session layer", "%d rows", own)
		t.answer("then nobody, in another program", "%d rows", nothing)
		t.answer("after Bolt has set the session by hand", "nobody sees %d rows of Bolt’s", leaked)
		t.expect(own == subtasksOf(2) && nothing == 0 && leaked == subtasksOf(2), "%d, %d and %d rows", own, nothing, leaked)
		t.stopped(Session, "nothing is left on the connection")
		return err
	},
}
