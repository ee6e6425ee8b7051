package migrations_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"tenanted/internal/testpg"
	"tenanted/migrations"
)

// The indexes of the list over all tenants are where the tenants share a schema, and nowhere else.
func TestIndexesOverAllTenantsAreBesideTheDirectoryOnly(t *testing.T) {
	t.Parallel()
	const indexes = `select schemaname || '.' || indexname from pg_indexes
		where indexname in ('subtasks_all', 'subtasks_words') order by 1`
	shared, runner := empty(t)
	up(t, runner, target(shared, migrations.Control, "control"), target(shared, migrations.Tenant, "public"), target(shared, migrations.Tenant, "tenant-0"))
	require.Equal(t, []string{"public.subtasks_all", "public.subtasks_words"}, query(t, shared, testpg.Owner, indexes))

	own, runner := empty(t)
	up(t, runner, target(own, migrations.Tenant, "public"))
	require.Empty(t, query(t, own, testpg.Owner, indexes))
}
