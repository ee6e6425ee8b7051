package tenancy

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

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
	if err := s.ensureRole(ctx, conn, s.cfg.Owner, s.cfg.OwnerConn().Password, "createdb"); err != nil {
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

// ensureDatabases makes the placements' databases where they are missing.
func (s *Setup) ensureDatabases(ctx context.Context, placements []scopes.Placement) error {
	var wanted []string
	for _, placement := range placements {
		if placement.Database != s.cfg.Database && !slices.Contains(wanted, placement.Database) {
			wanted = append(wanted, placement.Database)
		}
	}
	if len(wanted) == 0 {
		return nil
	}
	conn, err := connect(ctx, s.cfg.OwnerConn())
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	rows, _ := conn.Query(ctx, "select datname::text from pg_database where datname = any($1)", wanted)
	existing, err := pgx.CollectRows(rows, pgx.RowTo[string])
	for _, name := range wanted {
		if err == nil && !slices.Contains(existing, name) {
			err = s.createDatabase(ctx, conn, name)
		}
	}
	return err
}

// createDatabase makes a database that the owner owns, over the owner's connection to another one.
func (s *Setup) createDatabase(ctx context.Context, conn *pgx.Conn, name string) error {
	create := "create database " + pgx.Identifier{name}.Sanitize()
	_, err := conn.Exec(ctx, create)
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
