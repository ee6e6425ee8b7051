package directory_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"

	"tenanted/scopes/directory"
	"tenanted/scopes/pgtest"
)

// Tenants are rows of a table of the program's own, found by slug or by a host name. tenanthttp.Middleware asks for them.
func Example() {
	config, done := exampleDatabase(`
		create table organizations (id uuid primary key, slug text unique, state text not null);
		create table hosts (host text primary key, organization uuid references organizations);
		insert into organizations values ('6ba7b810-9dad-11d1-80b4-00c04fd430c8', 'acme', 'active'), (gen_random_uuid(), 'umbrella', 'suspended');
		insert into hosts values ('notes.acme.com', '6ba7b810-9dad-11d1-80b4-00c04fd430c8');
		create function find(called text) returns setof organizations language sql stable security definer set search_path = public, pg_temp as
			$$ select o from organizations o where o.slug = called or o.id = (select organization from hosts where host = called) $$;
		create function tell() returns trigger language plpgsql as $$ begin notify tenant_changes; return null; end $$;
		create trigger tell after insert or update or delete on organizations execute function tell()`)
	defer done()

	ctx := context.Background()
	tenants, err := directory.Open(ctx, directory.Config{
		Database: config,                   // as the runtime role, which may not list the table
		Query:    "select * from find($1)", // id, slug and state; name, database and schema where there are such
	})
	if err != nil {
		panic(err)
	}
	defer tenants.Close()
	tenants.Watch(ctx) // a change is known at once, in every process

	for _, name := range []string{"acme", "notes.acme.com", "umbrella", "nobody"} {
		tenant, err := tenants.Lookup(ctx, name)
		fmt.Println(tenant.Key(), err)
	}
	// Output:
	// 6ba7b810-9dad-11d1-80b4-00c04fd430c8 <nil>
	// 6ba7b810-9dad-11d1-80b4-00c04fd430c8 <nil>
	//  tenant "umbrella" is not served now: it is in state "suspended"
	//  no tenant is called "nobody"
}

// exampleDatabase is a database for an example, which has no test to belong to.
func exampleDatabase(tables string) (config *pgx.ConnConfig, done func()) {
	t := &exampleT{}
	db := pgtest.Database(t, "directory-example", func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, tables)
		return err
	}, tables)
	return db.Config(pgtest.Runtime), t.cleanup
}

type exampleT struct {
	testing.TB
	cleanup func()
}

func (*exampleT) Name() string              { return "an example" }
func (*exampleT) Helper()                   {}
func (t *exampleT) Cleanup(f func())        { t.cleanup = f }
func (*exampleT) Errorf(f string, a ...any) { panic(fmt.Sprintf(f, a...)) }
func (*exampleT) FailNow()                  { panic("failed") }
