package archive_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"tenanted/scopes"
	"tenanted/scopes/archive"
	"tenanted/scopes/pgtest"
)

// A tenant's own templates, and a view of these and everybody's, which a letter refers to.
type (
	Template struct {
		scopes.Tenanted
		ID int64 `gorm:"primaryKey"`
	}
	AnyTemplate struct {
		scopes.Tenanted
		scopes.ReadOnly
		ID int64 `gorm:"primaryKey"`
	}
	Mailing struct {
		scopes.Tenanted
		ID         int64 `gorm:"primaryKey"`
		TemplateID int64
		Template   *AnyTemplate `gorm:"foreignKey:AccountID,TemplateID;references:AccountID,ID"`
	}
)

// What a view shows is in an archive once, by the tenant's own table; everybody's rows are not in it.
func TestViewOfOwnAndSharedRows(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t, "archive-shared", func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, `
			create table templates (account_id bigint, id bigint, primary key (account_id, id));
			create table mailings (account_id bigint, id bigint, template_id bigint, primary key (account_id, id));
			create table shared_templates (id bigint primary key);
			create view any_templates with (security_invoker = true) as select account_id, id from templates
				union all select nullif(current_setting('app.tenant_id', true), '')::bigint as account_id, id from shared_templates;
			insert into templates values (1, 1), (2, 1);
			insert into mailings values (1, 1, 1), (1, 2, 9);
			insert into shared_templates values (9)`)
		return err
	})
	p := place{db.Connect(t, pgtest.Owner), "public"}
	m := parse(t, &Template{}, &AnyTemplate{}, &Mailing{})
	file, contents := p.export(t, m, 1)
	require.EqualValues(t, 3, contents.Rows())
	before := p.text(t, "templates", "mailings", "shared_templates")
	require.EqualValues(t, 3, p.remove(t, m, 1))
	require.NoError(t, p.load(t, m, file, 1, archive.ImportOptions{}))
	require.Equal(t, before, p.text(t, "templates", "mailings", "shared_templates"))
}
