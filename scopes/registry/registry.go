package registry

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"

	"tenanted/scopes"
	"tenanted/scopes/session"
)

// Config configures a [Registry].
type Config struct {
	// Runtime says how to connect for a tenant's work. Its database is replaced by the tenant's. Its user must be
	// a role that row-level security applies to. Required.
	Runtime *pgx.ConnConfig

	// Owner says how to connect for cross-tenant work. Without it there is none.
	Owner *pgx.ConnConfig

	// AfterConnect is called with each new connection of the runtime role, before it is used. An error closes the connection
	// and becomes the statement's. Default: nil.
	AfterConnect func(context.Context, *pgx.Conn) error

	// MaxConns bounds the connections over all databases, in use and idle. Default: 20.
	MaxConns int

	// MaxIdleTime is how long a connection may be idle before it is closed. Default: 5 minutes.
	MaxIdleTime time.Duration
}

// WithDefaults returns a copy in which unset fields have their defaults.
func (c Config) WithDefaults() Config {
	if c.MaxConns == 0 {
		c.MaxConns = 20
	}
	if c.MaxIdleTime == 0 {
		c.MaxIdleTime = 5 * time.Minute
	}
	return c
}

func (c Config) validate() error {
	switch {
	case c.Runtime == nil:
		return errors.New("registry: Config.Runtime is required")
	case c.MaxConns < 1:
		return fmt.Errorf("registry: Config.MaxConns is %d, it must be at least 1", c.MaxConns)
	case c.MaxIdleTime < 0:
		return fmt.Errorf("registry: Config.MaxIdleTime is %v, it must not be negative", c.MaxIdleTime)
	}
	return nil
}

// Registry is the way to every tenant's database.
type Registry struct {
	config Config
	pool   *pool
	db     *sql.DB
}

// Open returns a registry. It connects to nothing yet. Close it after use.
func Open(config Config) (*Registry, error) {
	config = config.WithDefaults()
	if err := config.validate(); err != nil {
		return nil, err
	}
	r := &Registry{config: config}
	r.pool = newPool(config.MaxConns, config.MaxIdleTime, r.connector)
	r.db = sql.OpenDB(connector{r})
	r.db.SetMaxOpenConns(config.MaxConns)
	r.db.SetMaxIdleConns(config.MaxConns) // routed connections without a connection, which cost nothing
	return r, nil
}

// DB returns the handle that routes each statement by its context.
func (r *Registry) DB() *sql.DB { return r.db }

// OpenGORM returns a *gorm.DB over [Registry.DB], guarded by plugin. A nil config means &gorm.Config{}.
func (r *Registry) OpenGORM(config *gorm.Config, plugin *scopes.Plugin) (*gorm.DB, error) {
	c := gorm.Config{}
	if config != nil {
		c = *config
	}
	c.DisableAutomaticPing = true // a ping has no tenant, and so no database to go to
	db, err := gorm.Open(postgres.New(postgres.Config{Conn: r.db}), &c)
	if err != nil {
		return nil, err
	}
	return db, db.Use(plugin)
}

// Close closes all connections, and waits for statements under way.
func (r *Registry) Close() error {
	err := r.db.Close()
	r.pool.close()
	return err
}

// Stats describes the registry's connections at one moment.
type Stats struct {
	// DBStats are database/sql's figures over all databases: MaxOpenConnections, InUse, WaitCount,
	// WaitDuration. Its Idle and OpenConnections count routed connections, not connections.
	sql.DBStats
	// Open is the number of connections to the server, in use and idle.
	Open int
	// Databases maps each database that has a connection to its counts.
	Databases map[string]DatabaseStats
}

// DatabaseStats counts the connections to one database.
type DatabaseStats struct{ InUse, Idle int }

// Stats returns the current figures.
func (r *Registry) Stats() Stats {
	s := Stats{DBStats: r.db.Stats()}
	s.Open, s.Databases = r.pool.stats()
	return s
}

// target is what a connection is for. The schema is a preference: a connection serves every schema of its database, but
// PostgreSQL plans its prepared statements anew whenever the schema is another than before, at about the cost of
// executing them.
type target struct {
	database, schema string
	allTenants       bool
}

// reaches reports whether a connection for t serves other too.
func (t target) reaches(other target) bool {
	return t.database == other.database && t.allTenants == other.allTenants
}

// route returns where a statement with this context goes.
func (r *Registry) route(ctx context.Context) (target, error) {
	if scopes.IsAllTenants(ctx) {
		if r.config.Owner == nil {
			return target{}, errors.New("no cross-tenant view: registry.Config.Owner is not set")
		}
		return target{database: r.config.Owner.Database, allTenants: true}, nil
	}
	t, err := scopes.FromContext(ctx)
	if err != nil {
		return target{}, err
	}
	if t.Database == "" {
		return target{}, fmt.Errorf("%v has no placement: take tenants from the directory, not from their ids", t)
	}
	return target{database: t.Database, schema: t.Schema}, nil
}

// connector returns the way to open a connection for t.
func (r *Registry) connector(t target) *session.Connector {
	if t.allTenants {
		return session.NewAllTenantsConnector(r.config.Owner)
	}
	config := r.config.Runtime.Copy()
	config.Database = t.database
	return session.NewConnector(config).AfterConnect(r.config.AfterConnect)
}
