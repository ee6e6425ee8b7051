package testpg

import (
	"context"
	"fmt"
	"regexp"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// keyPattern keeps a template's name within PostgreSQL's 63 bytes.
var keyPattern = regexp.MustCompile(`^[A-Za-z0-9_-]{1,50}$`)

type build func(ctx context.Context, conn *pgx.Conn) error

// template makes sure the template of a key is there, and returns its name.
func (c *cluster) template(ctx context.Context, key string, build build) (string, error) {
	if !keyPattern.MatchString(key) {
		return "", fmt.Errorf("the template key %q must be 1 to 50 letters, digits, _ or -", key)
	}
	name := "template_" + key
	if exists, err := c.exists(ctx, name); err != nil || exists {
		return name, err
	}
	return name, c.admin.AcquireFunc(ctx, func(conn *pgxpool.Conn) error {
		return c.buildOnce(ctx, conn, key, name, build)
	})
}

func (c *cluster) exists(ctx context.Context, name string) (exists bool, err error) {
	err = c.admin.QueryRow(ctx, `select exists (select from pg_database where datname = $1)`, name).Scan(&exists)
	return exists, err
}

// buildOnce builds the template unless another process does it meanwhile.
func (c *cluster) buildOnce(ctx context.Context, conn *pgxpool.Conn, key, name string, build build) error {
	if _, err := conn.Exec(ctx, `select pg_advisory_lock($1, hashtext($2))`, buildLock, name); err != nil {
		return err
	}
	defer conn.Exec(context.WithoutCancel(ctx), `select pg_advisory_unlock($1, hashtext($2))`, buildLock, name)
	if exists, err := c.exists(ctx, name); err != nil || exists {
		return err
	}
	unfinished := "building_" + key
	if err := c.drop(ctx, unfinished); err != nil {
		return err
	}
	if err := c.create(ctx, unfinished, "template0"); err != nil {
		return err
	}
	if err := c.fill(ctx, unfinished, build); err != nil {
		return err
	}
	// The name of a template is given to complete ones only.
	_, err := conn.Exec(ctx, fmt.Sprintf(`alter database %s rename to %s`, ident(unfinished), ident(name)))
	return err
}

func (c *cluster) fill(ctx context.Context, database string, build build) error {
	conn, err := pgx.Connect(ctx, c.dsn(database, Owner))
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if err := build(ctx, conn); err != nil {
		return err
	}
	return conn.Close(ctx)
}

// create makes a database of the owner's from a template.
func (c *cluster) create(ctx context.Context, name, template string) error {
	_, err := c.admin.Exec(ctx, fmt.Sprintf(`create database %s template %s owner %s strategy file_copy`,
		ident(name), ident(template), ident(Owner)))
	return err
}

func ident(name string) string { return pgx.Identifier{name}.Sanitize() }
