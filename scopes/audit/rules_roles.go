package audit

// roleRules are about what the runtime role is and owns.
var roleRules = []Rule{
	{
		ID: "runtime-missing", Layer: LayerRole, startup: true,
		Holds:    "the runtime role exists",
		Risk:     "the program connects as a role that nobody audited, or not at all",
		database: judgeRuntimeMissing,
	},
	{
		ID: "runtime-superuser", Layer: LayerRole, startup: true,
		Holds:    "the runtime role is not a superuser",
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
		Risk:     "injected SQL makes the role a member of the tables' owner (up to PostgreSQL 15, of any role that is not a superuser)",
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
		Risk:     "by inheritance or SET ROLE a statement bypasses every policy",
		database: judgeMember,
	},
	{
		ID: "runtime-reads-all", Layer: LayerRole, startup: true,
		Holds:    "the runtime role is a member of no role that reads or writes every table",
		Risk:     "the role can read whatever has no row-level security: the directory of tenants, copies, materialised views, future tables",
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
}

// sessionRules are about the defaults with which its sessions start.
var sessionRules = []Rule{
	{
		ID: "session-tenant", Layer: LayerSession, startup: true,
		Holds:    "no default sets a tenant",
		Risk:     "a statement without a tenant works as that tenant instead of seeing nothing",
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
		Holds:    "no further schema on the search_path has a table with the name of a tenanted model's",
		Risk:     "a statement of a tenant whose own table is missing, before its migrations or after a restore, lands there instead of failing",
		database: judgeFurther,
	},
}
