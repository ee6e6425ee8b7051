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

// templates are databases with a tenant's tables and no rows, by the names of their servers. To copy one is quicker than to
// migrate a new database.
type templates map[string]*template

// template is one of them. The connection holds an advisory lock by its name, which tells it from what a process that was killed has
// left.
type template struct {
	name string
	conn *pgx.Conn
}

// minCopies is how many databases must be wanted on a server for a template to be worth its making.
const minCopies = 3

// makeTemplates makes a template on each server on which enough tenants of a plan get a database of their own. A server on which
// that fails has none: whatever is wrong there is wrong with each of its tenants, and their errors say so.
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

// has reports whether a placement is made as a copy.
func (ts templates) has(s *Setup, p scopes.Placement) bool { return ts[p.Server] != nil && s.copied(p) }

// copied reports whether a placement can be a copy of a template: it is in the usual schema of a database that is not the
// default one.
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

// fillTemplate makes the tables. Nobody may connect to the template afterwards, since it cannot be copied meanwhile.
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

// drop removes the template, and ends its lock.
func (t *template) drop(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), logTime)
	defer cancel()
	_, _ = t.conn.Exec(ctx, "drop database if exists "+pgx.Identifier{t.name}.Sanitize()) // the next command sweeps it
	_ = t.conn.Close(ctx)
}

func (ts templates) drop(ctx context.Context) {
	for _, t := range ts {
		t.drop(ctx)
	}
}

// sweepTemplates removes the templates of processes that were killed: those whose lock nobody holds.
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
		_, err = conn.Exec(ctx, "drop database if exists "+pgx.Identifier{name}.Sanitize())
		if _, unlocked := conn.Exec(ctx, "select pg_advisory_unlock($1)", databaseLock(name)); err == nil {
			err = unlocked
		}
	}
	return err
}

// copyTemplate makes a placement's database as a copy of a template, and binds it. It reports false where there is no template, or the
// database exists, as after a creation that was interrupted: then migrations complete it.
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

// bindCopy binds a new copy of a template, and leaves placed with a connection to it. A copy has the rights in the template, but not
// those on it.
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
