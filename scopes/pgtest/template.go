package pgtest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"regexp"
	"sync"

	"github.com/jackc/pgx/v5"
)

// keptTemplates is how many templates are kept, the newest ones; those that a
// running test process uses are kept too.
const keptTemplates = 24

// namePattern keeps a template's full name within PostgreSQL's 63 bytes.
var namePattern = regexp.MustCompile(`^[A-Za-z0-9_-]{1,32}$`)

type build = func(ctx context.Context, conn *pgx.Conn) error

// template makes sure, once per process, that the template of a key is there,
// and returns its name.
func (c *cluster) template(ctx context.Context, key string, fill build) (string, error) {
	once, _ := c.templates.LoadOrStore(key, sync.OnceValue(func() error {
		return c.ensureTemplate(ctx, key, fill)
	}))
	return templateName(key), once.(func() error)()
}

func templateName(key string) string { return "template_" + key }

// templateKey identifies a template by all that it is made of: the test program, which contains the build function,
// the migrations and the fixtures, and inputs from outside of it. A name alone would let a checkout, or a later
// version of the same one, work on tables that it does not make any more.
func templateKey(program []byte, name string, inputs []string) (string, error) {
	if !namePattern.MatchString(name) {
		return "", fmt.Errorf("the template name %q must be 1 to 32 letters, digits, _ or -", name)
	}
	hash := sha256.Sum256(fmt.Appendf(nil, "%x %q", program, inputs))
	return name + "-" + hex.EncodeToString(hash[:8]), nil
}

// programHash returns the hash of the running test program.
var programHash = sync.OnceValues(func() ([]byte, error) {
	path, err := os.Executable()
	if err != nil {
		return nil, err
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	hash := sha256.New()
	_, err = io.Copy(hash, file)
	return hash.Sum(nil), err
})

func (c *cluster) ensureTemplate(ctx context.Context, key string, fill build) error {
	// From here on, until this process ends, no process drops the template.
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
	// A database cannot be copied while a session is connected to it.
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
