package tenancy

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"tenanted/app/config"
	"tenanted/scopes"
)

// maintenance are databases to connect to when ours does not exist; a server has at least one of them.
var maintenance = []string{"postgres", "template1"}

// ownerConn returns the owner's connection to the default database, which it creates if necessary. If there is an admin
// connection, it creates both roles first.
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
	if err := s.ensureRole(ctx, conn, s.cfg.Owner, s.cfg.OwnerConn().Password, "createdb replication in role pg_signal_backend"); err != nil {
		return err
	}
	return s.ensureRole(ctx, conn, s.cfg.User, s.cfg.Runtime().Password, "")
}

// ensureRole creates a login role. The password is sent as a SCRAM verifier, since servers log such statements.
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
	server := s.cfg.Servers()[0]
	conn, err := maintenanceConn(ctx, server)
	if err != nil {
		return fmt.Errorf("database %q does not exist, and to create it: %w", s.cfg.Database, err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return s.createDatabase(ctx, conn, server, s.cfg.Database, "")
}

// maintenanceConn returns the owner's connection to a server, for making databases there.
func maintenanceConn(ctx context.Context, server config.Server) (conn *pgx.Conn, err error) {
	for _, name := range maintenance {
		var to *pgx.ConnConfig
		if to, err = server.Conn(config.AsOwner, name); err != nil {
			return nil, err
		}
		if conn, err = connect(ctx, to); code(err) == "" { // connected, or the server cannot be reached
			return conn, err
		}
	}
	return nil, err
}

// mayMake returns a *SQLError if the owner has no right to create the placement's schema or tables, as in a database that belongs
// to another role. The SQL only grants rights.
func (s *Setup) mayMake(ctx context.Context, p scopes.Placement) error {
	server, err := s.cfg.ServerOf(p)
	if err != nil {
		return err
	}
	conn, err := Connect(ctx, s.cfg, config.AsOwner, p)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	schemas := []string{p.Schema}
	if _, shared := s.cfg.SharedPlacement(); shared || p.InSchema("") != s.cfg.Default() {
		schemas = append(schemas, config.PublicSchema) // whose tables are created next
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
		Problem: fmt.Sprintf("database %q belongs to another role, and role %q may not make tables there", p.InSchema(""), server.Owner),
		In:      p.Database, SQL: strings.Join(grants, " "),
	}
}
