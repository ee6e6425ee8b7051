package testpg

import (
	"context"
	"fmt"
	"regexp"
	"sync"

	"github.com/jackc/pgx/v5"
)

// keptTemplates is how many templates are kept, the newest ones; those that a
// running test process uses are kept besides.
const keptTemplates = 12

// keyPattern keeps a template's name within PostgreSQL's 63 bytes.
var keyPattern = regexp.MustCompile(`^[A-Za-z0-9_-]{1,50}$`)

type build = func(ctx context.Context, conn *pgx.Conn) error

// template makes sure, once per process, that the template of a key is there,
// and returns its name.
func (c *cluster) template(ctx context.Context, key string, fill build) (string, error) {
	if !keyPattern.MatchString(key) {
		return "", fmt.Errorf("the template key %q must be 1 to 50 letters, digits, _ or -", key)
	}
	once, _ := c.templates.LoadOrStore(key, sync.OnceValue(func() error {
		return c.ensureTemplate(ctx, key, fill)
	}))
	return templateName(key), once.(func() error)()
}

func templateName(key string) string { return "template_" + key }

func (c *cluster) ensureTemplate(ctx context.Context, key string, fill build) error {
	// From here on, until this process ends, nobody drops the template.
	if err := c.hold(ctx, `select pg_advisory_lock_shared($1, hashtext($2))`, useLock, templateName(key)); err != nil {
		return err
	}
	if exists, err := c.exists(ctx, templateName(key)); err != nil || exists {
		return err
	}
	// A connection of its own: others wait for the same lock with theirs.
	conn, err := pgx.Connect(ctx, c.dsn("postgres", Superuser))
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx)) // gives up the lock
	if _, err := conn.Exec(ctx, `select pg_advisory_lock($1, hashtext($2))`, buildLock, templateName(key)); err != nil {
		return err
	}
	if exists, err := c.exists(ctx, templateName(key)); err != nil || exists {
		return err
	}
	return c.build(ctx, key, fill)
}

func (c *cluster) exists(ctx context.Context, name string) (exists bool, err error) {
	err = c.admin.QueryRow(ctx, `select exists (select from pg_database where datname = $1)`, name).Scan(&exists)
	return exists, err
}

// build makes the template under another name first: what has the name of a
// template is always complete.
func (c *cluster) build(ctx context.Context, key string, fill build) error {
	unfinished := ident("building_" + key)
	if err := c.drop(ctx, "building_"+key); err != nil {
		return err
	}
	if err := c.create(ctx, "building_"+key, "template0"); err != nil {
		return err
	}
	if err := c.fill(ctx, "building_"+key, fill); err != nil {
		return err
	}
	// Nobody can copy a database while somebody is connected to it.
	if _, err := c.admin.Exec(ctx, `alter database `+unfinished+` allow_connections false`); err != nil {
		return err
	}
	_, err := c.admin.Exec(ctx, `alter database `+unfinished+` rename to `+ident(templateName(key)))
	return err
}

func (c *cluster) fill(ctx context.Context, database string, fill build) error {
	conn, err := pgx.Connect(ctx, c.dsn(database, Owner))
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if err := fill(ctx, conn); err != nil {
		return err
	}
	// No autovacuum will do it, and the planner needs it.
	if _, err := conn.Exec(ctx, `analyze`); err != nil {
		return err
	}
	return conn.Close(ctx)
}

// create makes a database of the owner's from a template. Copying files was
// measured to take two thirds of the time of the other strategy, wal_log, and
// half when several tests do it at once.
func (c *cluster) create(ctx context.Context, name, template string) error {
	_, err := c.admin.Exec(ctx, fmt.Sprintf(`create database %s template %s owner %s strategy file_copy`,
		ident(name), ident(template), ident(Owner)))
	return err
}

func ident(name string) string { return pgx.Identifier{name}.Sanitize() }
