package talk

import (
	"context"
	"database/sql"
	"reflect"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/logger"
	"gorm.io/gorm/schema"

	"tenanted/models"
	"tenanted/scopes"
	"tenanted/scopes/registry"
)

// world is the application as an experiment has it: with some layers.
type world struct {
	db   *gorm.DB
	sql  *sql.DB
	a, b scopes.Tenant // who attacks, and who is attacked
}

// open opens the shared tables with the trial's layers.
func (t *trial) open(ctx context.Context) (world, error) {
	schema := t.on.schema()
	w := world{a: in(t.lab.Tenants[0], schema), b: in(t.lab.Tenants[1], schema)}
	role := t.lab.as(t.lab.server.Runtime, t.lab.server.Database)
	var err error
	if t.on.Session {
		w.sql, err = t.registry(role)
	} else {
		w.sql = t.plain(role, schema)
	}
	if err != nil {
		return w, err
	}
	if w.db, err = openGORM(w.sql, t.on.Scope); err != nil {
		return w, err
	}
	_, err = w.sql.ExecContext(scopes.WithTenant(ctx, w.a), "select 1") // is the server there?
	return w, err
}

// registry opens the session layer.
func (t *trial) registry(role *pgx.ConnConfig) (*sql.DB, error) {
	r, err := registry.Open(registry.Config{Runtime: t.recorder.Watch(role), MaxConns: 2})
	if err != nil {
		return nil, err
	}
	t.cleanup(func() { _ = r.Close() })
	return r.DB(), nil
}

// plain opens pgx's own driver, which tells the server no tenant.
func (t *trial) plain(role *pgx.ConnConfig, schema string) *sql.DB {
	config := role.Copy()
	config.RuntimeParams["search_path"] = pgx.Identifier{schema}.Sanitize()
	return t.driver(config)
}

// driver opens pgx's own driver.
func (t *trial) driver(role *pgx.ConnConfig) *sql.DB {
	db := stdlib.OpenDB(*t.recorder.Watch(role))
	db.SetMaxOpenConns(2)
	t.cleanup(func() { _ = db.Close() })
	return db
}

// openGORM opens GORM with the scope or without.
func openGORM(pool gorm.ConnPool, scope bool) (*gorm.DB, error) {
	return openWith(pool, scope, scopes.Config{})
}

func openWith(pool gorm.ConnPool, scope bool, config scopes.Config) (*gorm.DB, error) {
	db, err := gorm.Open(postgres.New(postgres.Config{Conn: pool}), &gorm.Config{Logger: logger.Discard, DisableAutomaticPing: true})
	if err != nil {
		return nil, err
	}
	if scope {
		return db, db.Use(scopes.NewPlugin(config))
	}
	return db, withoutScope(db)
}

// noScope stands in for the plugin, which models ask for by its name.
type noScope struct{}

func (noScope) Name() string              { return "scopes" }
func (noScope) Initialize(*gorm.DB) error { return nil }

// withoutScope makes db treat tenanted models as any others: GORM keeps what it knows of models with each *gorm.DB.
func withoutScope(db *gorm.DB) error {
	if err := db.Use(noScope{}); err != nil {
		return err
	}
	seen := map[*schema.Schema]bool{}
	for _, model := range append(models.All(), &country{}, &person{}) {
		stmt := &gorm.Statement{DB: db}
		if err := stmt.Parse(model); err != nil {
			return err
		}
		disarm(stmt.Schema, seen)
	}
	return nil
}

func disarm(s *schema.Schema, seen map[*schema.Schema]bool) {
	if s == nil || seen[s] {
		return
	}
	seen[s] = true
	s.QueryClauses = unscoped(s.QueryClauses)
	s.CreateClauses = unscoped(s.CreateClauses)
	s.UpdateClauses = unscoped(s.UpdateClauses)
	s.DeleteClauses = unscoped(s.DeleteClauses)
	for _, relation := range s.Relationships.Relations {
		disarm(relation.FieldSchema, seen)
	}
}

// unscoped returns the clauses that are not of package scopes.
func unscoped(clauses []clause.Interface) []clause.Interface {
	return slices.DeleteFunc(slices.Clone(clauses), func(c clause.Interface) bool {
		return strings.HasSuffix(reflect.TypeOf(c).PkgPath(), "/scopes")
	})
}

// country is a table that all tenants share, and person one of theirs.
type country struct {
	scopes.Untenanted
	Code   string `gorm:"primaryKey"`
	Name   string
	People []person `gorm:"foreignKey:Country;references:Code"`
}

// TableName implements GORM's interface.
func (country) TableName() string { return "countries" }

type person struct {
	scopes.Tenanted
	ID      int64 `gorm:"primaryKey"`
	Country string
	Name    string
}

// TableName implements GORM's interface.
func (person) TableName() string { return "people" }
