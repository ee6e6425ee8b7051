package audit

// tenantColumnRules are about the tenant column.
var tenantColumnRules = []Rule{
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
}

// keyRules are about foreign, primary and unique keys and indexes.
var keyRules = []Rule{
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
}

// defaultRules are about the tenant column's default, which helps programs that do not set the column yet: its fix comes last.
var defaultRules = []Rule{
	{
		ID: "tenant-column-default", Layer: LayerKeys,
		Holds: "the tenant column has no fixed default, not even if no tenant is set",
		Risk:  "a row that is written without a tenant silently becomes that tenant's",
		reads: []part{columns},
		table: judgeTenantDefault,
	},
}
