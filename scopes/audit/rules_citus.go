package audit

// citusRules are about what a Citus cluster changes. They are judged where the database has the extension.
var citusRules = []Rule{
	{
		ID: "citus-propagation", Layer: LayerCitus, startup: true,
		Holds:    "the coordinator passes the runtime role's SET LOCAL on to the workers",
		Risk:     "the policies there see no tenant: every page is empty, and what is written is refused",
		database: judgePropagation,
	},
	{
		ID: "citus-nodes", Layer: LayerCitus,
		Holds:    "every node would pass the runtime role's SET LOCAL on",
		Risk:     "whoever connects to that node sees no rows",
		reads:    []part{onShards},
		database: judgeNodes,
	},
	{
		ID: "citus-distributed", Layer: LayerCitus,
		Holds: "the table is distributed by the tenant, where it is to be",
		Risk:  "it stays on the coordinator, and joins and foreign keys with the distributed ones fail or move rows",
		reads: []part{onShards},
		table: judgeDistributed,
	},
	{
		ID: "citus-colocated", Layer: LayerCitus,
		Holds: "a tenant's rows of all tables are on one node",
		Risk:  "joins and foreign keys fail, or rows are sent from node to node for each statement",
		reads: []part{onShards},
		table: judgeColocated,
	},
	{
		ID: "citus-shards", Layer: LayerCitus,
		Holds: "row-level security, policies and grants are on every node and shard what they are on the coordinator",
		Risk:  "whoever reaches a node reads or changes other tenants' rows there, or a tenant does not see its own",
		reads: []part{onShards},
		table: judgeShards,
	},
	{
		ID: "citus-single-shard", Layer: LayerCitus,
		Holds: "a statement with the tenant in its conditions reaches one shard",
		Risk:  "every statement waits for all nodes, and more nodes make none faster",
		reads: []part{foreignKeys, grants, plans, onShards},
		table: judgeSingleShard,
	},
}
