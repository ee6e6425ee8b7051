package migrations_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"tenanted/migrations"
	"tenanted/models"
	"tenanted/scopes/pgtest"
)

// notForACluster are queries for what Citus does not take on a table, $1, that is distributed by the column $2.
var notForACluster = map[string]string{
	"keys without the tenant": `
		select conname from pg_constraint where conrelid = $1::regclass and contype in ('p', 'u', 'x')
			and not exists (select from pg_attribute a where a.attrelid = conrelid and a.attname = $2 and a.attnum = any (conkey))`,
	"unique indexes without the tenant": `
		select indexrelid::regclass::text from pg_index where indrelid = $1::regclass and indisunique
			and not exists (select from pg_attribute a where a.attrelid = indrelid and a.attname = $2 and a.attnum = any (indkey))`,
	"foreign keys that do not join the tenants' columns": `
		select c.conname from pg_constraint c, pg_attribute a where c.conrelid = $1::regclass and c.contype = 'f' and a.attrelid = c.conrelid and a.attname = $2
			and not exists (select from unnest(c.conkey, c.confkey) k(child, parent) join pg_attribute p on p.attrelid = c.confrelid and p.attnum = k.parent
				where k.child = a.attnum and p.attname = case c.confrelid when 'accounts'::regclass then 'id' else 'account_id' end)`,
	"triggers": "select tgname from pg_trigger where tgrelid = $1::regclass and not tgisinternal and $2 <> ''",
	"policies with a subselect": `
		select polname from pg_policy where polrelid = $1::regclass and $2 <> '' and coalesce(polqual::text, '') || coalesce(polwithcheck::text, '') ~ '\{(SUBLINK|SUBPLAN|QUERY)'`,
	"identity columns that are no bigint": `
		select attname from pg_attribute where attrelid = $1::regclass and $2 <> '' and attidentity <> '' and atttypid <> 'bigint'::regtype`,
	"rules and children": `
		select rulename::text from pg_rewrite where ev_class = $1::regclass and $2 <> ''
		union all select inhrelid::regclass::text from pg_inherits where $1::regclass in (inhrelid, inhparent)`,
}

// What migrate makes of shared tables meets a Citus cluster's rules, which nothing else would show before one is there.
func TestTablesSuitACluster(t *testing.T) {
	t.Parallel()
	db, runner := empty(t)
	up(t, runner, target(db, migrations.Tenant, "public"))
	up(t, runner, target(db, migrations.Shared, "public"))
	for what, sql := range notForACluster {
		for _, table := range models.Tables() {
			require.Empty(t, query(t, db, pgtest.Owner, sql, table.Name, table.Tenant), "%s of %s", what, table.Name)
		}
	}

	// Each query finds what it is for.
	for what, spoil := range map[string]string{
		"keys without the tenant":                            "alter table tasks add unique (id)",
		"unique indexes without the tenant":                  "create unique index on tasks (name)",
		"foreign keys that do not join the tenants' columns": "alter table tasks add column other bigint unique, add foreign key (account_id) references tasks (other)",
		"triggers": `create function nothing() returns trigger language plpgsql as $$ begin return null; end $$;
			create trigger t after insert on tasks referencing new table as added for each statement execute function nothing()`,
		"policies with a subselect":           "create policy more on tasks using (account_id = (select 1))",
		"identity columns that are no bigint": "alter table tasks add column n int generated always as identity",
		"rules and children":                  "create table part () inherits (tasks)",
	} {
		db.Exec(t, pgtest.Owner, spoil)
		require.NotEmpty(t, query(t, db, pgtest.Owner, notForACluster[what], "tasks", "account_id"), what)
	}
	require.Len(t, notForACluster, 7)
}
