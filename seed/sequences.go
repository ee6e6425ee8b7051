package seed

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// reach is the largest id that any account of some options can have in a table.
type reach struct {
	Table string
	ID    int64
}

func (o Options) reaches() []reach {
	projects := int64(o.Projects.Max)
	tasks := projects * int64(o.Tasks.Max)
	return []reach{
		{"users", int64(o.Users.Max)},
		{"projects", projects},
		{"tasks", tasks},
		{"subtasks", tasks * int64(o.Subtasks.Max)},
	}
}

// raiseSequences raises each table's identity sequence to the table's reach, so that the ids which the
// application gets from it lie beyond those of seeded rows. It never lowers one. When nothing needs raising,
// as for all accounts of a placement but the first, it costs one query.
func raiseSequences(ctx context.Context, begin Begin, o Options) error {
	var behind []reach
	err := begin(ctx, func(tx pgx.Tx) (err error) {
		behind, err = reachesAhead(ctx, tx, o.reaches()...)
		return err
	})
	if err != nil {
		return fmt.Errorf("look at the identity sequences: %w", err)
	}
	for _, r := range behind {
		if err := begin(ctx, func(tx pgx.Tx) error { return raiseSequence(ctx, tx, r) }); err != nil {
			return fmt.Errorf("raise the identity sequence of %s to %d: %w", r.Table, r.ID, err)
		}
	}
	return nil
}

// reachesAhead returns those of the reaches that are ahead of what the table's sequence has given so far.
// (pg_get_serial_sequence, which would find the sequences' names, takes ten times as long as the rest.)
func reachesAhead(ctx context.Context, tx pgx.Tx, all ...reach) ([]reach, error) {
	const ahead = `
		with sequence (name, last_value, is_called) as (
			select 'users', last_value, is_called from users_id_seq union all
			select 'projects', last_value, is_called from projects_id_seq union all
			select 'tasks', last_value, is_called from tasks_id_seq union all
			select 'subtasks', last_value, is_called from subtasks_id_seq
		)
		select name, id from unnest($1::text[], $2::bigint[]) as reach (name, id) join sequence using (name)
		where id > last_value - (not is_called)::int`
	var names []string
	var ids []int64
	for _, r := range all {
		names = append(names, r.Table)
		ids = append(ids, r.ID)
	}
	rows, err := tx.Query(ctx, ahead, names, ids)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[reach])
}

// raiseSequence looks twice more. First under a lock among seeders: if another one raised the sequence
// meanwhile, it may be loading an account by now, and its transaction would keep us waiting for the table.
// Then under a lock that keeps out inserts: one between the look and setval could take the sequence past
// the reach, and setval would set it back.
func raiseSequence(ctx context.Context, tx pgx.Tx, r reach) error {
	const lockSeeders = `select pg_advisory_xact_lock(hashtext('tenanted seed'), $1::text::regclass::oid::int)`
	if _, err := tx.Exec(ctx, lockSeeders, r.Table); err != nil {
		return err
	}
	if behind, err := reachesAhead(ctx, tx, r); err != nil || len(behind) == 0 {
		return err
	}
	// With a time limit, for while we wait for a long transaction's end, inserts wait for us.
	lockInserts := "set local lock_timeout = '10s'; lock table " + r.Table + " in share row exclusive mode"
	if _, err := tx.Exec(ctx, lockInserts); err != nil {
		return err
	}
	if behind, err := reachesAhead(ctx, tx, r); err != nil || len(behind) == 0 {
		return err
	}
	_, err := tx.Exec(ctx, `select setval($1::text::regclass, $2)`, r.Table+"_id_seq", r.ID)
	return err
}
