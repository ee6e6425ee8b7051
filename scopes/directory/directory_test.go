package directory_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"tenanted/scopes"
	"tenanted/scopes/directory"
	"tenanted/scopes/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

const acme = "6ba7b810-9dad-11d1-80b4-00c04fd430c8"

// database has a table of a stranger's, with all columns, and one with the least.
func database(t testing.TB) *pgtest.DB {
	return pgtest.Database(t, "directory", func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, `
			create table tenants (id uuid primary key, slug text unique, name text, database text, schema text, state text not null, plan text);
			insert into tenants values ('`+acme+`', 'acme', 'Acme', null, 'acme_schema', 'active', 'gold'),
				(gen_random_uuid(), 'gone', 'Gone', 'elsewhere', 's', 'suspended', null);
			create table domains (domain text primary key, tenant text);
			insert into domains values ('app.acme.com', 'acme'), ('www.gone.org', 'gone'), ('formerly', 'acme');
			create table organizations (id int primary key, slug text);
			insert into organizations values (7, 'seven'), (0, 'nobody');
			create function told() returns trigger language plpgsql as $$ begin notify tenant_changes; return null; end $$;
			create trigger told after update or delete on tenants execute function told();
			grant select on tenants, domains, organizations to `+pgtest.Runtime)
		return err
	})
}

func open(t testing.TB, db *pgtest.DB, config directory.Config) *directory.Directory {
	t.Helper()
	config.Database = db.Config(pgtest.Runtime)
	d, err := directory.Open(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, d.Close()) })
	return d
}

func TestLookup(t *testing.T) {
	t.Parallel()
	db := database(t)
	d := open(t, db, directory.Config{})
	want := scopes.Tenant{ID: acme, Slug: "acme", Name: "Acme", Placement: scopes.Placement{Database: db.Name, Schema: "acme_schema"}}
	for range 2 { // the second answer is remembered
		found, err := d.Lookup(t.Context(), "acme")
		require.NoError(t, err)
		require.Equal(t, want, found)
		_, err = d.Lookup(t.Context(), "gone")
		require.Equal(t, &scopes.TenantUnavailableError{Slug: "gone", State: "suspended"}, err)
		for _, name := range []string{"nobody", "", "ACME", "acme'", "acme.", ".", "10.0.0.1", "a b.com", "acme\x00"} {
			_, err = d.Lookup(t.Context(), name)
			require.Equal(t, &scopes.TenantUnknownError{Slug: name}, err)
		}
	}
	require.Equal(t, directory.Stats{Remembered: 3, Asked: 3, Known: 2, Unknown: 1}, d.Stats())
}

// A tenant has its id and slug at least; whatever else it is called leads to it.
func TestQueries(t *testing.T) {
	t.Parallel()
	db := database(t)
	least := open(t, db, directory.Config{Query: "select id, slug from organizations where slug = $1"})
	found, err := least.Lookup(t.Context(), "seven")
	require.NoError(t, err)
	require.Equal(t, scopes.Tenant{ID: scopes.TenantID(7), Slug: "seven", Placement: scopes.Placement{Database: db.Name}}, found)
	_, err = least.Lookup(t.Context(), "nobody")
	require.ErrorContains(t, err, "its id 0 is nobody's")

	named := open(t, db, directory.Config{Query: "select * from tenants where slug = $1 or slug = (select tenant from domains where domain = $1)"})
	found, err = named.Lookup(t.Context(), "app.acme.com")
	require.NoError(t, err)
	require.Equal(t, acme, found.Key())
	_, err = named.Lookup(t.Context(), "www.gone.org")
	require.Equal(t, &scopes.TenantUnavailableError{Slug: "www.gone.org", State: "suspended"}, err)
	_, err = named.Lookup(t.Context(), "formerly")
	require.Equal(t, &scopes.TenantRenamedError{Slug: "formerly", Now: "acme"}, err)

	for query, want := range map[string]string{
		"select 1 as id where $1 <> ''":        `the query has no column "slug"`,
		"select slug from tenants":             "cannot be inferred|expected 0 arguments|extra argument|mismatched",
		"select * from nothing where a = $1":   `relation "nothing" does not exist`,
		"select * from tenants where $1 <> ''": "too many rows",
	} {
		_, err := open(t, db, directory.Config{Query: query}).Lookup(t.Context(), "acme")
		require.ErrorContains(t, err, `look up tenant "acme": `)
		require.Regexp(t, want, err.Error())
	}
}

// What is remembered is forgotten after a while, found tenants and names of nobody alike.
// A tenant on another server has a database there: no default stands in for one.
func TestServers(t *testing.T) {
	t.Parallel()
	db := database(t)
	on := func(placement string) (scopes.Tenant, error) {
		return open(t, db, directory.Config{Query: "select 1 as id, $1::text as slug, " + placement}).Lookup(t.Context(), "acme")
	}
	found, err := on("'eu' as server, 'x' as database, 'public' as schema")
	require.NoError(t, err)
	require.Equal(t, scopes.Placement{Server: "eu", Database: "x", Schema: "public"}, found.Placement)
	found, err = on("null::text as server")
	require.NoError(t, err)
	require.Equal(t, scopes.Placement{Database: db.Name}, found.Placement)
	_, err = on("'eu' as server, null::text as database")
	require.ErrorContains(t, err, `it is on server "eu", and in no database there`)
}

func TestAnswersExpire(t *testing.T) {
	t.Parallel()
	db := database(t)
	d := open(t, db, directory.Config{KnownFor: 10, UnknownFor: 2})
	var now atomic.Int64
	d.SetClock(func() time.Time { return time.Unix(0, now.Load()) })
	state := func(slug string) string {
		_, err := d.Lookup(t.Context(), slug)
		return fmt.Sprint(err)
	}
	require.Equal(t, "<nil>", state("acme"))
	require.Contains(t, state("new"), "no tenant")
	db.Exec(t, pgtest.Owner, "insert into tenants values (gen_random_uuid(), 'new', 'New', 'd', 's', 'active'); update tenants set state = 'suspended' where slug = 'acme'")
	now.Store(1)
	require.Contains(t, state("new"), "no tenant", "still remembered")
	now.Store(2)
	require.Equal(t, "<nil>", state("new"))
	require.Equal(t, "<nil>", state("acme"), "still remembered")
	now.Store(10)
	require.Contains(t, state("acme"), "suspended")
	db.Exec(t, pgtest.Owner, "delete from tenants")
	now.Store(20)
	require.Contains(t, state("acme"), "no tenant")
	require.Contains(t, state("new"), "no tenant")
}

// Time stands still, so that only the notification can tell.
func TestWatch(t *testing.T) {
	t.Parallel()
	db := database(t)
	d := open(t, db, directory.Config{})
	began := time.Now()
	d.SetClock(func() time.Time { return began })
	d.Watch(t.Context())
	becomes := func(want string) {
		t.Helper()
		require.Eventually(t, func() bool {
			_, err := d.Lookup(t.Context(), "acme")
			return fmt.Sprint(err) == want
		}, 10*time.Second, 2*time.Millisecond, want)
	}
	for range 3 {
		becomes("<nil>")
		db.Exec(t, pgtest.Owner, "update tenants set state = 'suspended' where slug = 'acme'")
		becomes(`tenant "acme" is not served now: it is in state "suspended"`)
		db.Exec(t, pgtest.Owner, "update tenants set state = 'active' where slug = 'acme'")
	}
	db.Exec(t, pgtest.Superuser, "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and query like 'listen%'")
	db.Exec(t, pgtest.Owner, "delete from tenants where slug = 'acme'")
	becomes(`no tenant is called "acme"`)
}

// The notification may come between a lookup's answer and the moment that it is remembered, which is when the clock is
// asked.
func TestAnAnswerFromBeforeAChangeIsNotRemembered(t *testing.T) {
	t.Parallel()
	db := database(t)
	d := open(t, db, directory.Config{})
	began, changed := time.Now(), false
	d.SetClock(func() time.Time {
		if !changed {
			changed = true
			db.Exec(t, pgtest.Owner, "update tenants set state = 'suspended'")
			d.Forget()
		}
		return began
	})
	_, err := d.Lookup(t.Context(), "acme")
	require.NoError(t, err)
	_, err = d.Lookup(t.Context(), "acme")
	require.Equal(t, &scopes.TenantUnavailableError{Slug: "acme", State: "suspended"}, err)
}

// A flood of made-up names leaves the tenants in memory.
func TestUnknownNamesEvictNoTenant(t *testing.T) {
	t.Parallel()
	d := open(t, database(t), directory.Config{KnownMax: 2, UnknownMax: 3})
	for i := range 20 {
		_, err := d.Lookup(t.Context(), "acme")
		require.NoError(t, err)
		_, err = d.Lookup(t.Context(), fmt.Sprintf("made-up-%d", i))
		require.Error(t, err)
	}
	require.Equal(t, directory.Stats{Remembered: 19, Asked: 21, Known: 1, Unknown: 3}, d.Stats())
}

func TestADatabaseThatIsAway(t *testing.T) {
	t.Parallel()
	config, err := pgx.ParseConfig("host=localhost port=1 user=who password=hidden database=what")
	require.NoError(t, err)
	d, err := directory.Open(t.Context(), directory.Config{Database: config})
	require.NoError(t, err)
	defer d.Close()
	_, err = d.Lookup(t.Context(), "acme")
	require.ErrorIs(t, err, scopes.ErrUnavailable)
	require.Regexp(t, `^look up tenant "acme": cannot connect to database "what" on \S+ as role "who": [^\n]*$`, err.Error())
	require.ErrorIs(t, d.Ping(t.Context()), scopes.ErrUnavailable)
	for _, wrong := range []directory.Config{{}, {Database: config, KnownMax: -1}} {
		_, err = directory.Open(t.Context(), wrong)
		require.ErrorContains(t, err, "directory: ")
	}
}
