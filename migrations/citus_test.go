package migrations_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"tenanted/migrations"
	"tenanted/scopes/citus"
	"tenanted/scopes/pgtest"
)

// Tables with rows are distributed in place, what is distributed stays so, and later migrations reach the shards.
func TestMigrateOnCitus(t *testing.T) {
	t.Parallel()
	db := pgtest.Citus(t, "", nil)
	runner := migrations.Runner{Owner: db.Config(pgtest.Owner), Runtime: pgtest.Runtime}
	tenant, shared := target(db, migrations.Tenant, "public"), target(db, migrations.Shared, "public")
	up(t, runner, tenant)
	db.Exec(t, pgtest.Owner, "insert into accounts (id) select generate_series(1, 100)")
	db.Exec(t, pgtest.Owner, "insert into projects (account_id, name) select a, 'project ' || p from generate_series(1, 100) a, generate_series(1, 5) p")
	up(t, runner, shared)
	up(t, runner, shared)

	nodes, err := citus.NodesOf(t.Context(), db.Connect(t, pgtest.Owner), "public", "subtasks")
	require.NoError(t, err)
	require.NotEmpty(t, nodes)
	require.Equal(t, []string{"500"}, query(t, db, pgtest.Owner, "select count(*)::text from projects"))
	require.Equal(t, []string{"0"}, query(t, db, pgtest.Owner, "select sum(pg_relation_size(logicalrelid))::text from pg_dist_partition"), "the coordinator has no copy")
	require.Equal(t, []string{"local"}, query(t, db, pgtest.Runtime, "select current_setting('"+citus.Propagation+"')"))
	require.Equal(t, []string{"1"}, query(t, db, pgtest.Owner, "select count(distinct colocationid)::text from pg_dist_partition"))

	indexes := func() []string {
		return query(t, db, pgtest.Owner, `select distinct regexp_replace(result, '_\d+', '', 'g') from run_command_on_shards('subtasks',
			$$select string_agg(indexdef, ' ' order by indexname) from pg_indexes where tablename = '%s'$$)`)
	}
	newest := indexes()
	require.Len(t, newest, 1, "every shard has the same indexes")
	require.Contains(t, newest[0], "subtasks_words")
	for _, to := range []migrations.Target{shared, tenant} {
		require.NoError(t, runner.Down(t.Context(), to).Err)
	}
	require.NotEqual(t, newest, indexes())
	up(t, runner, tenant)
	up(t, runner, shared)
	require.Equal(t, newest, indexes())
	require.Equal(t, []string{"500"}, query(t, db, pgtest.Owner, "select count(*)::text from projects"))
}
