package talk

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// countByJoin counts projects whose account has a user with an address there, by a join.
func countByJoin(ctx context.Context, tx pgx.Tx) (n int64, err error) {
	const count = `SELECT count(*) FROM projects JOIN users ON users.account_id = projects.account_id WHERE users.email LIKE '%@tenant-0.example'`
	return n, tx.QueryRow(ctx, count).Scan(&n)
}

// countByExists asks the same, and joins nothing.
func countByExists(ctx context.Context, tx pgx.Tx) (n int64, err error) {
	const count = `SELECT count(*) FROM projects WHERE EXISTS (
		SELECT FROM users WHERE users.account_id = projects.account_id AND users.email LIKE '%@tenant-0.example')`
	return n, tx.QueryRow(ctx, count).Scan(&n)
}

var joinsCount = Experiment{
	Name: "join-and-count", Title: "Filter by a join, then count", code: []any{countByJoin, countByExists},
	Claim: "A filter that reaches the tenant through a join multiplies rows and changes every sum and count; a tenant’s column in the table itself needs no join.",
	run: func(ctx context.Context, t *trial) error {
		return t.asRole(ctx, t.lab.server.Owner, func(tx pgx.Tx) error {
			joined, err := countByJoin(ctx, tx)
			if err != nil {
				return err
			}
			exist, err := countByExists(ctx, tx)
			t.answer("by a join", "%d projects", joined)
			t.answer("by EXISTS", "%d projects, as many as there are", exist)
			t.expect(exist == 2 && joined == 6, "%d and %d", joined, exist)
			return err
		})
	},
}

// makeTables makes the same rows with the tenant's id in each and without.
func makeTables(ctx context.Context, tx pgx.Tx, rows int) error {
	_, err := tx.Exec(ctx, fmt.Sprintf(`
		CREATE TABLE lean (id bigint PRIMARY KEY, task_id bigint, name text);
		CREATE TABLE owned (account_id bigint, id bigint, task_id bigint, name text, PRIMARY KEY (account_id, id));
		INSERT INTO lean SELECT i, i / 10, 'Subtask ' || i FROM generate_series(1, %[1]d) i;
		INSERT INTO owned SELECT i %% 100, i, i / 10, 'Subtask ' || i FROM generate_series(1, %[1]d) i`, rows), pgx.QueryExecModeSimpleProtocol)
	return err
}

var tenantColumn = Experiment{
	Name: "tenant-column", Title: "What the tenant’s column costs", code: []any{makeTables},
	Claim: "A tenant’s id in every row of every table costs some of the disk, and buys filters without joins, keys that hold, and policies that use an index.",
	run: func(ctx context.Context, t *trial) error {
		return t.asRole(ctx, t.lab.server.Owner, func(tx pgx.Tx) error {
			const rows = 50_000
			if _, err := tx.Exec(ctx, "create schema scratch; set local search_path = scratch", pgx.QueryExecModeSimpleProtocol); err != nil {
				return err
			}
			if err := makeTables(ctx, tx, rows); err != nil {
				return err
			}
			var lean, owned int64
			if err := tx.QueryRow(ctx, "SELECT pg_total_relation_size('lean'), pg_total_relation_size('owned')").Scan(&lean, &owned); err != nil {
				return err
			}
			t.answer("without it", "%d bytes a row, with its index", lean/rows)
			t.answer("with it", "%d bytes a row: %.0f %% more", owned/rows, 100*float64(owned-lean)/float64(lean))
			t.expect(owned > lean && owned < 2*lean, "%d and %d bytes", lean, owned)
			return nil
		})
	},
}

// rowsToMove counts the rows that bear the tenant's id, all of which change if the tenant's id does.
func rowsToMove(ctx context.Context, tx pgx.Tx, tenant int64) (denormalised, normalised int64, err error) {
	const count = `SELECT
		(SELECT count(*) FROM users WHERE account_id = $1) + (SELECT count(*) FROM projects WHERE account_id = $1) +
		(SELECT count(*) FROM tasks WHERE account_id = $1) + (SELECT count(*) FROM subtasks WHERE account_id = $1),
		(SELECT count(*) FROM users WHERE account_id = $1) + (SELECT count(*) FROM projects WHERE account_id = $1)`
	return denormalised, normalised, tx.QueryRow(ctx, count, tenant).Scan(&denormalised, &normalised)
}

var moveTenant = Experiment{
	Name: "move-a-tenant", Title: "Merge one tenant into another", code: []any{rowsToMove},
	Claim: "Whose a row is stands in every row, so that merging two tenants rewrites all of them, where without the column the top of the tree would do.",
	run: func(ctx context.Context, t *trial) error {
		return t.asRole(ctx, t.lab.server.Owner, func(tx pgx.Tx) error {
			all, top, err := rowsToMove(ctx, tx, 5)
			t.answer("with the tenant in every table", "%d rows to change", all)
			t.answer("with the tenant in users and projects only", "%d rows to change", top)
			t.expect(all == 3+2+4+subtasksOf(5) && top == 5, "%d and %d rows", all, top)
			return err
		})
	},
}
