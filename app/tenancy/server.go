package tenancy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"tenanted/app/config"
	"tenanted/migrations"
	"tenanted/scopes"
)

// maintenance are the databases of which a server has at least one, to connect to when ours does not exist.
var maintenance = []string{"postgres", "template1"}

// ownerConn returns the owner's connection to the default database, after making both roles, where there is an
// admin's connection for that, and the database.
func (s *Setup) ownerConn(ctx context.Context) (*pgx.Conn, error) {
	if s.admin != nil {
		if err := s.ensureRoles(ctx); err != nil {
			return nil, err
		}
	}
	conn, err := connect(ctx, s.cfg.OwnerConn())
	if code(err) != codeNoDatabase {
		return conn, err
	}
	if err := s.ensureDefaultDatabase(ctx); err != nil {
		return nil, err
	}
	return connect(ctx, s.cfg.OwnerConn())
}

func (s *Setup) ensureRoles(ctx context.Context) error {
	conn, err := connect(ctx, s.admin)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if err := s.ensureRole(ctx, conn, s.cfg.Owner, s.cfg.OwnerConn().Password, "createdb in role pg_signal_backend"); err != nil {
		return err
	}
	return s.ensureRole(ctx, conn, s.cfg.User, s.cfg.Runtime().Password, "")
}

// ensureRole makes a role that may log in. The password goes to the server as a verifier only, since
// servers log such statements.
func (s *Setup) ensureRole(ctx context.Context, conn *pgx.Conn, name, password, attributes string) error {
	var exists bool
	err := conn.QueryRow(ctx, "select exists (select from pg_roles where rolname = $1)", name).Scan(&exists)
	if err != nil || exists {
		return err
	}
	create := strings.TrimSpace("create role " + pgx.Identifier{name}.Sanitize() + " login " + attributes)
	verified := create
	if password != "" {
		verified += " password '" + newVerifier(password) + "'"
	}
	_, err = conn.Exec(ctx, verified)
	switch code(err) {
	case "":
		if err == nil {
			s.say("created role " + name)
		}
	case codeDuplicateRole, codeUniqueViolation:
		return nil // somebody else just made it
	case codeNoPermission:
		return &SQLError{
			Problem: fmt.Sprintf("role %q does not exist, and role %q may not create it", name, conn.Config().User),
			SQL:     create + " password '...'",
		}
	}
	return err
}

func (s *Setup) ensureDefaultDatabase(ctx context.Context) error {
	var conn *pgx.Conn
	var err error
	for _, name := range maintenance {
		to := s.cfg.OwnerConn()
		to.Database = name
		if conn, err = connect(ctx, to); err == nil {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("database %q does not exist, and to create it: %w", s.cfg.Database, err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return s.createDatabase(ctx, conn, s.cfg.Database)
}

// ensureDatabases makes the placements' databases where they are missing, and binds them to the deployment. It returns,
// by database, why one must not be used: nothing was changed there.
func (s *Setup) ensureDatabases(ctx context.Context, placements []scopes.Placement) (refused map[scopes.Placement]error, err error) {
	var wanted []scopes.Placement
	var names []string
	for _, group := range ByDatabase(s.cfg, placements)[1:] {
		wanted = append(wanted, group.Database)
		names = append(names, group.Database.Database)
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
	rows, _ := conn.Query(ctx, "select datname::text from pg_database where datname = any($1)", names)
	existing, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, err
	}
	refused = map[scopes.Placement]error{}
	var mutex sync.Mutex
	var group errgroup.Group
	group.SetLimit(migrateWorkers)
	for _, database := range wanted {
		group.Go(func() error {
			if err := s.ensureOwn(ctx, conn, &mutex, d, database, slices.Contains(existing, database.Database)); err != nil {
				mutex.Lock()
				defer mutex.Unlock()
				refused[database] = err
			}
			return nil
		})
	}
	_ = group.Wait() // the errors are in refused
	return refused, nil
}

// ensureOwn makes a tenant's own database if it does not exist, over conn, which mutex guards, and binds it. One that exists
// is only verified, unless it is empty: a run that was killed may have made it.
func (s *Setup) ensureOwn(ctx context.Context, conn *pgx.Conn, mutex *sync.Mutex, d deployment, database scopes.Placement, exists bool) error {
	if d.isCopy() {
		return d.madeByOriginal(s.cfg, database)
	}
	if !exists {
		mutex.Lock()
		err := s.createDatabase(ctx, conn, database.Database)
		mutex.Unlock()
		if err != nil {
			return err
		}
	}
	own, err := Connect(ctx, s.cfg, config.AsOwner, database)
	if err != nil {
		return err
	}
	defer own.Close(context.WithoutCancel(ctx))
	if err := d.mayBind(ctx, s.cfg, own, database); err != nil {
		return err
	}
	if result := s.up(ctx, placementTarget(database)); result.Err != nil {
		return result.Err
	}
	return d.bind(ctx, s.cfg, own, database)
}

// mayBind refuses a database that another deployment has made, or that has tables and is bound to none. One in which only
// the first step was made, by a run that was killed, is ours to complete.
func (d deployment) mayBind(ctx context.Context, cfg config.Config, conn *pgx.Conn, database scopes.Placement) error {
	p, err := readPlacement(ctx, conn)
	if err != nil {
		return err
	}
	if p.Exists {
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

// requireEmpty refuses a database with tables of whoever else, but those of extensions.
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
	return fmt.Errorf("database %q has tables of something else, as %s: give the tenant a database of another name", database, table)
}

// mayMake returns a *SQLError if the owner may not make the placement's schema or its tables, as in a database that belongs to
// another role. What mends it takes no right from anybody.
func (s *Setup) mayMake(ctx context.Context, p scopes.Placement) error {
	conn, err := Connect(ctx, s.cfg, config.AsOwner, p)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	schemas := []string{p.Schema}
	if _, shared := s.cfg.SharedPlacement(); shared || p.InSchema("") != s.cfg.Default() {
		schemas = append(schemas, config.PublicSchema) // which comes next
	}
	const query = `
		select format('grant create on database %I to %I;', current_database(), current_user)
			where not has_database_privilege(current_database(), 'create')
		union all select format('grant usage, create on schema %I to %I;', nspname, current_user) from pg_namespace
			where nspname = any($1) and not (has_schema_privilege(oid, 'create') and has_schema_privilege(oid, 'usage'))`
	rows, _ := conn.Query(ctx, query, schemas)
	grants, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(grants) == 0 {
		return err
	}
	return &SQLError{
		Problem: fmt.Sprintf("database %q belongs to another role, and role %q may not make tables there", p.InSchema(""), s.cfg.Owner),
		In:      p.Database, SQL: strings.Join(grants, " "),
	}
}

// databaseLock is the advisory lock of a database's creation, in the database that the command is given in.
func databaseLock(name string) int64 { return migrations.LockKey("database " + name) }

// createDatabase makes a database that the owner owns, over the owner's connection to another one.
func (s *Setup) createDatabase(ctx context.Context, conn *pgx.Conn, name string) error {
	// PostgreSQL goes on creating a database when the client is killed. Whoever drops the tenant then waits for that.
	lock := databaseLock(name)
	if _, err := conn.Exec(ctx, "select pg_advisory_lock($1)", lock); err != nil {
		return err
	}
	create := "create database " + pgx.Identifier{name}.Sanitize()
	_, err := conn.Exec(ctx, create)
	if _, unlocked := conn.Exec(context.WithoutCancel(ctx), "select pg_advisory_unlock($1)", lock); err == nil {
		err = unlocked
	}
	switch code(err) {
	case "":
		if err == nil {
			s.say("created database " + name)
		}
	case codeDuplicateDB, codeUniqueViolation:
		return nil // somebody else just made it
	case codeNoPermission:
		return &SQLError{
			Problem: fmt.Sprintf("database %q does not exist, and role %q may not create it", name, s.cfg.Owner),
			SQL:     create + " owner " + pgx.Identifier{s.cfg.Owner}.Sanitize(),
		}
	}
	return err
}
