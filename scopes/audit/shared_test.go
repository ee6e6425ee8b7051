package audit_test

import (
	"strings"

	"tenanted/models"
	"tenanted/scopes"
	"tenanted/scopes/audit"
)

// Own rows, everybody's, and both.
type (
	template struct {
		scopes.Tenanted
		ID int64 `gorm:"primaryKey"`
	}
	sharedTemplate struct {
		scopes.ReadOnly
		ID int64
	}
	anyTemplate struct {
		scopes.Tenanted
		scopes.ReadOnly
		ID       int64 `gorm:"primaryKey"`
		IsShared bool
	}
	anyTemplateUnmarked struct {
		scopes.Tenanted
		ID int64 `gorm:"primaryKey"`
	}
	mailing struct {
		scopes.Tenanted
		ID         int64 `gorm:"primaryKey"`
		TemplateID int64
		Template   anyTemplate `gorm:"foreignKey:AccountID,TemplateID;references:AccountID,ID"`
	}
)

func (template) TableName() string            { return "templates" }
func (sharedTemplate) TableName() string      { return "shared_templates" }
func (anyTemplate) TableName() string         { return "any_templates" }
func (anyTemplateUnmarked) TableName() string { return "any_templates" }
func (mailing) TableName() string             { return "mailings" }

const current = `nullif(current_setting('app.tenant_id', true), '')::bigint`

const ownAndShared = `
	create table templates (account_id bigint, id bigint, primary key (account_id, id));
	create table shared_templates (id bigint primary key);
	create table mailings (account_id bigint, id bigint, template_id bigint, primary key (account_id, id));
	alter table templates enable row level security; create policy tenant on templates ` + expected + `;
	alter table mailings enable row level security; create policy tenant on mailings ` + expected + `;
	grant select, insert, update, delete on templates, mailings to {run}; grant select on shared_templates to {run};`

var sharedTables = sharedView("select account_id, id, false from templates", "select "+current+", id, true from shared_templates")

func sharedView(own, shared string) string {
	return ownAndShared + "create view any_templates (account_id, id, is_shared) with (security_invoker = true) as " + own + " union all " + shared +
		"; grant select on any_templates to {run}"
}

var (
	withShared         = audit.Config{Models: append(models.All(), &template{}, &sharedTemplate{}, &anyTemplate{}, &mailing{})}
	withUnmarkedShared = audit.Config{Models: append(models.All(), &template{}, &anyTemplate{}, &mailing{})}
)

// sharedDefects are about views of own and shared rows.
var sharedDefects = []defect{
	{name: "own and shared rows", cfg: withShared, note: []string{"fk-missing"}, want: nil, sql: sharedTables},
	{name: "own and shared rows under other names", cfg: withShared, want: nil, sql: `create schema "For All";` + strings.NewReplacer(
		"shared_templates", `"For All"."Shared"`, "from templates", "from templates as own").Replace(sharedTables) +
		`; create table shared_templates (id bigint primary key)`},
	{name: "shared view of a model that does not say so", cfg: withModel(&anyTemplateUnmarked{}), want: []string{"table-kind", "unknown-table"}, sql: sharedTables},
	{name: "shared view with its owner's rights", cfg: withShared, want: []string{"view-definer"},
		sql: sharedTables + "; alter view any_templates reset (security_invoker)"},
	{name: "shared rows that a tenant may write", cfg: withShared, want: []string{"grant-shared"}, sql: sharedTables + "; grant update on shared_templates to {run}"},
	{name: "shared rows of which a tenant may write a column", cfg: withShared, want: []string{"grant-shared"},
		sql: sharedTables + "; grant insert (id) on shared_templates to {run}"},
	{name: "shared rows of no model that PUBLIC may write", cfg: withUnmarkedShared, want: []string{"grant-shared"},
		sql: sharedTables + "; grant delete on shared_templates to public"},
	{name: "shared view with a tenant of its own", cfg: withShared, want: []string{"shared-view"}, sql: sharedView(
		"select account_id, id, false from templates", "select 1::bigint, id, true from shared_templates")},
	{name: "shared view that passes all rows for the tenant's", cfg: withShared, want: []string{"shared-view"}, sql: sharedView(
		"select "+current+", id, false from templates", "select "+current+", id, true from shared_templates")},
	{name: "shared view by another column", cfg: withShared, want: []string{"shared-view"}, sql: sharedView(
		"select id, account_id, false from templates", "select "+current+", id, true from shared_templates")},
	{name: "shared view with a join", cfg: withShared, want: []string{"shared-view"}, sql: sharedView(
		"select account_id, id, false from templates", "select "+current+", s.id, true from shared_templates s, templates")},
	{name: "shared view with a subquery", cfg: withShared, want: []string{"shared-view"}, sql: sharedView(
		"select account_id, (select min(id) from tasks), false from templates", "select "+current+", id, true from shared_templates")},
	{name: "shared view of tenanted tables alone", cfg: withShared, want: []string{"shared-view"}, sql: sharedView(
		"select account_id, id, false from templates", "select account_id, id, true from tasks")},
	{name: "shared view of shared rows alone", cfg: withShared, want: []string{"shared-view"}, sql: sharedView(
		"select "+current+", id, false from shared_templates", "select "+current+", id, true from shared_templates")},
	{name: "shared view without a column", cfg: withShared, want: []string{"column-missing"}, sql: sharedTables +
		"; drop view any_templates; create view any_templates with (security_invoker) as select account_id, id from templates union all select " + current + ", id from shared_templates"},
	{name: "policy that shows rows without a tenant", want: []string{"policy-drift", "pk-tenant", "tenant-column-null"},
		sql: `alter table subtasks drop constraint subtasks_pkey; alter table subtasks alter column account_id drop not null;
			alter policy tenant on subtasks using (account_id = nullif(current_setting('app.tenant_id', true), '')::bigint or account_id is null)`},
}
