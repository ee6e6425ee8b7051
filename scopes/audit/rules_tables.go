package audit

// tableRules compare the tables with the models.
var tableRules = []Rule{
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
		Risk:  "row-level security does not exist there: only the scope keeps tenants apart",
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
		Risk:     "the scope's condition on the view's tenant column does not show which tenant a row belongs to",
		reads:    []part{columns, inheritance, foreignKeys, rewrites, grants, definitions},
		database: judgeSharedViews,
	},
	{
		ID: "requirement", Layer: LayerTables,
		Holds:    "the keys and triggers that the program requires exist",
		Risk:     "what they guarantee does not hold: values that must be unique may not be, changes may go unnoticed",
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
}
