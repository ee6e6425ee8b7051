package audit

// bypassRules are about ways to tenanted rows past the policies.
var bypassRules = []Rule{
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
		Risk:     "PostgreSQL may call it before the policy: if it reveals its arguments, for example in an error, it shows other tenants' values",
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
}
