package audit_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tenanted/scopes/audit"
	"tenanted/scopes/pgtest"
)

// oldKeys makes of the application's tables what they might have been before there were tenants.
const oldKeys = `
	alter table subtasks drop constraint subtasks_account_id_task_id_fkey, drop constraint subtasks_pkey,
		add primary key (id), alter account_id drop not null;
	alter table tasks drop constraint tasks_account_id_project_id_fkey, drop constraint tasks_pkey, add primary key (id);
	alter table projects drop constraint projects_pkey, add primary key (id);
	alter table users drop constraint users_account_id_email_key, add constraint uni_email unique (email) deferrable;
	create unique index by_name on users (lower(last_name), first_name desc) include (id) where id > 0;
	create unique index by_date on users (date_joined);
	alter table subtasks add constraint of_task foreign key (task_id) references tasks on delete cascade deferrable initially deferred;
	alter table tasks alter project_id drop not null,
		add constraint of_project foreign key (project_id) references projects on delete set null on update cascade;`

// TestFixesKeepWhatKeysDo applies all fixes from top to bottom, and looks at what has become of the keys.
func TestFixesKeepWhatKeysDo(t *testing.T) {
	t.Parallel()
	w := newFixture(t)
	w.Exec(t, pgtest.Owner, oldKeys)
	w.applyAll(t, w.audit(t, audit.Config{}))

	report := w.audit(t, audit.Config{})
	require.Equal(t, []string{"fk-action"}, found(report, audit.Defect), "%+v", report.Defects())
	require.Equal(t, []string{
		`subtasks_account_id_task_id_fkey: FOREIGN KEY (account_id, task_id) REFERENCES tasks(account_id, id) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED`,
		`tasks_account_id_project_id_fkey: FOREIGN KEY (account_id, project_id) REFERENCES projects(account_id, id) ON UPDATE CASCADE ON DELETE SET NULL (project_id)`,
		`tasks_pkey: PRIMARY KEY (account_id, id)`,
		`uni_email: UNIQUE (account_id, email) DEFERRABLE`,
	}, w.list(t, `select conname || ': ' || pg_get_constraintdef(oid) from pg_constraint where convalidated
		and conname ~ '^(subtasks_account_id_t.*|tasks_account_id_p.*|tasks_pkey|uni_email)$' order by 1`))
	require.Equal(t, []string{
		`CREATE UNIQUE INDEX by_date ON public.users USING btree (account_id, date_joined)`,
		`CREATE UNIQUE INDEX by_name ON public.users USING btree (account_id, lower(last_name), first_name DESC) INCLUDE (id) WHERE (id > 0)`,
	}, w.list(t, "select indexdef from pg_indexes where indexname ~ '^by_' order by 1"))

	w.applyAll(t, report)
	require.Empty(t, w.audit(t, audit.Config{}).Defects())
	require.Equal(t, []string{"FOREIGN KEY (account_id, project_id) REFERENCES projects(account_id, id) ON DELETE SET NULL (project_id)"},
		w.list(t, "select pg_get_constraintdef(oid) from pg_constraint where contype = 'f' and conrelid = 'tasks'::regclass"))
}

// TestFixesLockForAMoment looks for the forms of SQL that lock a table for as long as its rows take.
func TestFixesLockForAMoment(t *testing.T) {
	t.Parallel()
	w := newFixture(t)
	w.Exec(t, pgtest.Owner, oldKeys)
	for _, c := range w.audit(t, audit.Config{}).Defects() {
		for line := range strings.Lines(c.Fix) {
			switch {
			case strings.HasPrefix(line, "--"):
			case strings.Contains(line, " index "):
				require.Regexp(t, "(create unique|drop) index concurrently|using index|alter index", line)
			case strings.Contains(line, " foreign key ") || strings.Contains(line, " check "):
				require.Contains(t, line, " not valid;")
			case strings.Contains(line, " set not null"):
				require.Contains(t, c.Fix, " validate constraint ")
			}
		}
	}
}

// list returns the answer to a query of one column.
func (w fixture) list(t *testing.T, query string) (list []string) {
	t.Helper()
	rows, err := w.admin.Query(t.Context(), query)
	require.NoError(t, err)
	defer rows.Close()
	for rows.Next() {
		var text string
		require.NoError(t, rows.Scan(&text))
		list = append(list, text)
	}
	require.NoError(t, rows.Err())
	return list
}
