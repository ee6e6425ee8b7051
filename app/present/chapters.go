package present

// Chapter is a slide of the talk, with the experiments below it.
type Chapter struct {
	Name, Title string
	Points      []string // texts; what is between backquotes is code
	Notes       []string // for the speaker
	Seconds     int      // that it is planned to take, without the experiments that one leaves out
	Experiments []string // by name
	picture     *picture
	matrix      bool
	figures     bool
}

// Chapters returns the talk, in order.
func Chapters() []Chapter {
	return []Chapter{
		{Name: "start", Title: "Many tenants, one program", Seconds: 60, picture: picWay,
			Points: []string{
				"How can one be sure that a mistake of one developer shows nobody the data of others?",
				"Each claim on these slides is an experiment that runs on this machine, on a real PostgreSQL, with the code of this project. Press its button.",
				"Go right for the talk, down for the experiments. `Esc` shows all slides, `s` the speaker’s notes, `?` the other keys.",
			},
			Notes: []string{"Say what everybody gets: three strategies, four layers, and a way to check each sentence.",
				"Run nothing yet. Point at the picture: these are the layers that we shall switch off one by one."}},
		{Name: "tenant", Title: "What is a tenant?", Seconds: 90, picture: picTenant,
			Points: []string{
				"A tenant is whoever’s data must stay apart from others’: most often an account, a company, a school.",
				"It is not always a user. People work in one account together, and one person may have several.",
				"Apart is meant logically. Where rows lie, on one disk or on ten servers, is a second question: the strategy.",
			},
			Notes: []string{"Ask the room what a tenant is in their product. Somebody always says “the user”.",
				"Our example: accounts have projects, these have tasks, these have subtasks. Acme attacks, Bolt is attacked."}},
		{Name: "many-programs", Title: "A program and a database for each", Seconds: 90, picture: picManyApps,
			Points: []string{
				"The code knows of no tenants. Data and load are apart, and what a tenant costs is on a bill of its own.",
				"Every release, every backup and every upgrade is done once for each tenant.",
				"No query goes over all of them: even “how many are there?” is a script.",
				"Fits a few large tenants, or a customer with rules of their own for where data lies.",
			},
			Notes: []string{"This is the honest zero: for five customers it may be all that one needs.", "There is no code to show, which is the point."}},
		{Name: "databases", Title: "One program, a database for each", Seconds: 180, picture: picDatabases,
			Experiments: []string{"own-place", "two-databases", "fleet"},
			Points: []string{
				"The host name says who is asked for, and the program takes a connection to that tenant’s database.",
				"A connection is to one database, and a transaction is of one connection: none spans two tenants.",
				"Migrations run once for each. On the way, old and new tables are served by the same code; and what if number 1,500 of 3,000 fails?",
				"With more tenants in turn than connections each page opens one. The figures are at the end.",
			},
			Notes: []string{"Run “Migrate 20 databases”: the failure names its database, and the second run does only that one.",
				"So migrations add first and take away in a later release: at any time both versions of the tables are out there."}},
		{Name: "schemas", Title: "One database, a schema for each", Seconds: 180, picture: picSchemas,
			Experiments: []string{"locks", "next-door"},
			Points: []string{
				"A schema is a namespace: `search_path` says where `subtasks` is. Transactions work over all of them.",
				"Every table and index of every tenant is in the catalog. One transaction over all of them holds more locks than the server has room for, and `pg_dump` is such a transaction.",
				"A pooler that hands connections round must set the path for each transaction, or requests interleave.",
				"A question over all tenants is a union as long as the list of tenants.",
			},
			Notes: []string{"Run “100 schemas in one transaction”, and say how many locks a server has room for. With some hundred more it ends: out of shared memory.",
				"A path is a default and no wall: “Name the schema next door” shows what the wall is."}},
		{Name: "shared", Title: "One database, shared tables", Seconds: 120, picture: picShared,
			Experiments: []string{"count-all"},
			Points: []string{
				"The most common of all. Any number of tenants, one migration, one backup, and questions over all of them are easy.",
				"Too easy: each query must say whose rows it means, and one that does not shows everybody’s.",
				"Three techniques, which can be taken up one after the other: a filter that is always there, the tenant’s id in every table, and row-level security.",
			},
			Notes: []string{"From here on everything is about this one strategy, but the layers hold in the other two as well.",
				"Run “Count over all tenants”: the same number three times, and three prices."}},
		{Name: "scope", Title: "A filter on every statement", Seconds: 240, picture: picScope,
			Experiments: []string{"forget-the-tenant", "read-by-key", "or-reaches-around", "delete-where-true", "create-for-another", "change-the-tenant"},
			Points: []string{
				"A manager, or here a plugin of the ORM, adds the tenant to each query, count, join, update and delete on a model.",
				"The tenant comes from the request’s context, set once by middleware; not from a global, which a second goroutine would share.",
				"New rows get the tenant, and a row never changes it.",
				"Hand-written filters fail by being forgotten. What is not written cannot be forgotten.",
			},
			Notes: []string{"Run “Forget the tenant” with all layers. Then switch off the scope, then the session, then row-level security.",
				"Django’s custom managers do the same with thread-local storage. In Go it is the context, and go vet finds where it is missing."}},
		{Name: "mandatory", Title: "Mandatory, and how to get there", Seconds: 150, picture: picWay,
			Experiments: []string{"warn-error-panic", "two-contexts"},
			Points: []string{
				"A query without a tenant is a mistake of the program’s, not an empty list: it panics.",
				"An old program takes that up in steps: a warning in the log, an error in tests, a panic everywhere.",
				"Work over all tenants is possible, and says why: `scopes.AllTenants(ctx, \"monthly bill\")`. It is logged, and reads only.",
				"In Django the default manager filters and the base manager must not be forgotten: refreshes, relations and migrations use it. Here one plugin stands before all of GORM’s operations.",
			},
			Notes: []string{"The bypass is what reviewers look for: one word to search for, with a reason behind it."}},
		{Name: "outside", Title: "What the filter does not see", Seconds: 240, picture: picOutside,
			Experiments: []string{"raw-sql", "raw-join", "update-without-where", "shared-table", "join-and-count", "stacked-statements", "set-config"},
			Points: []string{
				"SQL outside the ORM, and text inside of it: raw conditions and joins.",
				"Tables that all tenants share lead to everybody’s rows by the way back: `user.country.users`.",
				"A filter through joins multiplies rows, and every sum and count with them.",
				"What is injected is SQL too, and can say that it is somebody else.",
			},
			Notes: []string{"Run “Raw SQL without WHERE” with and without row-level security: 16 rows, 120 rows.",
				"End with “Say that you are Bolt”: it succeeds. Say so plainly: these layers are against mistakes."}},
		{Name: "keys", Title: "The tenant in every table", Seconds: 180, picture: picKeys,
			Experiments: []string{"foreign-parent", "unique-email", "tenant-column", "move-a-tenant"},
			Points: []string{
				"Filters need no joins, and policies need the column. Citus spreads tables over servers by it.",
				"Keys that begin with it, `(account_id, id)`, make rows agree: a child cannot have another tenant’s parent.",
				"It costs room in every row and index, and merging two tenants rewrites all of their rows.",
				"Unique within the tenant: a wider key tells one what another has.",
			},
			Notes: []string{"Run “Put a subtask below Bolt’s task” without composite keys and with row-level security: it succeeds. Hardly anybody expects that."}},
		{Name: "rls", Title: "Row-level security", Seconds: 240, picture: picPolicy,
			Experiments: []string{"three-policies", "enable-and-force", "superuser", "pg-dump", "views", "check"},
			Points: []string{
				"`ENABLE ROW LEVEL SECURITY` and a policy: `USING (account_id = …)`. Whatever is sent, only these rows are there.",
				"The owner is bound by `FORCE` alone, a superuser by nothing: serve as a role that owns nothing.",
				"The tenant is a setting with a dot in its name, `app.tenant_id`, that the program sets; unset means no row.",
				"The expression is in every plan: a bare equality uses the index. Backups must run as somebody who sees all.",
			},
			Notes: []string{"Run “One policy, written three ways” and read the plans aloud: Index Cond, Filter, Filter.",
				"The check command looks for what is missing, and serve does not start without it."}},
		{Name: "pooling", Title: "The setting, and who is next", Seconds: 180, picture: picPool,
			Experiments: []string{"session-setting", "pgbouncer", "round-trips", "role-per-tenant"},
			Points: []string{
				"Connections are pooled, by `database/sql` as by PgBouncer. What is set for the session waits there for the next request.",
				"So the tenant is set for the transaction, together with the statement: one message, one wait.",
				"A PostgreSQL user for each tenant needs no setting. But users belong to the whole server, each change is a connection, and no pool can be shared.",
			},
			Notes: []string{"Run “Set the tenant for the session”: the request without a tenant sees Bolt’s rows. That is the accident in the wild.",
				"The original project’s middleware never sets it at all, so its policy is never in force."}},
		{Name: "layers", Title: "What each layer catches", Seconds: 150, picture: picWay,
			Experiments: []string{"layers-alone"},
			Points: []string{
				"The scope knows models, and nothing of raw SQL. It says what is wrong, where it is wrong.",
				"The session knows each statement, and not what it asks for.",
				"Keys know which rows belong together, and not who asks.",
				"Row-level security knows who asks, and believes it.",
				"Each alone lets something through. That is why there are four, and each is tested with the others off.",
			},
			Notes: []string{"Run “Each layer alone”: a table of every attack on these slides. Look for rows with one layer only: that layer cannot be left out."}},
		{Name: "not-a-strategy", Title: "What is no strategy", Seconds: 120, picture: picReplicas,
			Points: []string{
				"Views with a condition: fine to read through, and they ask as their owner unless told otherwise. One more object for each table.",
				"MySQL: no row-level security, a schema is a database, and a failed migration stays half done, since DDL ends the transaction.",
				"A primary with a replica for each tenant: a write can go to the wrong place, and what was written is read later than expected.",
				"Rules in code, as for permissions, answer what a user may do within a tenant. They come after the tenant, and do not replace it.",
			},
			Notes: []string{"Each of these was proposed to us by somebody serious. Keep it short."}},
		{Name: "choose", Title: "Which one?", Seconds: 180, matrix: true,
			Points: []string{"Shared tables unless you know why not. The placement of a tenant is a row in a directory: `Mixed` has any of the three for each tenant, with the same code, and `tenants move` leads from one to another."},
			Notes:  []string{"Read down one column, not along all rows. Then ask who has which reason for another one."}},
		{Name: "figures", Title: "Measured", Seconds: 120, figures: true,
			Points: []string{"Two cores shared by load, program and PostgreSQL: compare the figures with each other. `go run ./bench` measures them on your machine."},
			Notes:  []string{"The two ratios say it: connections are what a database for each tenant is short of."}},
		{Name: "end", Title: "Take it home", Seconds: 60, picture: picWay,
			Points: []string{
				"`go run . serve` has five tenants to look at; `go run . check` says whether every layer is in force.",
				"`scopes` is a library: your models, your tenant’s column, your router. `docs/adopt.md` goes step by step.",
				"`go test ./scopes/scopestest` attacks it in some 210 ways, with each layer alone.",
			},
			Notes: []string{"Leave the address of the slides on the screen, and take questions by running experiments."}},
	}
}
