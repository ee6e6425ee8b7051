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

	// AfterConnect is called with each new connection of the runtime role, before it is used, and with the placement, without
	// its schema, that the connection is to. An error closes the connection and becomes the statement's. Default: nil.
	AfterConnect func(context.Context, *pgx.Conn, scopes.Placement) error

	// MaxConns bounds the connections over all databases, in use and idle. Default: 20.
	MaxConns int

	// Options are set for each transaction. Default: none.
	Options session.Options

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
	case c.Options.StatementTimeout < 0 || c.Options.LockTimeout < 0:
		return errors.New("registry: Config.Options.StatementTimeout and LockTimeout must not be negative")
	case c.MaxIdleTime < 0:
		return fmt.Errorf("registry: Config.MaxIdleTime is %v, it must not be negative", c.MaxIdleTime)
	}
	return nil
}

// Registry is the way to every tenant's database.
type Registry struct {
	config   Config
	shares   *shares
	breakers *breakers
	pool     *pool
	db       *sql.DB
}

// Open returns a registry. It connects to nothing yet. Close it after use.
func Open(config Config) (*Registry, error) {
	config = config.WithDefaults()
	if err := config.validate(); err != nil {
		return nil, err
	}
	r := &Registry{config: config, shares: newShares(config.MaxConns), breakers: newBreakers()}
	r.pool = newPool(config.MaxConns, config.MaxIdleTime, r.connector)
	r.db = sql.OpenDB(connector{r})
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
	// MaxOpenConnections, InUse, WaitCount and WaitDuration are over all databases, and mean what they mean in
	// sql.DBStats.
	MaxOpenConnections, InUse int
	WaitCount                 int64
	WaitDuration              time.Duration
	// Suspended is the number of tenants that are refused now since their statements keep timing out, Refused how often
	// one was.
	Suspended int
	Refused   int64
	// Open is the number of connections to the server, in use and idle.
	Open int
	// Databases maps each database that has a connection to its counts.
	Databases map[string]DatabaseStats
}

// DatabaseStats counts the connections to one database.
type DatabaseStats struct{ InUse, Idle int }

// Stats returns the current figures.
func (r *Registry) Stats() Stats {
	s := Stats{MaxOpenConnections: r.config.MaxConns, Suspended: r.breakers.suspended(), Refused: r.breakers.refused.Load()}
	s.InUse, s.WaitCount, s.WaitDuration = r.shares.figures()
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

// acquire returns a connection for h, and the function to call when it is given back. It waits for h's share of the
// connections, unless h is refused.
func (r *Registry) acquire(ctx context.Context, h holder) (c *conn, done func(error), err error) {
	if err := r.breakers.refuses(h); err != nil {
		return nil, nil, err
	}
	if err := r.shares.acquire(ctx, h); err != nil {
		return nil, nil, err
	}
	if done, err = r.breakers.allow(h); err == nil {
		if c, err = r.pool.get(ctx, h.target); err == nil {
			return c, done, nil
		}
		done(nil)
	}
	r.shares.release(h)
	return nil, nil, err
}

// route returns for whom and where a statement with this context is executed.
func (r *Registry) route(ctx context.Context) (holder, error) {
	if scopes.IsAllTenants(ctx) {
		if r.config.Owner == nil {
			return holder{}, errors.New("no cross-tenant view: registry.Config.Owner is not set")
		}
		return holder{target: target{database: r.config.Owner.Database, allTenants: true}}, nil
	}
	t, err := scopes.FromContext(ctx)
	if err != nil {
		return holder{}, err
	}
	if t.Database == "" {
		return holder{}, fmt.Errorf("%v has no placement: take tenants from the directory, not from their ids", t)
	}
	return holder{tenant: t.Key(), target: target{database: t.Database, schema: t.Schema}}, nil
}

// connector returns the way to open a connection for t.
func (r *Registry) connector(t target) *session.Connector {
	if t.allTenants {
		return session.NewAllTenantsConnector(r.config.Owner).With(r.config.Options)
	}
	config := r.config.Runtime.Copy()
	config.Database = t.database
	connector := session.NewConnector(config).With(r.config.Options)
	if after := r.config.AfterConnect; after != nil {
		connector = connector.AfterConnect(func(ctx context.Context, conn *pgx.Conn) error {
			return after(ctx, conn, scopes.Placement{Database: t.database})
		})
	}
	return connector
}
