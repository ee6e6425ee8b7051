// Package notesdb is what the examples share: a database with one tenanted table, two tenants, and the test that each
// example must pass.
package notesdb

import (
	"context"
	_ "embed"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"tenanted/scopes"
	"tenanted/scopes/pgtest"
)

// Schema is the table of notes for tenants with UUIDs, SchemaText the one for tenants with texts for ids.
var (
	//go:embed schema.sql
	Schema string
	//go:embed schema_text.sql
	SchemaText string
)

// Two tenants. Whoever puts one of them into a context works for it: see [As].
var (
	Acme     = scopes.Tenant{ID: uuid.MustParse("0b5f8b3e-3a44-4f0e-9d5c-7d2f4a1c9e01"), Slug: "acme"}
	Umbrella = scopes.Tenant{ID: uuid.MustParse("c7d0a9f4-52b1-4f7b-8a36-1e9b60d3aa02"), Slug: "umbrella"}
)

// As returns the test's context for a tenant.
func As(t testing.TB, tenant scopes.Tenant) context.Context {
	return scopes.WithTenant(pgtest.Context(t), tenant)
}

// Directory knows tenants by their slugs. In a real program it reads a table; it implements tenanthttp.Directory.
type Directory map[string]scopes.Tenant

// Tenants is the directory of both tenants.
var Tenants = Directory{Acme.Slug: Acme, Umbrella.Slug: Umbrella}

// Lookup returns the tenant with a slug.
func (d Directory) Lookup(_ context.Context, slug string) (scopes.Tenant, error) {
	if tenant, ok := d[slug]; ok {
		return tenant, nil
	}
	return scopes.Tenant{}, &scopes.TenantUnknownError{Slug: slug}
}

// DB is the database of one test.
type DB struct {
	*pgtest.DB
	// Runtime says how to connect as the role that row-level security binds. A program has it from
	// pgx.ParseConfig(os.Getenv("DATABASE_URL")).
	Runtime *pgx.ConnConfig
	// Sent counts the round trips of Runtime's connections.
	Sent *pgtest.RoundTrips
}

// New makes a database with a schema. further is called on the new database, as the tables' owner.
func New(t testing.TB, schema string, further ...func(context.Context, *pgx.Conn) error) *DB {
	t.Helper()
	db := pgtest.Database(t, "notes", func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, schema+"; grant select, insert, update, delete on notes to "+pgtest.Runtime)
		for _, f := range further {
			if err == nil {
				err = f(ctx, conn)
			}
		}
		return err
	}, schema)
	sent := &pgtest.RoundTrips{}
	return &DB{DB: db, Runtime: sent.Watch(db.Config(pgtest.Runtime)), Sent: sent}
}

// RequireNothingSent calls f, which must send nothing to the server. database/sql opens a connection, and pgx pings one that has
// been idle for a second, before the session has seen the statement; they do so once, so f may try again.
func (db *DB) RequireNothingSent(t testing.TB, f func()) {
	t.Helper()
	for range 5 {
		before := db.Sent.N()
		f()
		if db.Sent.N() == before {
			return
		}
	}
	t.Error("something was sent to the server")
}
