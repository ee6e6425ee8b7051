package tenancy

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"

	"gorm.io/gorm"

	"tenanted/app/config"
	"tenanted/scopes"
	"tenanted/scopes/registry"
)

// Tenancy is the application's way to its tenants and their data.
type Tenancy struct {
	// DB is routed by the tenant in the context; a statement without one panics.
	DB *gorm.DB
	// Directory knows which tenants there are.
	Directory *Directory

	registry *registry.Registry
}

// Open returns the way to cfg's tenants. Slow and failed statements go to log. It waits for no connection: see [Ready].
// Close it after use.
func Open(ctx context.Context, cfg config.Config, log *slog.Logger) (*Tenancy, error) {
	directory, err := OpenDirectory(ctx, cfg)
	if err != nil {
		return nil, err
	}
	pools, err := registry.Open(registryConfig(cfg))
	if err != nil {
		return nil, errors.Join(err, directory.Close())
	}
	t := &Tenancy{Directory: directory, registry: pools}
	t.DB, err = pools.OpenGORM(&gorm.Config{Logger: newQueryLog(log)}, scopes.NewPlugin(scopes.Config{}))
	if err != nil {
		return nil, errors.Join(err, t.Close())
	}
	directory.Follow(ctx, cfg)
	return t, nil
}

// registryConfig leaves the owner out where the tenants' tables are not one: there is no view over them.
func registryConfig(cfg config.Config) registry.Config {
	c := registry.Config{Runtime: cfg.Runtime(), MaxConns: cfg.MaxConns, MaxIdleTime: cfg.MaxIdleTime}
	if cfg.ListsAllTenants() {
		c.Owner = cfg.OwnerConn()
	}
	return c
}

// SQL returns the *sql.DB below DB, for statements without GORM. The same rules hold there.
func (t *Tenancy) SQL() *sql.DB { return t.registry.DB() }

// Stats returns the registry's figures.
func (t *Tenancy) Stats() registry.Stats { return t.registry.Stats() }

// Ping reports whether the directory answers, which is what a request needs first.
func (t *Tenancy) Ping(ctx context.Context) error { return t.Directory.Ping(ctx) }

// Close closes all connections, and waits for statements under way.
func (t *Tenancy) Close() error { return errors.Join(t.registry.Close(), t.Directory.Close()) }
