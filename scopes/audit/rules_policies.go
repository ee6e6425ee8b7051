package audit

// policyRules are about row-level security.
var policyRules = []Rule{
	{
		ID: "policy-missing", Layer: LayerRLS, Safe: true, startup: true,
		Holds: "a policy applies to the runtime role",
		Risk:  "without one no tenant sees any row, and a policy that is made too wide in haste shows all of them",
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
		Holds: "the policy is exactly the expected one",
		Risk:  "the policy lets through what it should not, or cannot use the index",
		table: judgePolicyDrift,
	},
	{
		ID: "policy-extra", Layer: LayerRLS, Safe: true, startup: true,
		Holds: "there is no second permissive policy",
		Risk:  "permissive policies are combined with OR: the widest one decides, and the index cannot be used",
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
		Holds: "no partition or child table can be read without the policy",
		Risk:  "a statement that names the partition is not subject to its parent's policy",
		reads: []part{inheritance, grants},
		table: judgePartitions,
	},
}

// planRules are about what the planner makes of a policy.
var planRules = []Rule{
	{
		ID: "plan-index", Layer: LayerPlan,
		Holds: "the policy alone yields an index condition",
		Risk:  "every statement of every tenant reads all tenants' rows to find its own",
		reads: []part{grants, plans},
		table: judgePlan,
	},
}
