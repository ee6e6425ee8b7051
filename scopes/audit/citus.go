package audit

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"tenanted/scopes/citus"
)

// distribution is what Citus says of a table.
type distribution struct {
	OID        uint32
	Column     string // empty: it is not distributed by one
	Colocation int
	Local      int64 // bytes of rows that are still on the coordinator
}

// onNode is what a node answered.
type onNode struct {
	Node    string
	Shard   int64 // 0: of the node as a whole
	OK      bool
	Answer  string
	Expects string // what the coordinator says of the table; empty: not asked
}

// shards is what the nodes of a cluster say.
type shards struct {
	tables      map[uint32]distribution
	propagation []onNode
	relations   map[uint32][]onNode // of each table's shards, and of the table on each node
}

// relationText is SQL that describes all that isolates the rows of the relation whose name it is given for %s, in one text. It
// goes through format on the way to the nodes.
const relationText = `
	select 'row-level security ' || c.relrowsecurity || ' | forced ' || c.relforcerowsecurity || ' | owner ' || pg_get_userbyid(c.relowner)
		|| ' | policies ' || coalesce((select string_agg(p.polname || ' ' || p.polcmd::text || ' ' || p.polpermissive || ' '
			|| (select string_agg(case r when 0 then 'public' else pg_get_userbyid(r)::text end, ' ' order by r::text) from unnest(p.polroles) r)
			|| ' ' || coalesce(pg_get_expr(p.polqual, p.polrelid), '') || ' ' || coalesce(pg_get_expr(p.polwithcheck, p.polrelid), ''), '; ' order by p.polname)
			from pg_policy p where p.polrelid = c.oid), 'none')
		|| ' | grants ' || coalesce((select string_agg(distinct case a.grantee when 0 then 'public' else pg_get_userbyid(a.grantee)::text end
			|| ' ' || a.privilege_type || ' ' || a.is_grantable, '; ') from aclexplode(c.relacl) a where a.grantee <> c.relowner), 'none')
	from pg_class c where c.oid = to_regclass('%s')`

// readShards asks all nodes. A node that does not answer is one that was not checked.
func (s *state) readShards(ctx context.Context, tx pgx.Tx) error {
	found, err := s.readDistributions(ctx, tx)
	if err != nil {
		return err
	}
	s.shards = shards{tables: found, relations: map[uint32][]onNode{}}
	s.shards.propagation, err = onNodes(ctx, tx, "select current_setting('"+citus.Propagation+"')", "")
	for _, t := range s.tables {
		if err == nil && found[t.OID].Column != "" {
			s.shards.relations[t.OID], err = askShards(ctx, tx, t)
		}
	}
	if err != nil {
		return fmt.Errorf("ask the nodes: %w", err)
	}
	return nil
}

func (s *state) readDistributions(ctx context.Context, tx pgx.Tx) (map[uint32]distribution, error) {
	var oids []uint32
	for _, t := range s.tables {
		oids = append(oids, t.OID)
	}
	list, err := collect[distribution](ctx, tx, "distributed tables", `
		select logicalrelid::oid, case partmethod when 'h' then column_to_column_name(logicalrelid, partkey) else '' end, colocationid,
			pg_relation_size(logicalrelid)
		from pg_dist_partition where logicalrelid = any ($1::oid[])`, oids)
	found := map[uint32]distribution{}
	for _, d := range list {
		found[d.OID] = d
	}
	return found, err
}

// askShards asks for what isolates a table's rows: on the coordinator, on every node, and in every shard.
func askShards(ctx context.Context, tx pgx.Tx, t *table) ([]onNode, error) {
	own := strings.ReplaceAll(relationText, "%s", strings.ReplaceAll(t.sql(), "'", "''"))
	var expected string
	if err := tx.QueryRow(ctx, own).Scan(&expected); err != nil {
		return nil, err
	}
	all, err := onNodes(ctx, tx, own, expected)
	if err != nil {
		return nil, err
	}
	rows, _ := tx.Query(ctx, `
		select nodename || ':' || nodeport, shardid, success, coalesce(result, ''), $3::text
		from run_command_on_placements($1::oid::regclass, $2) order by shardid, 1`, t.OID, relationText, expected)
	placements, err := pgx.CollectRows(rows, pgx.RowToStructByPos[onNode])
	return append(all, placements...), err
}

// onNodes asks every node. One that does not know the table has nothing to say of it.
func onNodes(ctx context.Context, tx pgx.Tx, sql, expected string) ([]onNode, error) {
	rows, _ := tx.Query(ctx, `
		select n.nodename || ':' || n.nodeport, 0::bigint, r.success, coalesce(r.result, ''), $2::text
		from run_command_on_all_nodes($1, give_warning_for_connection_errors => false) r join pg_dist_node n using (nodeid) order by 1`, sql, expected)
	answers, err := pgx.CollectRows(rows, pgx.RowToStructByPos[onNode])
	return slices.DeleteFunc(answers, func(a onNode) bool { return a.OK && a.Answer == "" }), err
}

// propagateSQL makes the runtime role's SET LOCAL reach the workers.
func (s *state) propagateSQL() string { return citus.Propagate(s.cfg.Runtime, s.server.database) + ";" }

// judgePropagation looks at what this connection has, which other defaults, the server's configuration and its own options decide.
func judgePropagation(s *state) []finding {
	switch {
	case s.server.login != s.cfg.Runtime:
		return notChecked("this connection is not the runtime role's, and has other defaults")
	case s.server.propagation != "local":
		return []finding{{object: "connection of " + s.server.login, message: "starts with " + citus.Propagation + " = " + s.server.propagation, fix: s.propagateSQL()}}
	}
	return nil
}

func judgeNodes(s *state) (found []finding) {
	for _, n := range s.shards.propagation {
		switch {
		case !n.OK:
			found = append(found, finding{object: "node " + n.Node, status: NotChecked, message: "does not answer: " + firstLine(n.Answer)})
		case n.Answer != "local" && s.server.login == s.cfg.Runtime:
			found = append(found, finding{object: "node " + n.Node, message: "has " + citus.Propagation + " = " + n.Answer + " for role " + s.cfg.Runtime, fix: s.propagateSQL()})
		}
	}
	return found
}

func judgeDistributed(s *state, t *table) []finding {
	d, known := s.shards.tables[t.OID]
	switch {
	case !slices.Contains(s.cfg.Distributed, t.Schema):
		return nil
	case !known:
		return one("is not distributed", fmt.Sprintf("select create_distributed_table('%s', '%s'); -- or let migrate do it, with the tables it refers to", t.sql(), t.tenant))
	case d.Column != t.tenant:
		return one("is distributed by "+orNothing(d.Column)+" and not by "+t.tenant, "-- undistribute_table it and those it refers to, and let migrate distribute them")
	case d.Local > 0:
		return []finding{{status: Note, message: "the coordinator still has the rows of before it was distributed, which nobody sees and backups have",
			fix: fmt.Sprintf("select truncate_local_data_after_distributing_table('%s');", t.sql())}}
	}
	return nil
}

func orNothing(column string) string {
	if column == "" {
		return "no column"
	}
	return column
}

// judgeColocated compares with the first table of the placement, which migrate colocates the others with.
func judgeColocated(s *state, t *table) []finding {
	d, known := s.shards.tables[t.OID]
	if !known {
		return nil
	}
	for _, other := range s.tables {
		o, distributed := s.shards.tables[other.OID]
		if distributed && other.Schema == t.Schema && o.Colocation != d.Colocation {
			return one("a tenant's rows are on another node than those in "+other.String(),
				fmt.Sprintf("select update_distributed_table_colocation('%s', colocate_with => '%s');", t.sql(), other.sql()))
		}
	}
	return nil
}

func judgeShards(s *state, t *table) (found []finding) {
	away := map[string]bool{}
	for _, n := range s.shards.relations[t.OID] {
		object := fmt.Sprintf("%s on node %s", t.object(), n.Node)
		if n.Shard > 0 {
			object = fmt.Sprintf("shard %s_%d on node %s", t.String(), n.Shard, n.Node)
		}
		switch {
		case !n.OK && !away[n.Node]: // once for a node
			away[n.Node] = true
			found = append(found, finding{object: object, status: NotChecked, message: "does not answer: " + firstLine(n.Answer)})
		case n.OK && n.Answer != n.Expects:
			found = append(found, finding{object: object, message: difference(n.Expects, n.Answer),
				fix: "-- as the owner, on that node, with citus.enable_ddl_propagation off: what the coordinator has for " + t.String()})
		}
	}
	return found
}

// difference says in what two texts of relationText differ.
func difference(want, has string) string {
	wanted, found := strings.Split(want, " | "), strings.Split(has, " | ")
	for i := range min(len(wanted), len(found)) {
		if wanted[i] != found[i] {
			return fmt.Sprintf("has %q where the coordinator has %q", found[i], wanted[i])
		}
	}
	return "is another than the coordinator's"
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}

// judgeSingleShard looks at what EXPLAIN said of statements that have the tenant in their conditions.
func judgeSingleShard(s *state, t *table) []finding {
	p, known := s.plans[t.OID], s.shards.tables[t.OID].Column != ""
	switch {
	case !known:
		return nil
	case p.unseen != "":
		return notChecked(p.unseen)
	case p.scattered != "":
		return one(p.scattered, "-- distribute the tables by the tenant, colocated: see citus-distributed and citus-colocated")
	}
	return nil
}

// scattered explains reading a tenant's rows of a table, and those of what it refers to, and says which statement reaches more than
// one shard.
func (s *state) scattered(ctx context.Context, tx pgx.Tx, t *table, tenant string) (string, error) {
	statements := []string{fmt.Sprintf("select * from %s c where c.%s = '%s'", t.sql(), ident(t.tenant), tenant)}
	for _, key := range t.foreignKeys {
		parent := s.byOID[key.Parent]
		if parent == nil || parent.OID == t.OID {
			continue
		}
		var on []string
		for i, column := range key.Columns {
			on = append(on, fmt.Sprintf("p.%s = c.%s", ident(key.ParentColumns[i]), ident(column)))
		}
		statements = append(statements, fmt.Sprintf("select * from %s c join %s p on %s where c.%s = '%s'",
			t.sql(), parent.sql(), strings.Join(on, " and "), ident(t.tenant), tenant))
	}
	for _, sql := range statements {
		var explained []struct{ Plan node }
		if err := tx.QueryRow(ctx, "explain (format json) "+sql).Scan(&explained); err != nil {
			return "", err
		}
		if tasks := explained[0].Plan.tasks(); tasks > 1 {
			return fmt.Sprintf("%q reaches %d shards", sql, tasks), nil
		}
	}
	return "", nil
}

// job is how a node of a plan is executed by the workers.
type job struct {
	Job struct {
		Count int `json:"Task Count"`
		Tasks []struct {
			Remote [][]struct{ Plan node } `json:"Remote Plan"`
		}
	}
}

// tasks is how many shards a plan reaches.
func (n node) tasks() (count int) {
	if n.Distributed != nil {
		count = n.Distributed.Job.Count
	}
	for _, child := range n.Plans {
		count = max(count, child.tasks())
	}
	return count
}

// children are the parts of a plan, those on workers too.
func (n node) children() []node {
	list := slices.Clone(n.Plans)
	if n.Distributed == nil {
		return list
	}
	for _, task := range n.Distributed.Job.Tasks {
		for _, remote := range task.Remote {
			for _, plan := range remote {
				list = append(list, plan.Plan)
			}
		}
	}
	return list
}
