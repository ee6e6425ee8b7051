package talk

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/sync/errgroup"

	"tenanted/migrations"
	"tenanted/scopes"
)

// Server says where a lab is made.
type Server struct {
	// Database is the name of the lab's main database; its others begin with it and an underscore.
	Database string
	// Owner makes and owns the databases, and may create them. Runtime is the role of the application. Their database does not matter.
	Owner, Runtime *pgx.ConnConfig
	// Superuser may do everything, and makes the roles where they are missing. Nil: there is none, and some experiments cannot run.
	Superuser *pgx.ConnConfig
	// BinDir is where pg_dump is. Empty: in the PATH.
	BinDir string
	// Private says that nobody is disturbed when the server has no locks left for a moment.
	Private bool
}

// Lab is the databases that the experiments run on.
type Lab struct {
	server Server
	// Tenants are five, with their rows in the schema of shared tables, in a schema, and in a database of their own.
	Tenants []scopes.Tenant

	policies  once       // the tables of the experiment on policies
	exclusive sync.Mutex // for experiments that make databases of their own
}

// once is a sync.Once for what may fail: then it is tried again.
type once struct {
	mutex sync.Mutex
	done  bool
}

func (o *once) do(f func() error) error {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	if o.done {
		return nil
	}
	err := f()
	o.done = err == nil
	return err
}

var tenantNames = []string{"Acme", "Bolt", "Cobalt", "Delta", "Ember"}

// ForeignError says that a database of the lab's name is not the lab's.
type ForeignError struct{ Database string }

func (e *ForeignError) Error() string {
	return fmt.Sprintf("database %q exists and was not made for experiments: it is left alone; choose another name", e.Database)
}

// Open makes what is missing of the lab, which takes some seconds the first time. say gets a line for each step.
func Open(ctx context.Context, server Server, say func(string)) (*Lab, error) {
	l := &Lab{server: server}
	for i, name := range tenantNames {
		l.Tenants = append(l.Tenants, scopes.Tenant{ID: scopes.TenantID(i + 1), Slug: fmt.Sprintf("tenant-%d", i), Name: name,
			Placement: scopes.Placement{Database: server.Database, Schema: fullSchema}})
	}
	if err := l.ensureRoles(ctx); err != nil {
		return nil, err
	}
	conn, err := l.maintenance(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	missing, err := l.ensureDatabases(ctx, conn, say)
	if err != nil {
		return nil, err
	}
	var group errgroup.Group
	group.SetLimit(4)
	for _, name := range missing {
		group.Go(func() error { return l.fill(ctx, name) })
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	for _, name := range missing {
		if err := mark(ctx, conn, name); err != nil {
			return nil, err
		}
	}
	return l, nil
}

// ensureRoles makes the owner and the runtime role where a superuser is at hand.
func (l *Lab) ensureRoles(ctx context.Context) error {
	if l.server.Superuser == nil {
		return nil
	}
	conn, err := pgx.ConnectConfig(ctx, l.server.Superuser)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	for _, role := range []struct{ name, attributes string }{{l.server.Owner.User, " login createdb"}, {l.server.Runtime.User, " login"}} {
		var exists bool
		if err := conn.QueryRow(ctx, "select exists (select from pg_roles where rolname = $1)", role.name).Scan(&exists); err != nil {
			return err
		}
		if exists {
			continue
		}
		if _, err := conn.Exec(ctx, "create role "+pgx.Identifier{role.name}.Sanitize()+role.attributes); err != nil {
			return err
		}
	}
	return nil
}

// maintenance connects as the owner to a database that every server has.
func (l *Lab) maintenance(ctx context.Context) (conn *pgx.Conn, err error) {
	for _, name := range []string{"postgres", "template1"} {
		if conn, err = pgx.ConnectConfig(ctx, l.as(l.server.Owner, name)); err == nil {
			return conn, nil
		}
	}
	return nil, err
}

// as returns a role's connection to a database.
func (l *Lab) as(role *pgx.ConnConfig, database string) *pgx.ConnConfig {
	config := role.Copy()
	config.Database = database
	return config
}

// databases are those of the lab: the main one, and each tenant's own.
func (l *Lab) databases() []string {
	names := []string{l.server.Database}
	for _, t := range l.Tenants {
		names = append(names, l.ownDatabase(t).Database)
	}
	return names
}

// ownDatabase and ownSchema are a tenant in the other two strategies.
func (l *Lab) ownDatabase(t scopes.Tenant) scopes.Tenant {
	t.Placement = scopes.Placement{Database: l.server.Database + "_" + t.Slug, Schema: "public"}
	return t
}

func (l *Lab) ownSchema(t scopes.Tenant) scopes.Tenant {
	t.Schema = t.Slug
	return t
}

// in returns a tenant in one of the schemas of shared tables.
func in(t scopes.Tenant, schema string) scopes.Tenant {
	t.Schema = schema
	return t
}

// markPrefix begins the comment of a database of a lab. A hash of what it is made from follows.
const markPrefix = "made for tenanted's experiments, "

var hash = sync.OnceValue(func() string {
	h := fnv.New64a()
	_ = fs.WalkDir(source, ".", func(path string, _ fs.DirEntry, err error) error {
		if content, readErr := source.ReadFile(path); err == nil && readErr == nil && (path == "lab.go" || path == "fill.go") {
			_, _ = h.Write(content) // never fails
		}
		return err
	})
	return fmt.Sprintf("%x %d", h.Sum64(), migrations.Tenant.Newest())
})

// ensureDatabases makes the databases that are missing, not complete or outdated, and returns them. It refuses those that are no lab's before
// it changes any.
func (l *Lab) ensureDatabases(ctx context.Context, conn *pgx.Conn, say func(string)) (missing []string, err error) {
	marks := map[string]string{}
	rows, _ := conn.Query(ctx, `select datname::text, coalesce(shobj_description(oid, 'pg_database'), '') from pg_database where datname = any($1)`, l.databases())
	var name, mark string
	if _, err := pgx.ForEachRow(rows, []any{&name, &mark}, func() error {
		marks[name] = mark
		return nil
	}); err != nil {
		return nil, err
	}
	for name, mark := range marks {
		if len(mark) < len(markPrefix) || mark[:len(markPrefix)] != markPrefix {
			return nil, &ForeignError{name}
		}
	}
	for _, name := range l.databases() {
		if marks[name] != markPrefix+hash() {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		say(fmt.Sprintf("making %d databases for the experiments, from %s on", len(missing), missing[0]))
	}
	for _, name := range missing {
		if err := recreate(ctx, conn, name); err != nil {
			return nil, err
		}
	}
	return missing, nil
}

// recreate makes a database anew, and marks it as a lab's at once.
func recreate(ctx context.Context, conn *pgx.Conn, name string) error {
	quoted := pgx.Identifier{name}.Sanitize()
	if err := drop(ctx, conn, name); err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, "create database "+quoted); err != nil {
		return createError(err, conn.Config().User)
	}
	_, err := conn.Exec(ctx, "comment on database "+quoted+" is "+quoteLiteral(markPrefix+"not complete"))
	return err
}

func drop(ctx context.Context, conn *pgx.Conn, name string) error {
	_, err := conn.Exec(ctx, "drop database if exists "+pgx.Identifier{name}.Sanitize()+" with (force)")
	return err
}

func createError(err error, role string) error {
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok && pgErr.Code == "42501" {
		return fmt.Errorf("role %q may not create databases: as a superuser, alter role %s createdb", role, pgx.Identifier{role}.Sanitize())
	}
	return err
}

// mark says that a database is complete.
func mark(ctx context.Context, conn *pgx.Conn, name string) error {
	_, err := conn.Exec(ctx, "comment on database "+pgx.Identifier{name}.Sanitize()+" is "+quoteLiteral(markPrefix+hash()))
	return err
}
