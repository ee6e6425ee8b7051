package audit_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tenanted/models"
	"tenanted/scopes"
	"tenanted/scopes/audit"
	"tenanted/scopes/pgtest"
)

// Models for defects that the application's own do not have.
type (
	untenantedNote struct {
		ID        int64
		AccountID int64 //tenantvet:ignore the defect that the audit must find
	}
	transfer struct {
		scopes.Tenanted
		ID   int64           `gorm:"primaryKey"`
		ToID scopes.TenantID `gorm:"column:to_account"`
	}
	gear struct {
		scopes.Tenanted
		ID       int64 `gorm:"primaryKey"`
		GadgetID int64
		Gadget   *gadget
	}
	shelf struct {
		scopes.HasTenant
		Org string `gorm:"primaryKey;tenant"`
		ID  int64  `gorm:"primaryKey"`
	}
	gadget struct {
		scopes.Tenanted
		ID int64 `gorm:"primaryKey"`
	}
)

func (untenantedNote) TableName() string { return "notes" }
func (transfer) TableName() string       { return "transfers" }
func (gear) TableName() string           { return "gears" }
func (gadget) TableName() string         { return "gadgets" }

// defect is one thing done to a sound database, and every defect that the audit must then find: that one,
// and what cannot but come with it.
type defect struct {
	name  string
	as    string // who does it; the owner by default
	sql   string
	want  []string
	note  []string      // IDs that must be noted
	cfg   audit.Config  // beside the application's models
	audit func() string // role of the audit's connection; the runtime role by default
}

var requires = audit.Config{Require: []audit.Requirement{{Table: "users", Unique: []string{"email", "account_id"}}}}

var withTrigger = audit.Config{Require: append(requires.Require, audit.Requirement{Table: "tasks", Trigger: "audit"})}

const expected = `using (account_id = nullif(current_setting('app.tenant_id', true), '')::bigint)`

var defects = []defect{
	{name: "nothing", sql: "", want: nil},

	// The runtime role.
	{name: "no such role", cfg: audit.Config{Runtime: "audit_nobody"}, want: []string{"runtime-missing"}},
	{name: "superuser", as: pgtest.Superuser, sql: "alter role {run} superuser", want: []string{"runtime-superuser"}},
	{name: "bypassrls", as: pgtest.Superuser, sql: "alter role {run} bypassrls", want: []string{"runtime-bypassrls"}},
	{name: "createrole", as: pgtest.Superuser, sql: "alter role {run} createrole", want: []string{"runtime-createrole"}},
	{name: "replication", as: pgtest.Superuser, sql: "alter role {run} replication", want: []string{"runtime-replication"}},
	{name: "createdb", as: pgtest.Superuser, sql: "alter role {run} createdb", want: []string{"runtime-createdb"}},
	{name: "member of the owner", as: pgtest.Superuser, sql: "grant test_owner to {run}", want: []string{"runtime-member"}},
	{name: "member of the owner by SET ROLE through another", as: pgtest.Superuser, want: []string{"runtime-member"},
		sql: "create role {run}_group noinherit; grant test_owner to {run}_group; alter role {run} noinherit; grant {run}_group to {run}"},
	{name: "member of a superuser", as: pgtest.Superuser, want: []string{"runtime-member"},
		sql: "create role {run}_group superuser; grant {run}_group to {run}"},
	{name: "member of a role that runs programs", as: pgtest.Superuser, want: []string{"runtime-member"},
		sql: "grant pg_execute_server_program to {run}"},
	{name: "member of pg_read_all_data", as: pgtest.Superuser, sql: "grant pg_read_all_data to {run}", want: []string{"runtime-reads-all"}},
	{name: "member of a harmless role", as: pgtest.Superuser, sql: "create role {run}_group; grant {run}_group to {run}", want: nil},
	{name: "owner of a table", as: pgtest.Superuser, sql: "alter table tasks owner to {run}", want: []string{"runtime-owner"}},
	{name: "owner of the schema", as: pgtest.Superuser, sql: "alter schema public owner to {run}", want: []string{"runtime-owner"}},
	{name: "owner of the database", as: pgtest.Superuser, sql: "alter database {db} owner to {run}", want: []string{"runtime-owner"}},
	{name: "owner of something else", as: pgtest.Superuser, want: []string{"runtime-owns"},
		sql: "create table scratch (n int); alter table scratch owner to {run}"},

	// What a session starts with.
	{name: "role has a tenant", as: pgtest.Superuser, sql: "alter role {run} set app.tenant_id = '1'", want: []string{"session-tenant"}},
	{name: "database has a tenant", as: pgtest.Superuser, sql: "alter database {db} set app.tenant_id = '1'", want: []string{"session-tenant"}},
	{name: "row_security off", as: pgtest.Superuser, sql: "alter role {run} set row_security = off", want: []string{"session-row-security"}},
	{name: "role changes role", as: pgtest.Superuser, want: []string{"session-role"},
		sql: "create role {run}_group; grant {run}_group to {run}; alter role {run} set role = {run}_group", audit: owner},
	{name: "replica mode", as: pgtest.Superuser, sql: "alter role {run} in database {db} set session_replication_role = replica",
		want: []string{"session-replication"}},
	{name: "search_path to the only placement", as: pgtest.Superuser, sql: "alter role {run} set search_path = public", want: nil},

	// Grants.
	{name: "no SELECT", sql: "revoke select on tasks from {run}", note: []string{"grant-missing", "plan-index"}},
	{name: "no right on a sequence", note: []string{"grant-missing"}, cfg: withModel(&gadget{}), want: nil,
		sql: `create table gadgets (account_id bigint not null, id bigserial, primary key (account_id, id));
			alter table gadgets enable row level security; create policy tenant on gadgets ` + expected + `;
			grant select, insert on gadgets to {run}`},
	{name: "no USAGE", sql: "revoke usage on schema public from {run}, public", note: []string{"grant-missing", "plan-index"}},
	{name: "TRUNCATE", sql: "grant truncate on tasks to {run}", want: []string{"grant-excess"}},
	{name: "REFERENCES of a column", sql: "grant references (id) on tasks to {run}", want: []string{"grant-excess"}},
	{name: "TRIGGER by a group", as: pgtest.Superuser, want: []string{"grant-excess"},
		sql: "create role {run}_group; grant trigger on tasks to {run}_group; grant {run}_group to {run}"},
	{name: "grant option", sql: "grant select on tasks to {run} with grant option", want: []string{"grant-option"}},
	{name: "PUBLIC reads", sql: "grant select on tasks to public", want: []string{"grant-public"}},
	{name: "private table", want: []string{"grant-private"}, cfg: audit.Config{Private: []string{"control.*"}},
		sql: "create schema control; create table control.tenants (slug text); grant select on control.tenants to {run}"},
	{name: "column of a private table", want: []string{"grant-private"}, cfg: audit.Config{Private: []string{"control.tenants"}},
		sql: "create schema control; create table control.tenants (slug text); grant select (slug) on control.tenants to public"},
	{name: "private table that nobody reaches", want: nil, cfg: audit.Config{Private: []string{"control.tenants"}},
		sql: "create schema control; create table control.tenants (slug text)"},
	{name: "setval", sql: "grant update on sequence tasks_id_seq to {run}", want: []string{"grant-sequence"}},
	{name: "CREATE on a schema", sql: "grant create on schema public to {run}", want: []string{"grant-create"}},
	{name: "CREATE for PUBLIC", sql: "create schema junk; grant create on schema junk to public", want: []string{"grant-create-public"}},
	{name: "CREATE on the database", sql: "grant create on database {db} to {run}", want: []string{"grant-database"}},
	{name: "TEMPORARY, as PostgreSQL has it", sql: "", note: []string{"grant-temporary"}},
	{name: "an earlier runtime role", as: pgtest.Superuser, want: []string{"grant-other-role"},
		sql: "create role {run}_group login; grant select, update on tasks to {run}_group"},
	{name: "an earlier runtime role, on a column of a private table", as: pgtest.Superuser, want: []string{"grant-other-role"},
		cfg: audit.Config{Private: []string{"control.tenants"}},
		sql: "create schema control; create table control.tenants (slug text); create role {run}_group; grant select (slug) on control.tenants to {run}_group"},
	{name: "another role that is allowed", as: pgtest.Superuser, want: nil, note: []string{"grant-other-role"}, cfg: audit.Config{Allow: []string{"role.*_group"}},
		sql: "create role {run}_group; grant select on tasks to {run}_group"},
	{name: "no private table is configured", sql: "", note: []string{"grant-private"}},
	{name: "parameter", as: pgtest.Superuser, sql: "grant set on parameter session_replication_role to {run}", want: []string{"grant-parameter"}},
	{name: "default privileges", sql: "alter default privileges in schema public grant truncate on tables to {run}", want: []string{"grant-default"}},

	// Tables and models.
	{name: "table missing", sql: "drop table subtasks", want: []string{"table-missing"}},
	{name: "a view instead of the table", want: []string{"table-kind", "unknown-table"},
		sql: "alter table subtasks rename to old; create view subtasks with (security_invoker) as select * from old"},
	{name: "column missing", sql: "alter table subtasks drop column details", want: []string{"column-missing"}},
	{name: "two tenant columns", want: []string{"model-ambiguous"}, cfg: withModel(&transfer{}),
		sql: `create table transfers (account_id bigint not null, id bigint not null, to_account bigint not null, primary key (account_id, id));
			alter table transfers enable row level security; create policy tenant on transfers ` + expected},
	{name: "model without the mixin", want: []string{"model-untenanted"}, cfg: withModel(&untenantedNote{}),
		sql: "create table notes (id bigint primary key, account_id bigint not null)"},
	{name: "table of another owner", as: pgtest.Superuser, want: []string{"table-owner"}, cfg: audit.Config{Owner: pgtest.Owner},
		sql: "create role {run}_group; alter table tasks owner to {run}_group"},
	{name: "required unique key is gone", want: []string{"requirement"}, cfg: requires,
		sql: "alter table users drop constraint users_account_id_email_key"},
	{name: "required unique key is partial", want: []string{"requirement"}, cfg: requires,
		sql: "alter table users drop constraint users_account_id_email_key; create unique index on users (account_id, email) where id > 0"},
	{name: "required trigger is gone", want: []string{"requirement"}, cfg: withTrigger, sql: "drop trigger audit on tasks"},
	{name: "required trigger is disabled", want: []string{"requirement"}, cfg: withTrigger, sql: "alter table tasks disable trigger audit"},
	{name: "required trigger and key", want: nil, cfg: withTrigger, sql: ""},
	{name: "required table is gone", want: []string{"requirement"}, sql: "",
		cfg: audit.Config{Require: []audit.Requirement{{Table: "control.tenants", Unique: []string{"slug"}}}}},
	{name: "table without a model", sql: "create table notes (id bigint primary key, account_id bigint not null)", want: []string{"unknown-table"}},
	{name: "table without a model in another schema", sql: "create schema old; create table old.tasks (id bigint primary key, account_id bigint)",
		want: []string{"unknown-table"}},
	{name: "table known by its foreign key", want: []string{"unknown-table"},
		sql: "create table log (n int, tenant bigint, task bigint, foreign key (tenant, task) references tasks (account_id, id))"},
	{name: "table that is allowed", want: nil, note: []string{"unknown-table"}, cfg: audit.Config{Allow: []string{"public.note?"}},
		sql: "create table notes (id bigint primary key, account_id bigint not null)"},
	{name: "table of nobody's", sql: "create table countries (code text primary key)", want: nil},

	// Row-level security.
	{name: "RLS off", sql: "alter table tasks disable row level security", want: []string{"rls-disabled"}},
	{name: "no policy", sql: "drop policy tenant on tasks", want: []string{"policy-missing"}},
	{name: "policy for somebody else", as: pgtest.Superuser, want: []string{"policy-missing"},
		sql: "create role {run}_group; alter policy tenant on tasks to {run}_group"},
	{name: "policy is true", sql: "alter policy tenant on tasks using (true)", want: []string{"policy-drift", "plan-index"}},
	{name: "policy checks nothing", sql: "alter policy tenant on tasks with check (true)", want: []string{"policy-drift"}},
	{name: "policy without nullif", want: []string{"policy-drift", "plan-index"},
		sql: "alter policy tenant on tasks using (account_id = current_setting('app.tenant_id', true)::bigint)"},
	{name: "policy of another setting", want: []string{"policy-drift", "plan-index"},
		sql: "alter policy tenant on tasks using (account_id = nullif(current_setting('app.other', true), '')::bigint)"},
	{name: "policy with OR", want: []string{"policy-drift", "plan-index"},
		sql: "alter policy tenant on tasks using (account_id = nullif(current_setting('app.tenant_id', true), '')::bigint or current_setting('app.all', true) = 'on')"},
	{name: "policy with CASE", want: []string{"policy-drift", "plan-index"},
		sql: "alter policy tenant on tasks using (case when current_setting('app.tenant_id', true) = '' then true else account_id = current_setting('app.tenant_id')::bigint end)"},
	{name: "policy on another column", want: []string{"policy-drift", "plan-index"},
		sql: "alter policy tenant on tasks using (project_id = nullif(current_setting('app.tenant_id', true), '')::bigint)"},
	{name: "policy with a function of the same name", want: []string{"policy-drift", "plan-index"},
		sql: `create function public.current_setting(text, boolean) returns text language sql as 'select ''7''';
			alter policy tenant on tasks using (account_id = nullif(public.current_setting('app.tenant_id', true), '')::bigint)`},
	{name: "policy that calls what the role may not", want: []string{"policy-drift"}, note: []string{"plan-index"},
		sql: `create schema hidden; create function hidden.tenant() returns bigint immutable language sql return 1;
			revoke execute on function hidden.tenant() from public;
			alter policy tenant on tasks using (account_id = hidden.tenant())`},
	{name: "policy for reading only", want: []string{"policy-drift"},
		sql: "drop policy tenant on tasks; create policy tenant on tasks for select " + expected},
	{name: "second permissive policy", want: []string{"policy-extra", "plan-index"}, sql: "create policy support on tasks for select using (true)"},
	{name: "second policy that writes", want: []string{"policy-extra"}, sql: "create policy support on tasks for insert to {run} with check (true)"},
	{name: "second policy by a group", as: pgtest.Superuser, want: []string{"policy-extra", "plan-index"},
		sql: "create role {run}_group; grant {run}_group to {run}; create policy support on tasks to {run}_group using (true)"},
	{name: "the same policy twice", want: []string{"policy-extra"}, sql: "create policy again on tasks " + expected},
	{name: "restrictive policy", note: []string{"policy-other"}, sql: "create policy night on tasks as restrictive using (extract(hour from now()) < 25)"},
	{name: "policy for another role", as: pgtest.Superuser, note: []string{"policy-other"},
		sql: "create role {run}_group; create policy report on tasks for select to {run}_group using (true)"},
	{name: "forced", note: []string{"rls-forced"}, sql: "alter table tasks force row level security"},
	{name: "open partition", want: []string{"partition-open"}, sql: partitioned + "grant select on subtasks_0 to {run}"},
	{name: "partition that nobody reaches", want: nil, sql: partitioned},
	{name: "open child", want: []string{"partition-open", "plan-index"}, sql: "create table old () inherits (subtasks); grant select on old to {run}"},

	// Keys.
	{name: "tenant column is text", want: []string{"plan-index", "policy-drift", "tenant-column-type"}, cfg: withModel(&gadget{}),
		sql: `create table gadgets (account_id text not null, id bigint not null, primary key (account_id, id));
			alter table gadgets enable row level security;
			create policy tenant on gadgets using (account_id::bigint = nullif(current_setting('app.tenant_id', true), '')::bigint);
			grant select on gadgets to {run}`},
	{name: "no tenant column", cfg: withModel(&gadget{}),
		want: []string{"index-tenant", "pk-tenant", "policy-missing", "rls-disabled", "tenant-column-type"},
		sql:  "create table gadgets (id bigint primary key)"},
	{name: "tenant column is nullable", want: []string{"pk-tenant", "tenant-column-null"},
		sql: "alter table subtasks drop constraint subtasks_pkey; alter table subtasks alter column account_id drop not null"},
	{name: "tenant column has a default", want: []string{"tenant-column-default"}, sql: "alter table subtasks alter column account_id set default 1"},
	{name: "tenant column has a default for want of a tenant", want: []string{"tenant-column-default"},
		sql: "alter table subtasks alter column account_id set default coalesce(nullif(current_setting('app.tenant_id', true), '')::bigint, 1)"},
	{name: "tenant column of text has a default", want: []string{"tenant-column-default"}, cfg: withModel(&shelf{}),
		sql: `create table shelves (org text not null default 'acme', id bigint not null, primary key (org, id)); alter table shelves enable row level security;
			create policy tenant on shelves using (org = nullif(current_setting('app.tenant_id', true), ''))`},
	{name: "tenant column defaults to the session's", want: nil,
		sql: "alter table subtasks alter column account_id set default current_setting('app.tenant_id')::bigint"},
	{name: "primary key without the tenant", want: []string{"pk-tenant"},
		sql: "alter table subtasks drop constraint subtasks_pkey, add primary key (id)"},
	{name: "primary key that ends with the tenant", want: []string{"pk-tenant"},
		sql: "alter table subtasks drop constraint subtasks_pkey, add primary key (id, account_id)"},
	{name: "unique over all tenants", want: []string{"unique-tenant"}, sql: "alter table users add unique (email)"},
	{name: "unique index of an expression", want: []string{"unique-tenant"}, sql: "create unique index on users (lower(email))"},
	{name: "unique index that only carries the tenant", want: []string{"unique-tenant"}, sql: "create unique index on users (email) include (account_id)"},
	{name: "unique index over some rows", want: []string{"unique-tenant"},
		sql: "create unique index by_email on users (email) where id > 0; create unique index by_name on users (first_name, last_name desc) where id < 0"},
	{name: "key that was not finished", as: pgtest.Superuser, want: []string{"fk-tenant", "pk-tenant"},
		sql: `alter table tasks drop constraint tasks_pkey cascade, add primary key (id);
			alter table subtasks add foreign key (task_id) references tasks; create unique index tasks_account_id_id_key on tasks (account_id, id);
			update pg_index set indisvalid = false where indexrelid = 'tasks_account_id_id_key'::regclass`},
	{name: "unique date of the tenants", want: []string{"unique-tenant"}, sql: "create unique index on accounts (created_at)"},
	{name: "unique date that nobody can write", note: []string{"unique-tenant"},
		sql: "create unique index on accounts (created_at); revoke insert, update on accounts from {run}"},
	{name: "exclusion constraint", want: []string{"unique-tenant"}, sql: "alter table users add exclude (email with =)"},
	{name: "foreign key without the tenant", want: []string{"fk-tenant", "unique-tenant"},
		sql: "alter table tasks add unique (id); alter table subtasks add foreign key (task_id) references tasks (id)"},
	{name: "cascade without the tenant", want: []string{"fk-action", "fk-tenant", "pk-tenant"},
		sql: `alter table tasks drop constraint tasks_pkey cascade, add primary key (id);
			alter table subtasks add foreign key (task_id) references tasks on delete cascade deferrable`},
	{name: "cascade", want: []string{"fk-action"}, sql: `alter table subtasks drop constraint subtasks_account_id_task_id_fkey,
		add foreign key (account_id, task_id) references tasks on delete cascade`},
	{name: "update cascade", want: []string{"fk-action"}, sql: `alter table subtasks drop constraint subtasks_account_id_task_id_fkey,
		add foreign key (account_id, task_id) references tasks on update cascade`},
	{name: "set null", want: []string{"fk-action"}, sql: `alter table subtasks drop constraint subtasks_account_id_task_id_fkey,
		add foreign key (account_id, task_id) references tasks on delete set null`},
	{name: "set null, the tenant kept", want: nil, sql: `alter table subtasks drop constraint subtasks_account_id_task_id_fkey,
		add foreign key (account_id, task_id) references tasks on delete set null (task_id)`},
	{name: "foreign key missing", want: []string{"fk-missing"}, sql: "alter table subtasks drop constraint subtasks_account_id_task_id_fkey"},
	{name: "foreign key to the tenants missing", want: []string{"fk-missing"}, sql: "alter table users drop constraint users_account_id_fkey"},
	{name: "relation that leads to the tenant", want: []string{"fk-missing"}, cfg: withModel(&gear{}),
		sql: `create table gadgets (account_id bigint not null, id bigint not null, primary key (account_id, id));
			create table gears (account_id bigint not null, id bigint not null, gadget_id bigint, primary key (account_id, id),
				foreign key (account_id, gadget_id) references gadgets (account_id, id));
			alter table gadgets enable row level security; create policy tenant on gadgets ` + expected + `;
			alter table gears enable row level security; create policy tenant on gears ` + expected},
	{name: "foreign key not validated", want: []string{"fk-unenforced"}, sql: `alter table subtasks drop constraint subtasks_account_id_task_id_fkey,
		add foreign key (account_id, task_id) references tasks not valid`},
	{name: "foreign key switched off", as: pgtest.Superuser, want: []string{"fk-unenforced"}, sql: "alter table subtasks disable trigger all"},
	{name: "no index", want: []string{"index-tenant", "pk-tenant", "plan-index"},
		sql: "alter table subtasks drop constraint subtasks_pkey; drop index subtasks_task, subtasks_name"},
	{name: "child without an index", want: []string{"plan-index"}, sql: "create table old () inherits (subtasks)"},

	// Ways around.
	{name: "view", want: []string{"view-definer"}, sql: "create view open_tasks as select * from tasks"},
	{name: "view over a view", want: []string{"view-definer"},
		sql: "create view inner_tasks with (security_invoker = on) as select * from tasks; create view outer_tasks as select name from inner_tasks"},
	{name: "invoker view", want: nil, sql: "create view my_tasks with (security_invoker = 1) as select * from tasks; grant select on my_tasks to {run}"},
	{name: "view that is allowed", want: nil, note: []string{"view-definer"}, cfg: audit.Config{Allow: []string{"public.open_tasks"}},
		sql: "create view open_tasks as select * from tasks"},
	{name: "materialised view", want: []string{"matview"}, sql: "create materialized view totals as select account_id, count(*) from tasks group by 1"},
	{name: "rule on a tenanted table", want: []string{"rewrite-rule"},
		sql: "create table copies (name text); create rule copy as on insert to tasks do also insert into copies values (new.name)"},
	{name: "rule into a tenanted table", want: []string{"rewrite-rule"},
		sql: "create table inbox (id bigint); create rule sweep as on insert to inbox do also delete from tasks"},
	{name: "foreign table", as: pgtest.Superuser, want: []string{"foreign-table"}, sql: foreign + "create foreign table far (account_id bigint) server there"},
	{name: "foreign table by its name there", as: pgtest.Superuser, want: []string{"foreign-table"},
		sql: foreign + "create foreign table far (n bigint) server there options (table_name 'tasks')"},
	{name: "parent table", want: []string{"inheritance-parent"},
		sql: "create table everything (project_id bigint); alter table tasks inherit everything; grant select on everything to {run}"},
	{name: "definer function", want: []string{"function-definer"},
		sql: "create function total() returns bigint language sql security definer as 'select count(*) from tasks'"},
	{name: "definer function with a parsed body", want: []string{"function-definer"},
		sql: "create function total() returns bigint language sql security definer begin atomic select count(*) from tasks; end"},
	{name: "definer function that calls another", want: []string{"function-definer"},
		sql: `create function inner_total() returns bigint language sql as 'select count(*) from tasks';
			create function total() returns bigint language sql security definer as 'select inner_total()'`},
	{name: "definer function with dynamic SQL", want: []string{"function-definer"},
		sql: `create function run(what text) returns void language plpgsql security definer as 'begin execute what; end'`},
	{name: "definer function over a view", want: []string{"function-definer"},
		sql: `create view my_things with (security_invoker) as select * from tasks;
			create function total() returns bigint language sql security definer as 'select count(*) from my_things'`},
	{name: "definer function that the role may not call", want: nil,
		sql: `create function total() returns bigint language sql security definer as 'select count(*) from tasks';
			revoke execute on function total() from public`},
	{name: "definer function of something else", want: nil,
		sql: `create table countries (code text); create function codes() returns bigint language sql security definer as 'select count(*) from countries'`},
	{name: "definer function of a role that policies bind", as: pgtest.Superuser, want: nil,
		sql: `create role {run}_group; create function total() returns bigint language sql security definer as 'select count(*) from tasks';
			alter function total() owner to {run}_group`},
	{name: "trigger", want: []string{"trigger-definer"},
		sql: `create function spread() returns trigger language plpgsql security definer as 'begin update subtasks set name = name; return new; end';
			create trigger spread after insert on tasks for each row execute function spread()`},
	{name: "function with a tenant of its own", as: pgtest.Superuser, want: []string{"function-tenant"},
		sql: "create function peek() returns bigint language sql set app.tenant_id = '2' as 'select count(*) from tasks'"},
	{name: "leakproof function", as: pgtest.Superuser, note: []string{"function-leakproof"},
		sql: "create function tell(text) returns boolean language plpgsql leakproof as 'begin raise notice ''%'', $1; return true; end'"},
	{name: "publication", as: pgtest.Superuser, note: []string{"publication"}, sql: "create publication all_tasks for table tasks"},
}

// partitioned makes subtasks a partitioned table, with everything else as it was.
const partitioned = `alter table subtasks rename to old;
	create table subtasks (like old including all, foreign key (account_id, task_id) references tasks) partition by hash (account_id);
	drop table old;
	create table subtasks_0 partition of subtasks for values with (modulus 2, remainder 0);
	create table subtasks_1 partition of subtasks for values with (modulus 2, remainder 1);
	alter table subtasks enable row level security;
	create policy tenant on subtasks ` + expected + `;
	grant select, insert, update, delete on subtasks to {run};`

const foreign = "create foreign data wrapper other; create server there foreign data wrapper other;"

func owner() string { return pgtest.Owner }

func withModel(m any) audit.Config { return audit.Config{Models: append(models.All(), m)} }

// TestDefects plants each defect, looks for it, applies all the SQL that fixes it, and looks again.
func TestDefects(t *testing.T) {
	t.Parallel()
	for _, d := range slices.Concat(defects, sharedDefects) {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			w := newFixture(t)
			d.plant(t, w)
			report := d.run(t, w)
			require.ElementsMatch(t, d.want, found(report, audit.Defect), "%+v", report.Defects())
			require.Subset(t, append(found(report, audit.Note), found(report, audit.NotChecked)...), d.note)
			require.Equal(t, len(d.want) == 0, report.InForce())
			for _, c := range report.Defects() {
				require.NotEmpty(t, c.Message)
				require.NotEmpty(t, c.Risk)
				require.NotEmpty(t, c.Fix)
			}
			if d.cfg.Runtime == "" && !w.applyAll(t, report) {
				require.Empty(t, d.run(t, w).Defects())
			}
		})
	}
}

func (d defect) plant(t *testing.T, w fixture) {
	by := d.as
	if by == "" {
		by = pgtest.Owner
	}
	if len(d.cfg.Require) > 1 {
		w.Exec(t, pgtest.Owner, "create trigger audit after update on tasks execute function suppress_redundant_updates_trigger()")
	}
	w.Exec(t, by, d.sql)
}

func (d defect) run(t *testing.T, w fixture) audit.Report {
	as := w.runtime
	if d.audit != nil {
		as = d.audit()
	}
	return w.auditAs(t, as, d.cfg)
}

// applyAll applies every fix as superuser, and reports whether a comment leaves some of it to a person.
func (w fixture) applyAll(t *testing.T, r audit.Report) (byHand bool) {
	done := map[string]bool{}
	for _, c := range r.Defects() {
		byHand = byHand || strings.Contains(c.Fix, "--")
		if done[c.Fix] {
			continue
		}
		done[c.Fix] = true
		for statement := range strings.SplitSeq(c.Fix, ";\n") {
			_, err := w.admin.Exec(t.Context(), statement)
			require.NoError(t, err, "%s: %s", c.ID, c.Fix)
		}
	}
	return byHand
}

// TestEveryRuleIsTested fails for a rule without a planted defect.
func TestEveryRuleIsTested(t *testing.T) {
	t.Parallel()
	planted := map[string]bool{"schema-missing": true, "session-search-path": true, "session-further": true} // TestPlacements, TestFurtherSchemas
	for _, d := range slices.Concat(defects, sharedDefects) {
		for _, id := range append(d.want, d.note...) {
			planted[id] = true
		}
	}
	for _, c := range onCitus {
		for _, id := range c.want {
			planted[id] = true
		}
	}
	for _, rule := range audit.Rules() {
		require.True(t, planted[rule.ID], "no test plants %s", rule.ID)
	}
}
