package migrations_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"tenanted/internal/testpg"
	"tenanted/migrations"
)

const trigramIndexes = "select schemaname || '.' || indexname from pg_indexes where indexname = 'subtasks_name_trigrams'"

// The index for search over all tenants is where the tenants share a schema, and nowhere else.
func TestTrigramIndexIsBesideTheDirectoryOnly(t *testing.T) {
	t.Parallel()
	shared, runner := empty(t)
	up(t, runner, target(shared, migrations.Control, "control"), target(shared, migrations.Tenant, "public"), target(shared, migrations.Tenant, "tenant-0"))
	require.Equal(t, []string{"public.subtasks_name_trigrams"}, query(t, shared, testpg.Owner, trigramIndexes))

	own, runner := empty(t)
	up(t, runner, target(own, migrations.Tenant, "public"))
	require.Empty(t, query(t, own, testpg.Owner, trigramIndexes))
}

// An owner who may not create extensions gets everything else.
func TestMigrateWithoutTheRightToCreateExtensions(t *testing.T) {
	t.Parallel()
	db, runner := empty(t)
	db.Exec(t, testpg.Superuser, `alter database "`+db.Name+`" owner to `+testpg.Superuser)
	db.Exec(t, testpg.Superuser, "create schema control authorization "+testpg.Owner+"; grant create on schema public to "+testpg.Owner)
	up(t, runner, target(db, migrations.Control, "control"), target(db, migrations.Tenant, "public"))
	require.Empty(t, query(t, db, testpg.Owner, trigramIndexes))
	require.Equal(t, []string{"0"}, query(t, db, testpg.Owner, "select count(*)::text from subtasks where name ilike '%x%'"))
}
