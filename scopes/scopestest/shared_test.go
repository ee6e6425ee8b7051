package scopestest_test

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"tenanted/scopes"
	"tenanted/scopes/audit"
	"tenanted/scopes/pgtest"
	"tenanted/scopes/scopestest"
)

// Templates of a tenant's own, of everybody's, and both.
type (
	Template struct {
		scopes.HasTenant
		OrgID uuid.UUID `gorm:"primaryKey;tenant"`
		ID    uuid.UUID `gorm:"primaryKey;default:gen_random_uuid()"`
		Title string
	}
	SharedTemplate struct {
		scopes.ReadOnly
		ID    uuid.UUID `gorm:"default:gen_random_uuid()"`
		Title string
	}
	AnyTemplate struct {
		scopes.HasTenant
		scopes.ReadOnly
		OrgID  uuid.UUID `gorm:"primaryKey;tenant"`
		ID     uuid.UUID `gorm:"primaryKey"`
		Title  string
		Shared bool
	}

	// The same without the mark.
	Unprotected struct {
		ID    uuid.UUID `gorm:"default:gen_random_uuid()"`
		Title string
	}
)

func (Unprotected) TableName() string { return "shared_templates" }

// templateTables are those of docs/library.md.
func templateTables(t *testing.T) string {
	text, err := os.ReadFile("../../docs/library.md")
	require.NoError(t, err)
	_, sql, found := strings.Cut(string(text), "```sql\ncreate table templates")
	require.True(t, found)
	sql, _, _ = strings.Cut(sql, "```")
	return strings.ReplaceAll("create table templates"+sql, "to app;", "to "+pgtest.Runtime+";")
}

var templates = scopestest.Shared{
	Own:      func(text string) any { return &Template{Title: text} },
	Everyone: func(text string) any { return &SharedTemplate{Title: text} },
	Any:      func(text string) any { return &AnyTemplate{Title: text} },
	Text:     "Title",
}

func templatesTarget(t *testing.T) (*pgtest.DB, scopestest.Target) {
	tables := templateTables(t)
	db := pgtest.Database(t, "scopestest-templates", func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, tables)
		return err
	}, tables)
	tenant := func(id string) scopes.Tenant {
		return scopes.Tenant{ID: uuid.MustParse(id), Placement: scopes.Placement{Database: db.Name}}
	}
	return db, scopestest.Target{
		Runtime: db.Config(pgtest.Runtime), Owner: db.Config(pgtest.Owner), Judge: db.Config(pgtest.Superuser),
		A: tenant("aaaaaaaa-0000-4000-8000-000000000001"), B: tenant("bbbbbbbb-0000-4000-8000-000000000002"),
	}
}

func TestSharedRows(t *testing.T) {
	t.Parallel()
	db, target := templatesTarget(t)
	scopestest.RunShared(t, templates, target)
	report, err := audit.Run(t.Context(), db.Connect(t, pgtest.Runtime),
		audit.Config{Models: []any{&Template{}, &SharedTemplate{}, &AnyTemplate{}}}, "public")
	require.NoError(t, err)
	require.NoError(t, report.Err())
}

// Each layer is broken on purpose, and the attacks that it stops succeed.
func TestSharedRowsBroken(t *testing.T) {
	t.Parallel()
	unprotected := templates
	unprotected.Everyone = func(text string) any { return &Unprotected{Title: text} }
	for name, broken := range map[string]struct {
		sql     string
		subject scopestest.Shared
		on      scopestest.LayersOn
		succeed []string
	}{
		"view with its owner's rights": {
			sql: "alter view any_templates reset (security_invoker)", subject: templates, on: scopestest.RLSOnly,
			succeed: []string{"shared/read", "shared/read-or", "shared/read-without-a-tenant", "shared/read-by-bs-tenant", "shared/read-by-bs-key",
				"shared/read-rows-of-no-tenant", "shared/count", "shared/read-table", "shared/read-raw"},
		},
		"view that passes all rows for the tenant's": {
			sql: `create or replace view any_templates with (security_invoker = true) as
				select '{a}'::uuid as org_id, id, title, false as shared from templates union all select null, id, title, true from shared_templates`,
			subject: templates, on: scopestest.ScopeOnly,
			succeed: []string{"shared/read", "shared/read-or", "shared/read-rows-of-no-tenant", "shared/read-by-bs-key"},
		},
		"everybody's rows may be updated": {
			sql: "grant update on shared_templates to " + pgtest.Runtime, subject: templates, on: scopestest.AllOn,
			succeed: []string{"shared/raw-update"},
		},
		"everybody's rows may be inserted and deleted": {
			sql: "grant insert, delete on shared_templates to " + pgtest.Runtime, subject: templates, on: scopestest.RLSOnly,
			succeed: []string{"shared/create", "shared/create-without-a-tenant", "shared/delete", "shared/delete-all", "shared/raw-insert", "shared/raw-delete"},
		},
		"the model of everybody's rows is not read-only": {
			subject: unprotected, on: scopestest.ScopeOnly,
			succeed: []string{"shared/create", "shared/create-without-a-tenant", "shared/upsert", "shared/save", "shared/update", "shared/update-all", "shared/delete", "shared/delete-all"},
		},
		"a row may have no tenant": {
			sql: `alter table templates drop constraint templates_pkey; alter table templates alter column org_id drop not null; drop policy tenant on templates;
				create policy tenant on templates using (org_id = nullif(current_setting('app.tenant_id', true), '')::uuid or org_id is null)`,
			subject: templates, on: scopestest.AllOn, succeed: []string{"shared/raw-give-to-everyone"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db, target := templatesTarget(t)
			db.Exec(t, pgtest.Owner, strings.ReplaceAll(broken.sql, "{a}", target.A.Key()))
			succeeded := []string{}
			for _, o := range scopestest.AttackShared(t, broken.subject, target, broken.on) {
				if o.Harm != "" {
					succeeded = append(succeeded, o.Attack.Name)
				}
			}
			require.ElementsMatch(t, broken.succeed, succeeded)
		})
	}
}
