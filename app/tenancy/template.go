package tenancy

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"

	"github.com/jackc/pgx/v5"

	"tenanted/app/config"
	"tenanted/migrations"
	"tenanted/scopes"
)

// templates are databases with a tenant's tables and no rows, by the names of their servers. Copying one is quicker than migrating
// a new database.
type templates map[string]*template

// template is one of them. The connection holds an advisory lock for its name, which distinguishes it from a template that a killed
// process left behind.
type template struct {
	name string
	conn *pgx.Conn
}

// minCopies is the number of new databases on a server from which a template is worth creating.
const minCopies = 3

// makeTemplates creates a template on each server on which enough tenants of a plan get their own database. Errors are ignored: without
// a template the databases are migrated, and if the server is at fault, each tenant's error says so.
func (s *Setup) makeTemplates(ctx context.Context, d deployment, plan []Planned) templates {
	wanted := map[string]int{}
	for _, p := range plan {
		if p.Missing() && s.copied(p.Placement) {
			wanted[p.Placement.Server]++
		}
	}
	made := templates{}
	for server, count := range wanted {
		if count < minCopies {
			continue
		}
		if t, err := s.makeTemplate(ctx, d, server); err == nil {
			made[server] = t
		}
	}
	return made
}

// has reports whether there is a template for a placement.
func (ts templates) has(s *Setup, p scopes.Placement) bool { return ts[p.Server] != nil && s.copied(p) }

// copied reports whether a placement can be a copy of a template: it is the public schema of a database other than the default one.
func (s *Setup) copied(p scopes.Placement) bool {
	return p.InSchema("") != s.cfg.Default() && p.Schema == config.PublicSchema
}

func (s *Setup) makeTemplate(ctx context.Context, d deployment, server string) (*template, error) {
	m, err := s.newMaker(ctx, d, server)
	if err != nil {
		return nil, err
	}
	random := make([]byte, 4)
	_, _ = rand.Read(random) // never fails
	t := &template{name: s.cfg.TemplatePrefix() + hex.EncodeToString(random), conn: m.conn}
	err = s.sweepTemplates(ctx, t.conn)
	if err == nil {
		_, err = t.conn.Exec(ctx, "select pg_advisory_lock($1)", databaseLock(t.name))
	}
	if err == nil {
		err = m.createDatabase(ctx, t.conn, m.server, t.name, "")
	}
	if err == nil {
		err = m.fillTemplate(ctx, scopes.Placement{Server: server, Database: t.name, Schema: config.PublicSchema})
	}
	if err != nil {
		t.drop(ctx)
		return nil, err
	}
	return t, nil
}

// fillTemplate creates the tables, and then forbids connections to the template, during which it could not be copied.
func (m *maker) fillTemplate(ctx context.Context, p scopes.Placement) error {
	for _, target := range []migrations.Target{placementTarget(p), {Set: migrations.Tenant, Placement: p}} {
		if result := m.up(ctx, target); result.Err != nil {
			return result.Err
		}
	}
	conn, err := connectTo(ctx, m.cfg, config.AsOwner, p)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, "insert into control.placement (deployment, made_in) values ($1, $2)", m.deployment.ID, madeInTemplate)
	_ = conn.Close(context.WithoutCancel(ctx))
	if err == nil {
		_, err = m.conn.Exec(ctx, "alter database "+pgx.Identifier{p.Database}.Sanitize()+" with allow_connections false")
	}
	return err
}

// drop drops the template and releases its lock.
func (t *template) drop(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), logTime)
	defer cancel()
	_, _ = t.conn.Exec(ctx, "drop database if exists "+pgx.Identifier{t.name}.Sanitize()) // if that fails, the next command drops it
	_ = t.conn.Close(ctx)
}

func (ts templates) drop(ctx context.Context) {
	for _, t := range ts {
		t.drop(ctx)
	}
}

// sweepTemplates drops the templates that killed processes left behind: those whose lock is free.
func (s *Setup) sweepTemplates(ctx context.Context, conn *pgx.Conn) error {
	rows, _ := conn.Query(ctx, "select datname::text from pg_database where starts_with(datname, $1)", s.cfg.TemplatePrefix())
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	for _, name := range names {
		var left bool
		if err == nil {
			err = conn.QueryRow(ctx, "select pg_try_advisory_lock($1)", databaseLock(name)).Scan(&left)
		}
		if err != nil || !left {
			continue
		}
		_, _ = conn.Exec(ctx, "drop database if exists "+pgx.Identifier{name}.Sanitize()) // perhaps still in use: then later
		_, err = conn.Exec(ctx, "select pg_advisory_unlock($1)", databaseLock(name))
	}
	return err
}

// copyTemplate creates a placement's database as a copy of a template, and binds it. It returns false if there is no template, or if
// the database exists, as after an interruption; migrations complete it then.
func (c *Creator) copyTemplate(ctx context.Context, p scopes.Placement) (copied bool, err error) {
	if !c.templates.has(c.setup, p) || c.deployment.isCopy() {
		return false, nil
	}
	server, err := c.setup.cfg.ServerOf(p)
	if err != nil {
		return false, err
	}
	err = c.onServer(ctx, p, func(conn *pgx.Conn) error {
		err := conn.QueryRow(ctx, "select not exists (select from pg_database where datname = $1)", p.Database).Scan(&copied)
		if err != nil || !copied {
			return err
		}
		return c.setup.createDatabase(ctx, conn, server, p.Database, c.templates[p.Server].name)
	})
	if err != nil || !copied {
		return false, err
	}
	return true, c.bindCopy(ctx, p, server.User)
}

// bindCopy binds a new copy of a template, and connects placed to it. Rights on tables are copied with the template; rights on the
// database are not, and are granted here.
func (c *Creator) bindCopy(ctx context.Context, p scopes.Placement, runtime string) error {
	conn, err := connectTo(ctx, c.setup.cfg, config.AsOwner, p)
	if err != nil {
		return err
	}
	err = c.deployment.bind(ctx, c.setup.cfg, conn, p)
	if err == nil {
		err = Placed{conn, config.ControlSchema}.Begin(ctx, func(pgx.Tx) error {
			return migrations.Grant(ctx, conn, placementTarget(p), runtime)
		})
	}
	if err != nil {
		return errors.Join(err, conn.Close(context.WithoutCancel(ctx)))
	}
	c.usePlaced(ctx, conn, p.InSchema(""))
	return nil
}
