package audit

import "slices"

// Layer is what a rule belongs to.
type Layer string

// The layers, in the order of a report.
const (
	LayerRole    Layer = "runtime role"
	LayerSession Layer = "session defaults"
	LayerGrants  Layer = "grants"
	LayerTables  Layer = "tables and models"
	LayerRLS     Layer = "row-level security"
	LayerKeys    Layer = "keys"
	LayerPlan    Layer = "query plan"
	LayerBypass  Layer = "ways around"
	LayerCitus   Layer = "Citus" // judged where the database has the extension
)

// Rule is a condition that must hold, with what it reads from the catalogs and how it is judged.
type Rule struct {
	ID    string // stable, such as "policy-drift"
	Layer Layer  // what it belongs to
	Holds string // what is true if the rule holds
	Risk  string // what could happen if it does not
	// Safe says that the SQL that fixes it can be applied without review: it only removes what no correct program needs,
	// does not depend on the rows, and holds its locks only briefly. New keys and indexes, ownership, roles and views do not
	// qualify: they fail on existing rows, lock for a long time, or break another program.
	Safe bool

	startup  bool                           // whether [Startup] judges it
	reads    []part                         // what it needs in addition to roles and relations
	database func(*state) []finding         // judged once; a finding may still be about one placement
	table    func(*state, *table) []finding // or judged for each tenanted table in each placement
}

// Rules returns every rule of an audit, in the order of a report.
func Rules() []Rule { return slices.Clone(catalogue) }

func startupRules() []Rule {
	return slices.DeleteFunc(Rules(), func(r Rule) bool { return !r.startup })
}

// catalogue is the table of rules. A fix may need those before it: a foreign key is led to the new key before the old one
// goes, a policy is there before it is in force, and a default that helps programs of before goes last.
var catalogue = []Rule{
	{
		ID: "runtime-missing", Layer: LayerRole, startup: true,
		Holds:    "the runtime role exists",
		Risk:     "the program connects as a role that nobody audited, or not at all",
		database: judgeRuntimeMissing,
	},
	{
		ID: "runtime-superuser", Layer: LayerRole, startup: true,
		Holds:    "the runtime role is no superuser",
		Risk:     "row-level security does not apply to a superuser: one statement that the scope missed reads and changes every tenant's rows",
		database: attribute("superuser", func(r *role) bool { return r.Superuser }),
	},
	{
		ID: "runtime-bypassrls", Layer: LayerRole, startup: true,
		Holds:    "the runtime role has no BYPASSRLS",
		Risk:     "no policy applies to the role: one statement that the scope missed reads and changes every tenant's rows",
		database: attribute("bypassrls", func(r *role) bool { return r.BypassRLS }),
	},
	{
		ID: "runtime-createrole", Layer: LayerRole, startup: true,
		Holds:    "the runtime role cannot create roles",
		Risk:     "injected SQL makes the role a member of the tables' owner (any role that is no superuser, up to PostgreSQL 15), or a role that is",
		database: attribute("createrole", func(r *role) bool { return r.CreateRole }),
	},
	{
		ID: "runtime-replication", Layer: LayerRole, startup: true,
		Holds:    "the runtime role cannot replicate",
		Risk:     "whoever has the role's password copies the whole cluster, every tenant's rows included",
		database: attribute("replication", func(r *role) bool { return r.Replication }),
	},
	{
		ID: "runtime-createdb", Layer: LayerRole,
		Holds:    "the runtime role cannot create databases",
		Risk:     "injected SQL fills the server with databases that the role owns, in which no layer is in force",
		database: attribute("createdb", func(r *role) bool { return r.CreateDB }),
	},
	{
		ID: "runtime-member", Layer: LayerRole, startup: true,
		Holds:    "the runtime role is a member of no role that row-level security does not bind",
		Risk:     "by inheritance or SET ROLE a statement gets round every policy",
		database: judgeMember,
	},
	{
		ID: "runtime-reads-all", Layer: LayerRole, startup: true,
		Holds:    "the runtime role is a member of no role that reads or writes every table",
		Risk:     "whatever has no row-level security is open to the role: the directory of tenants, copies, materialised views, tables to come",
		database: judgeReadsAll,
	},
	{
		ID: "runtime-owner", Layer: LayerRole, startup: true,
		Holds:    "the runtime role owns no tenanted table, nor its schema or database",
		Risk:     "policies do not apply to a table's owner, and the owner may drop them",
		database: judgeOwner,
	},
	{
		ID: "runtime-owns", Layer: LayerRole,
		Holds:    "the runtime role owns nothing in the database",
		Risk:     "injected SQL changes or drops the object, and with it what other tenants' statements do",
		reads:    []part{owned},
		database: judgeOwned,
	},

	{
		ID: "session-tenant", Layer: LayerSession, startup: true,
		Holds:    "no default sets a tenant",
		Risk:     "a statement that comes without a tenant works as that tenant instead of seeing nothing",
		reads:    []part{settings},
		database: judgeSessionTenant,
	},
	{
		ID: "session-row-security", Layer: LayerSession,
		Holds:    "row_security is on by default",
		Risk:     "every statement on a tenanted table fails with an error instead of being filtered",
		reads:    []part{settings},
		database: judgeRowSecurity,
	},
	{
		ID: "session-role", Layer: LayerSession,
		Holds:    "no default changes the role after login",
		Risk:     "the program works as another role than the one that was audited",
		reads:    []part{settings},
		database: judgeSessionRole,
	},
	{
		ID: "session-replication", Layer: LayerSession,
		Holds:    "foreign keys are enforced for the runtime role",
		Risk:     "in replica mode neither foreign keys nor triggers fire: a child can point at another tenant's parent",
		reads:    []part{settings},
		database: judgeReplicationRole,
	},
	{
		ID: "session-search-path", Layer: LayerSession,
		Holds:    "the default search_path leads to no other placement",
		Risk:     "a statement that misses its placement lands in another tenant's tables instead of failing",
		reads:    []part{settings},
		database: judgeSearchPath,
	},
	{
		ID: "session-further", Layer: LayerSession,
		Holds:    "no further schema on the search_path has a table that is called like a tenanted model's",
		Risk:     "a statement of a tenant whose own table is missing, before its migrations or after a restore, lands there instead of failing",
		database: judgeFurther,
	},

	{
		ID: "grant-missing", Layer: LayerGrants,
		Holds: "the runtime role may read the table and use its sequences",
		Risk:  "the program fails with a permission error",
		reads: []part{columns, grants},
		table: judgeGrantMissing,
	},
	{
		ID: "grant-excess", Layer: LayerGrants, Safe: true,
		Holds: "the runtime role has no TRUNCATE, REFERENCES or TRIGGER",
		Risk:  "TRUNCATE empties the table for every tenant, REFERENCES tells whether another tenant's row exists, TRIGGER runs code in other tenants' statements: none of them is subject to row-level security",
		reads: []part{inheritance, grants},
		table: judgeExcess,
	},
	{
		ID: "grant-option", Layer: LayerGrants,
		Holds: "the runtime role cannot pass its rights on",
		Risk:  "injected SQL opens the table to other roles",
		reads: []part{inheritance, grants},
		table: judgeGrantOption,
	},
	{
		ID: "grant-public", Layer: LayerGrants,
		Holds: "nothing is granted to PUBLIC",
		Risk:  "every role of the server, those made for other programs too, can reach the rows",
		reads: []part{inheritance, grants},
		table: judgePublic,
	},
	{
		ID: "grant-sequence", Layer: LayerGrants,
		Holds: "the runtime role cannot set the table's sequences",
		Risk:  "one tenant sets the counter back, and every tenant's inserts fail on keys that exist",
		reads: []part{grants},
		table: judgeSequences,
	},
	{
		ID: "grant-private", Layer: LayerGrants, Safe: true,
		Holds:    "the runtime role has no right on private tables",
		Risk:     "injected SQL reads or changes what concerns all tenants, as the list of who they are",
		reads:    []part{grants},
		database: judgePrivate,
	},
	{
		ID: "grant-shared", Layer: LayerGrants, Safe: true,
		Holds:    "the runtime role cannot write what is everybody's, nor the tables of read-only models",
		Risk:     "one tenant changes what all of them see",
		reads:    []part{columns, inheritance, foreignKeys, rewrites, grants, definitions},
		database: judgeWritable,
	},
	{
		ID: "grant-create", Layer: LayerGrants, Safe: true,
		Holds:    "the runtime role cannot create objects in a schema",
		Risk:     "injected SQL leaves a table, function or operator behind that later statements of other tenants meet first",
		reads:    []part{grants},
		database: judgeCreate(false),
	},
	{
		ID: "grant-create-public", Layer: LayerGrants,
		Holds:    "PUBLIC cannot create objects in a schema",
		Risk:     "any role leaves a table, function or operator behind that later statements of any tenant meet first",
		reads:    []part{grants},
		database: judgeCreate(true),
	},
	{
		ID: "grant-database", Layer: LayerGrants,
		Holds:    "the runtime role cannot create schemas",
		Risk:     "injected SQL makes a schema of its own, with tables in which no layer is in force",
		reads:    []part{grants},
		database: judgeCreateSchema,
	},
	{
		ID: "grant-temporary", Layer: LayerGrants,
		Holds:    "the runtime role cannot create temporary tables",
		Risk:     "a temporary table named as a tenanted one hides it from the next users of the pooled connection, whichever tenant they work for, unless pg_temp comes last in search_path",
		reads:    []part{grants},
		database: judgeTemporary,
	},
	{
		ID: "grant-other-role", Layer: LayerGrants,
		Holds:    "no role but the runtime role and the owner has rights on tenanted or private tables",
		Risk:     "whoever still has the password of an earlier runtime role works on with it; a role that owns or bypasses nothing is bound by the policies, and chooses its tenant itself",
		reads:    []part{grants, otherGrants},
		database: judgeOtherGrants,
	},
	{
		ID: "grant-parameter", Layer: LayerGrants,
		Holds:    "the runtime role may set no parameter that is reserved to superusers",
		Risk:     "session_replication_role and its like switch keys and triggers off",
		reads:    []part{grants},
		database: judgeParameters,
	},
	{
		ID: "grant-default", Layer: LayerGrants,
		Holds:    "default privileges give the runtime role no more than rows, and PUBLIC nothing",
		Risk:     "each table to come is born with the grant",
		reads:    []part{grants},
		database: judgeDefaults,
	},

	{
		ID: "schema-missing", Layer: LayerTables, startup: true,
		Holds:    "the placement's schema exists",
		Risk:     "the tenant cannot be served",
		database: judgeSchemas,
	},
	{
		ID: "table-missing", Layer: LayerTables, startup: true,
		Holds:    "the model's table exists",
		Risk:     "statements on the model fail",
		database: judgeTables,
	},
	{
		ID: "table-kind", Layer: LayerTables, startup: true,
		Holds: "the tenanted model has a table, or a view of own and shared rows if it embeds scopes.ReadOnly",
		Risk:  "row-level security does not exist there: the scope alone keeps tenants apart",
		table: judgeKind,
	},
	{
		ID: "table-owner", Layer: LayerTables,
		Holds: "the table belongs to the owner of the others",
		Risk:  "another role may drop its policy, and reads every tenant's rows",
		table: judgeTableOwner,
	},
	{
		ID: "shared-view", Layer: LayerTables,
		Holds:    "the views of own and shared rows join the tenant's tables and everybody's, and nothing else",
		Risk:     "the scope's condition on the view's tenant column does not tell whose a row is",
		reads:    []part{columns, inheritance, foreignKeys, rewrites, grants, definitions},
		database: judgeSharedViews,
	},
	{
		ID: "requirement", Layer: LayerTables,
		Holds:    "the keys and triggers that the program requires exist",
		Risk:     "what they guarantee is not so: values that must be unique are not, changes go unnoticed",
		reads:    []part{indexes, triggers},
		database: judgeRequirements,
	},
	{
		ID: "column-missing", Layer: LayerTables,
		Holds:    "the table has the model's columns",
		Risk:     "statements on the model fail",
		reads:    []part{columns},
		database: judgeColumns,
	},
	{
		ID: "model-ambiguous", Layer: LayerTables, startup: true,
		Holds: "the model has one tenant column",
		Risk:  "a row belongs to two tenants: which one sees it is not defined",
		table: judgeAmbiguous,
	},
	{
		ID: "model-untenanted", Layer: LayerTables,
		Holds:    "every model of a table with a tenant column is tenanted",
		Risk:     "the scope does not confine the model: its queries show every row that the database lets through",
		reads:    []part{columns, inheritance, foreignKeys},
		database: judgeUntenanted,
	},
	{
		ID: "unknown-table", Layer: LayerTables,
		Holds:    "every table with a tenant column has a model",
		Risk:     "no scope confines statements on it, and nobody checks its policy and keys",
		reads:    []part{columns, inheritance, foreignKeys},
		database: judgeUnknown,
	},

	{
		ID: "tenant-column-type", Layer: LayerKeys,
		Holds: "the tenant column exists and is of a type for the tenant's ids",
		Risk:  "the policy cannot compare it with the tenant, or cannot use the index",
		reads: []part{columns},
		table: judgeTenantType,
	},
	{
		ID: "tenant-column-null", Layer: LayerKeys,
		Holds: "the tenant column is NOT NULL",
		Risk:  "a row without a tenant escapes the foreign keys, and no tenant ever sees it again",
		reads: []part{columns},
		table: judgeTenantNull,
	},

	{
		ID: "fk-tenant", Layer: LayerKeys,
		Holds: "every foreign key to a tenanted table contains the tenant on both sides",
		Risk:  "a child points at another tenant's parent: foreign keys are not subject to row-level security",
		reads: []part{columns, indexes, foreignKeys},
		table: judgeForeignKeys,
	},
	{
		ID: "fk-action", Layer: LayerKeys,
		Holds: "no foreign key cascades",
		Risk:  "one delete or update changes rows beyond its own, past row-level security and every hook of the program",
		reads: []part{columns, indexes, foreignKeys},
		table: judgeActions,
	},
	{
		ID: "fk-missing", Layer: LayerKeys,
		Holds: "every relation of the models has a foreign key",
		Risk:  "nothing stops a child from pointing at another tenant's parent",
		reads: []part{columns, indexes, foreignKeys},
		table: judgeRelations,
	},
	{
		ID: "fk-unenforced", Layer: LayerKeys,
		Holds: "the foreign keys are validated and enforced",
		Risk:  "there may be children that point at another tenant's parent",
		reads: []part{foreignKeys},
		table: judgeEnforced,
	},
	{
		ID: "pk-tenant", Layer: LayerKeys,
		Holds: "the primary key begins with the tenant column",
		Risk:  "no composite foreign key can point here, and a key that exists tells that another tenant has it",
		reads: []part{columns, indexes, foreignKeys},
		table: judgePrimaryKey,
	},
	{
		ID: "unique-tenant", Layer: LayerKeys,
		Holds: "every unique key contains the tenant column",
		Risk:  "a value that is refused as a duplicate tells one tenant what another one has",
		reads: []part{inheritance, indexes, grants},
		table: judgeUnique,
	},
	{
		ID: "index-tenant", Layer: LayerKeys,
		Holds: "an index begins with the tenant column",
		Risk:  "every statement of every tenant reads all tenants' rows to find its own",
		reads: []part{columns, indexes},
		table: judgeIndex,
	},

	{
		ID: "policy-missing", Layer: LayerRLS, Safe: true, startup: true,
		Holds: "a policy applies to the runtime role",
		Risk:  "without one no tenant sees any row, and the hasty remedy, a wider policy, opens all of them",
		table: judgePolicyMissing,
	},
	{
		ID: "rls-disabled", Layer: LayerRLS, Safe: true, startup: true,
		Holds: "row-level security is enabled",
		Risk:  "raw or injected SQL, psql and other programs see and change every tenant's rows",
		table: judgeRLS,
	},
	{
		ID: "policy-drift", Layer: LayerRLS, Safe: true, startup: true,
		Holds: "the policy is the expected one to the letter",
		Risk:  "the policy lets through what it should not, or cannot use the index",
		table: judgePolicyDrift,
	},
	{
		ID: "policy-extra", Layer: LayerRLS, Safe: true, startup: true,
		Holds: "there is no second permissive policy",
		Risk:  "permissive policies are joined by OR: the widest one decides, and the index is of no use",
		table: judgePolicyExtra,
	},
	{
		ID: "policy-other", Layer: LayerRLS,
		Holds: "no policy does anything else",
		Risk:  "a restrictive policy hides rows of the tenant's own; a policy for another role shows that role more",
		table: judgePolicyOther,
	},
	{
		ID: "rls-forced", Layer: LayerRLS,
		Holds: "the owner is not bound by the policy",
		Risk:  "pg_dump, COPY and the cross-tenant view of the owner see no rows: a backup that looks whole is empty",
		table: judgeForced,
	},
	{
		ID: "partition-open", Layer: LayerRLS, Safe: true,
		Holds: "no partition or child table can be reached past the policy",
		Risk:  "a statement that names the partition is not subject to its parent's policy",
		reads: []part{inheritance, grants},
		table: judgePartitions,
	},

	{
		ID: "tenant-column-default", Layer: LayerKeys,
		Holds: "the tenant column has no fixed default, nor one for want of a tenant",
		Risk:  "a row that is written without a tenant silently becomes that tenant's",
		reads: []part{columns},
		table: judgeTenantDefault,
	},

	{
		ID: "plan-index", Layer: LayerPlan,
		Holds: "the policy alone yields an index condition",
		Risk:  "every statement of every tenant reads all tenants' rows to find its own",
		reads: []part{grants, plans},
		table: judgePlan,
	},

	{
		ID: "view-definer", Layer: LayerBypass,
		Holds:    "every view over tenanted tables is security_invoker",
		Risk:     "the view reads with its owner's rights: whoever may read it sees every tenant's rows",
		reads:    []part{inheritance, grants, rewrites},
		database: judgeViews,
	},
	{
		ID: "matview", Layer: LayerBypass,
		Holds:    "there is no materialised view over tenanted tables",
		Risk:     "it holds a copy of every tenant's rows, and row-level security does not exist for it",
		reads:    []part{inheritance, grants, rewrites},
		database: judgeMaterialised,
	},
	{
		ID: "rewrite-rule", Layer: LayerBypass,
		Holds:    "no rewrite rule touches tenanted tables",
		Risk:     "what a rule adds runs with the table owner's rights, past row-level security",
		reads:    []part{inheritance, rewrites},
		database: judgeRules,
	},
	{
		ID: "foreign-table", Layer: LayerBypass,
		Holds:    "there is no foreign table over tenanted rows",
		Risk:     "it reads through another connection with another role's rights, and row-level security does not exist for it",
		reads:    []part{columns, inheritance, foreignKeys, grants},
		database: judgeForeign,
	},
	{
		ID: "inheritance-parent", Layer: LayerBypass,
		Holds: "no tenanted table is the child of another table",
		Risk:  "a statement on the parent reads the tenanted rows without their policy",
		reads: []part{inheritance},
		table: judgeParents,
	},
	{
		ID: "function-definer", Layer: LayerBypass,
		Holds:    "no SECURITY DEFINER function that the runtime role may call reaches tenanted tables past row-level security",
		Risk:     "whoever calls it works with its owner's rights, past every policy",
		reads:    []part{inheritance, rewrites, functions},
		database: judgeDefiners,
	},
	{
		ID: "trigger-definer", Layer: LayerBypass,
		Holds:    "no trigger runs a SECURITY DEFINER function that reaches tenanted tables past row-level security",
		Risk:     "one tenant's write makes it work with its owner's rights on every tenant's rows",
		reads:    []part{inheritance, rewrites, functions},
		database: judgeTriggers,
	},
	{
		ID: "function-tenant", Layer: LayerBypass,
		Holds:    "no function brings a tenant of its own",
		Risk:     "whoever calls it works as that tenant",
		reads:    []part{functions},
		database: judgeFunctionTenant,
	},
	{
		ID: "function-leakproof", Layer: LayerBypass,
		Holds:    "no function of the program's is marked LEAKPROOF",
		Risk:     "PostgreSQL may call it before the policy: one that tells its arguments, by an error say, shows other tenants' values",
		reads:    []part{functions},
		database: judgeLeakproof,
	},
	{
		ID: "publication", Layer: LayerBypass,
		Holds:    "no publication sends tenanted tables elsewhere",
		Risk:     "subscribers get every tenant's rows; row-level security must be in force there too",
		reads:    []part{inheritance, publications},
		database: judgePublications,
	},

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
