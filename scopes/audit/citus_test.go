package audit_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"tenanted/migrations"
	"tenanted/models"
	"tenanted/scopes"
	"tenanted/scopes/audit"
	"tenanted/scopes/pgtest"
)

// onCitus are things done to a sound cluster. {run}, {db} and {shard} are the runtime role, the database, and a shard of tasks.
var onCitus = []struct {
	name, sql, undo string
	onNode          bool // done on the node of the shard, past the coordinator
	want            []string
}{
	{name: "nothing", sql: "select 1", undo: "select 1"},
	{name: "the setting is off", want: []string{"citus-propagation", "citus-nodes"},
		sql:  "alter role {run} in database {db} set citus.propagate_set_commands = 'none'",
		undo: "alter role {run} in database {db} set citus.propagate_set_commands = 'local'"},
	{name: "the setting is gone", want: []string{"citus-propagation", "citus-nodes"},
		sql:  "alter role {run} in database {db} reset citus.propagate_set_commands",
		undo: "alter role {run} in database {db} set citus.propagate_set_commands = 'local'"},
	{name: "the setting is gone on a node", onNode: true, want: []string{"citus-nodes"},
		sql:  "alter role {run} in database {db} reset citus.propagate_set_commands",
		undo: "alter role {run} in database {db} set citus.propagate_set_commands = 'local'"},
	{name: "a shard without row-level security", onNode: true, want: []string{"citus-shards"},
		sql: "alter table {shard} disable row level security", undo: "alter table {shard} enable row level security"},
	{name: "a shard with another policy", onNode: true, want: []string{"citus-shards"},
		sql:  "alter policy tenant on {shard} using (account_id > 0)",
		undo: "alter policy tenant on {shard} using (account_id = nullif(current_setting('app.tenant_id', true), '')::bigint)"},
	{name: "a shard with a grant", onNode: true, want: []string{"citus-shards"},
		sql: "grant truncate on {shard} to {run}", undo: "revoke truncate on {shard} from {run}"},
	// Each of these goes on with what the one before left. A table with an identity column could not be undistributed.
	{name: "a table of the coordinator's", want: []string{"citus-distributed"}, undo: "select 1",
		sql: `drop table subtasks; create table subtasks (account_id bigint not null, id bigint not null, task_id bigint not null, name text, complete boolean, details text);
			alter table subtasks enable row level security; grant select on subtasks to {run};
			create policy tenant on subtasks using (account_id = nullif(current_setting('app.tenant_id', true), '')::bigint)`},
	{name: "a table by another column", want: []string{"citus-distributed", "citus-colocated", "citus-single-shard"},
		sql: "select create_distributed_table('subtasks', 'task_id', colocate_with => 'none')", undo: "select undistribute_table('subtasks')"},
	{name: "a table elsewhere", want: []string{"citus-colocated"},
		sql: "select create_distributed_table('subtasks', 'account_id', colocate_with => 'none')", undo: "select 1"},
}

// The audit names what is wrong with a cluster.
func TestOnCitus(t *testing.T) {
	t.Parallel()
	db := pgtest.Citus(t, "", nil)
	runner := migrations.Runner{Owner: db.Config(pgtest.Owner), Runtime: pgtest.Runtime}
	for _, set := range []migrations.Set{migrations.Tenant, migrations.Shared} {
		require.NoError(t, runner.Up(t.Context(), migrations.Target{Set: set, Placement: scopes.Placement{Database: db.Name, Schema: "public"}}).Err)
	}
	owner := db.Connect(t, pgtest.Owner)
	node, shard := shardOf(t, owner, db.Config(pgtest.Owner))
	names := strings.NewReplacer("{run}", pgtest.Runtime, "{db}", pgx.Identifier{db.Name}.Sanitize(), "{shard}", shard)
	for _, c := range onCitus {
		conn := owner
		if c.onNode {
			conn = node
		}
		for statement := range strings.SplitSeq(c.sql, ";") {
			_, err := conn.Exec(t.Context(), names.Replace(statement))
			require.NoError(t, err, c.name)
		}
		config := audit.Config{Models: models.All(), Distributed: []string{"public"}}
		runtime, err := pgx.ConnectConfig(t.Context(), db.Config(pgtest.Runtime)) // a new one has the role's defaults
		require.NoError(t, err)
		report, err := audit.Run(t.Context(), runtime, config, "public")
		require.NoError(t, err, c.name)
		require.NoError(t, runtime.Close(t.Context()))
		var found []string
		for _, check := range report.Checks {
			if check.Layer == audit.LayerCitus && check.Status != audit.OK && !slices.Contains(found, check.ID) {
				found = append(found, check.ID)
			}
		}
		require.Equal(t, c.want, found, c.name)
		for statement := range strings.SplitSeq(c.undo, ";") {
			_, err := conn.Exec(t.Context(), names.Replace(statement))
			require.NoError(t, err, c.name)
		}
	}
}

// shardOf returns a shard of tasks, and a connection to its node on which it may be changed.
func shardOf(t *testing.T, owner *pgx.Conn, config *pgx.ConnConfig) (node *pgx.Conn, shard string) {
	var port int
	var host string
	require.NoError(t, owner.QueryRow(t.Context(), `
		select n.nodename, n.nodeport, 'tasks_' || s.shardid from pg_dist_shard s join pg_dist_placement p using (shardid) join pg_dist_node n using (groupid)
		where s.logicalrelid = 'tasks'::regclass and n.groupid <> 0 order by s.shardid limit 1`).Scan(&host, &port, &shard))
	config.Host, config.Port, config.Fallbacks = host, uint16(port), nil
	node, err := pgx.ConnectConfig(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(func() { _ = node.Close(context.Background()) })
	for _, setting := range []string{"citus.enable_ddl_propagation = off", "citus.enable_alter_role_set_propagation = off", "citus.enable_manual_changes_to_shards = on"} {
		_, err := node.Exec(t.Context(), fmt.Sprintf("set %s", setting))
		require.NoError(t, err)
	}
	return node, shard
}
