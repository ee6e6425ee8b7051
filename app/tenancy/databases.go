package tenancy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"tenanted/app/config"
	"tenanted/migrations"
	"tenanted/scopes"
)

// refusals are the reasons, by database, why databases must not be used. Nothing was changed in them.
type refusals map[scopes.Placement]error

// ensureDatabases creates the placements' databases that are missing, and binds them to the deployment.
func (s *Setup) ensureDatabases(ctx context.Context, placements []scopes.Placement) (refusals, error) {
	wanted := map[string][]scopes.Placement{}
	for _, group := range ByDatabase(s.cfg, placements)[1:] {
		wanted[group.Database.Server] = append(wanted[group.Database.Server], group.Database)
	}
	if len(wanted) == 0 {
		return nil, nil
	}
	conn, err := connect(ctx, s.cfg.OwnerConn())
	if err != nil {
		return nil, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	d, err := readDeployment(ctx, conn)
	if err != nil {
		return nil, err
	}
	refused := refusals{}
	var mutex sync.Mutex
	var servers sync.WaitGroup
	for name, databases := range wanted {
		servers.Go(func() {
			of := s.ensureOn(ctx, d, name, databases)
			mutex.Lock()
			defer mutex.Unlock()
			maps.Copy(refused, of)
		})
	}
	servers.Wait()
	return refused, nil
}

// ensureOn is [Setup.ensureDatabases] for the databases of one server. An error of the server is an error of all of them.
func (s *Setup) ensureOn(ctx context.Context, d deployment, server string, wanted []scopes.Placement) refusals {
	refused := refusals{}
	m, err := s.newMaker(ctx, d, server)
	if err == nil {
		defer m.conn.Close(context.WithoutCancel(ctx))
		err = m.look(ctx, wanted)
	}
	if err != nil {
		for _, database := range wanted {
			refused[database] = fmt.Errorf("database %q: %w", database, err)
		}
		return refused
	}
	var group errgroup.Group
	group.SetLimit(migrateWorkers)
	for _, database := range wanted {
		group.Go(func() error {
			if err := m.ensure(ctx, database); err != nil {
				m.mutex.Lock()
				defer m.mutex.Unlock()
				refused[database] = err
			}
			return nil
		})
	}
	_ = group.Wait() // the errors are in refused
	return refused
}

// maker creates tenants' databases on one server.
type maker struct {
	*Setup
	deployment deployment
	server     config.Server
	existing   []string

	mutex sync.Mutex
	conn  *pgx.Conn
}

// newMaker returns a maker for the server of that name, and creates the runtime role there.
func (s *Setup) newMaker(ctx context.Context, d deployment, name string) (*maker, error) {
	server, err := s.cfg.ServerOf(scopes.Placement{Server: name})
	if err != nil {
		return nil, err
	}
	m := &maker{Setup: s, deployment: d, server: server}
	if name == "" {
		m.conn, err = connect(ctx, s.cfg.OwnerConn())
		return m, err
	}
	if m.conn, err = maintenanceConn(ctx, server); err != nil {
		return nil, err
	}
	if err = m.prepare(ctx); err != nil {
		return nil, errors.Join(err, m.conn.Close(context.WithoutCancel(ctx)))
	}
	return m, nil
}

// prepare refuses a further server that is the default server under another name, and creates the runtime role.
func (m *maker) prepare(ctx context.Context) error {
	var cluster string
	if err := m.conn.QueryRow(ctx, "select "+here).Scan(&cluster); err != nil {
		return err
	}
	if err := m.deployment.elsewhere(m.server.Name, cluster); err != nil {
		return err
	}
	return m.ensureRole(ctx, m.conn, m.server.User, m.server.Runtime().Password, "")
}

// look finds out which of the databases exist.
func (m *maker) look(ctx context.Context, wanted []scopes.Placement) (err error) {
	var names []string
	for _, database := range wanted {
		names = append(names, database.Database)
	}
	rows, _ := m.conn.Query(ctx, "select datname::text from pg_database where datname = any($1)", names)
	m.existing, err = pgx.CollectRows(rows, pgx.RowTo[string])
	return err
}

// ensure creates a tenant's own database if it does not exist, and binds it. An existing database is verified, or bound if it is
// empty, since a killed run may have created it.
func (m *maker) ensure(ctx context.Context, database scopes.Placement) error {
	if m.deployment.isCopy() {
		return m.deployment.madeByOriginal(m.cfg, database)
	}
	if !slices.Contains(m.existing, database.Database) {
		m.mutex.Lock()
		err := m.createDatabase(ctx, m.conn, m.server, database.Database, "")
		m.mutex.Unlock()
		if err != nil {
			return err
		}
	}
	own, err := Connect(ctx, m.cfg, config.AsOwner, database)
	if err != nil {
		return err
	}
	defer own.Close(context.WithoutCancel(ctx))
	if err := m.deployment.mayBind(ctx, m.cfg, own, database); err != nil {
		return err
	}
	if result := m.up(ctx, placementTarget(database)); result.Err != nil {
		return result.Err
	}
	return m.deployment.bind(ctx, m.cfg, own, database)
}

// mayBind refuses a database of another deployment, and one that has tables and is bound to no deployment. A database that a
// killed run left unbound may be completed.
func (d deployment) mayBind(ctx context.Context, cfg config.Config, conn *pgx.Conn, database scopes.Placement) error {
	p, err := readPlacement(ctx, conn)
	if err != nil {
		return err
	}
	switch {
	case p.unbound(d):
		return nil
	case p.Exists:
		return d.verify(ctx, cfg, conn, database)
	}
	versions, err := migrations.Versions(ctx, conn, database)
	delete(versions, placementTarget(database))
	if err == nil && len(versions) > 0 {
		return misplaced(cfg, database, "is bound to no deployment")
	}
	if err != nil {
		return err
	}
	return requireEmpty(ctx, conn, database)
}

// requireEmpty refuses a database with tables, except those of extensions.
func requireEmpty(ctx context.Context, conn *pgx.Conn, database scopes.Placement) error {
	var table string
	err := conn.QueryRow(ctx, `
		select c.oid::regclass::text from pg_class c join pg_namespace n on n.oid = c.relnamespace
		where c.relkind in ('r', 'p', 'f', 'v', 'm') and n.nspname not in ('information_schema', $1) and n.nspname !~ '^pg_'
			and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
		order by 1 limit 1`, config.ControlSchema).Scan(&table)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	return fmt.Errorf("database %q has tables of something else, such as %s: choose another database name", database, table)
}

// databaseLock is the advisory lock for creating a database. It is taken in the database from which it is created.
func databaseLock(name string) int64 { return migrations.LockKey("database " + name) }

// createDatabase creates a database, owned by the owner, over the owner's connection to another database of the server. It is a
// copy of a template, or of PostgreSQL's default one for "".
func (s *Setup) createDatabase(ctx context.Context, conn *pgx.Conn, server config.Server, name, template string) error {
	// If the client is killed, PostgreSQL still finishes creating the database. Dropping the tenant waits for this lock.
	lock := databaseLock(name)
	if _, err := conn.Exec(ctx, "select pg_advisory_lock($1)", lock); err != nil {
		return err
	}
	create := "create database " + pgx.Identifier{name}.Sanitize()
	if template != "" {
		create += " template " + pgx.Identifier{template}.Sanitize()
	}
	_, err := conn.Exec(ctx, create)
	if _, unlocked := conn.Exec(context.WithoutCancel(ctx), "select pg_advisory_unlock($1)", lock); err == nil {
		err = unlocked
	}
	switch code(err) {
	case "":
		if err == nil {
			s.say("created database " + onServer(server, name))
		}
	case codeDuplicateDB, codeUniqueViolation:
		return nil // another process has just created it
	case codeNoPermission:
		return &SQLError{
			Problem: fmt.Sprintf("database %q does not exist, and role %q may not create it", onServer(server, name), server.Owner),
			SQL:     create + " owner " + pgx.Identifier{server.Owner}.Sanitize(),
		}
	}
	return err
}

// onServer returns the database's name with its server, as in scopes.Placement.
func onServer(server config.Server, database string) string {
	return scopes.Placement{Server: server.Name, Database: database}.String()
}
