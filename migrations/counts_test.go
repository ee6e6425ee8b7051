package migrations_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"tenanted/internal/testpg"
	"tenanted/migrations"
)

// The kept count is the count, through every kind of write, by writers of the same tenant at once.
func TestSubtaskCountsAreExact(t *testing.T) {
	t.Parallel()
	db, runner := empty(t)
	up(t, runner, target(db, migrations.Tenant, "public"))
	db.Exec(t, testpg.Owner, `
		insert into accounts (id, slug, name) values (1, 'a', 'a'), (2, 'b', 'b');
		insert into projects (account_id, id, name) values (1, 1, ''), (2, 1, '');
		insert into tasks (account_id, id, project_id, name) values (1, 1, 1, ''), (2, 1, 1, '');
		insert into subtasks (account_id, id, task_id, name) select a, i, 1, '' from generate_series(1, 2) a, generate_series(1, 1000) i`)
	var writers sync.WaitGroup
	for w := range 4 {
		conn := db.Connect(t, testpg.Runtime)
		writers.Go(func() {
			for i := range 150 { // so that rows are folded, one time in a hundred
				sql := fmt.Sprintf(`set app.tenant_id = %d; insert into subtasks (account_id, id, task_id, name) values (%[1]d, %d, 1, '')
					on conflict (account_id, id) do update set name = 'again';
					delete from subtasks where id = %d;
					begin; delete from subtasks where id > 2000; rollback`, 1+w%2, 2000+i, 1+w*200+i)
				if _, err := conn.Exec(t.Context(), sql); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	writers.Wait()
	requireCountsExact(t, db)
	require.Equal(t, []string{"true"}, query(t, db, testpg.Owner, "select (count(*) < 400)::text from subtask_counts"), "folded")
	db.Exec(t, testpg.Owner, "truncate subtasks")
	requireCountsExact(t, db)
}

func requireCountsExact(t *testing.T, db *testpg.DB) {
	t.Helper()
	for account := 1; account <= 2; account++ {
		kept := query(t, db, testpg.Owner, "select coalesce(sum(change), 0)::text from subtask_counts where account_id = $1", account)
		require.Equal(t, query(t, db, testpg.Owner, "select count(*)::text from subtasks where account_id = $1", account), kept)
	}
}
