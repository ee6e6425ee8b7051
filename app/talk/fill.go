package talk

import (
	"context"
	"strings"

	"github.com/jackc/pgx/v5"

	"tenanted/migrations"
	"tenanted/scopes"
)

// rowsSQL fills one account of number $n: two projects of two tasks of $n + 3 subtasks, a user, and a person who lives in the same country
// as one of each other account. Ids are unique over all accounts, so that tables without composite keys can hold them.
const rowsSQL = `
	insert into accounts (id) values ($n);
	insert into users (account_id, id, email, first_name, last_name, password_hash)
		select $n, $n * 100 + u, 'user-' || u || '@$slug.example', 'Una', '$name', '' from generate_series(1, 3) u;
	insert into projects (account_id, id, name) select $n, $n * 100 + p, '$name project ' || p from generate_series(1, 2) p;
	insert into tasks (account_id, id, project_id, name)
		select $n, $n * 100 + p * 10 + t, $n * 100 + p, '$name task ' || p || '.' || t from generate_series(1, 2) p, generate_series(1, 2) t;
	insert into subtasks (account_id, id, task_id, name)
		select $n, t.id * 10 + s, t.id, '$name subtask ' || s from tasks t, generate_series(1, $n + 3) s where t.account_id = $n;
	insert into people (account_id, id, country, name) values ($n, $n * 100 + 1, 'at', '$name''s Petra');`

// sharedSQL is a table that all tenants share, and one of theirs that refers to it.
const sharedSQL = `
	create table countries (code text primary key, name text not null);
	insert into countries values ('at', 'Austria');
	create table people (
		account_id bigint not null references accounts (id), id bigint not null, country text not null references countries (code), name text not null,
		primary key (account_id, id));
	alter table people enable row level security;
	create policy tenant on people using (account_id = nullif(current_setting('app.tenant_id', true), '')::bigint);
	grant select on countries, people to $runtime;`

// keylessSQL replaces the keys by such as many programs have: an id alone, and an email that is unique in the whole table.
const keylessSQL = `
	alter table subtasks drop constraint subtasks_account_id_task_id_fkey, drop constraint subtasks_pkey, add primary key (id);
	alter table tasks drop constraint tasks_account_id_project_id_fkey, drop constraint tasks_pkey, add primary key (id);
	alter table projects drop constraint projects_pkey, add primary key (id);
	alter table users drop constraint users_account_id_email_key, add unique (email);
	alter table tasks add foreign key (project_id) references projects (id);
	alter table subtasks add foreign key (task_id) references tasks (id);`

const noPoliciesSQL = `
	alter table accounts disable row level security; alter table users disable row level security; alter table projects disable row level security;
	alter table tasks disable row level security; alter table subtasks disable row level security; alter table people disable row level security;`

// place is a schema of the lab: which tenants' rows it has, and what is changed in it afterwards.
type place struct {
	schema  string
	tenants []scopes.Tenant
	change  string
}

func (l *Lab) places(database string) []place {
	if database != l.server.Database {
		for _, t := range l.Tenants {
			if l.ownDatabase(t).Database == database {
				return []place{{"public", []scopes.Tenant{t}, ""}}
			}
		}
	}
	places := []place{
		{fullSchema, l.Tenants, ""},
		{unguardedSchema, l.Tenants, noPoliciesSQL},
		{keylessSchema, l.Tenants, keylessSQL},
		{bareSchema, l.Tenants, keylessSQL + noPoliciesSQL},
	}
	for _, t := range l.Tenants {
		places = append(places, place{t.Slug, []scopes.Tenant{t}, ""})
	}
	return places
}

// fill makes the schemas of a new database.
func (l *Lab) fill(ctx context.Context, database string) error {
	runner := migrations.Runner{Owner: l.as(l.server.Owner, database), Runtime: l.server.Runtime.User}
	conn, err := pgx.ConnectConfig(ctx, runner.Owner)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	for _, p := range l.places(database) {
		target := migrations.Target{Set: migrations.Tenant, Placement: scopes.Placement{Database: database, Schema: p.schema}}
		if err := runner.Up(ctx, target).Err; err != nil {
			return err
		}
		sql := "set search_path = " + pgx.Identifier{p.schema}.Sanitize() + ";" + l.placeSQL(p)
		if _, err := conn.Exec(ctx, sql, pgx.QueryExecModeSimpleProtocol); err != nil {
			return err
		}
	}
	return nil
}

func (l *Lab) placeSQL(p place) string {
	sql := strings.ReplaceAll(sharedSQL, "$runtime", pgx.Identifier{l.server.Runtime.User}.Sanitize())
	for _, t := range p.tenants {
		sql += strings.NewReplacer("$name", t.Name, "$slug", t.Slug, "$n", t.Key()).Replace(rowsSQL)
	}
	return sql + p.change
}

// subtasksOf returns how many subtasks tenant number n has, by rowsSQL.
func subtasksOf(n int64) int64 { return 4 * (n + 3) }

func subtasksOfAll(tenants int) (n int64) {
	for i := range tenants {
		n += subtasksOf(int64(i + 1))
	}
	return n
}

// An id of tenant number n, by rowsSQL.
func projectID(n int64) int64 { return n*100 + 1 }
func taskID(n int64) int64    { return n*100 + 11 }
func subtaskID(n int64) int64 { return taskID(n)*10 + 1 }

// emailOf returns the email of a tenant's first user, by rowsSQL.
func emailOf(slug string) string { return "user-1@" + slug + ".example" }
