package registry

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
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

	// BeforeConnect is called before each connection is opened, with a copy of its settings, whose password it may set: for
	// credentials that change while the program runs, as a vault's, or tokens. When the server refuses the login it is called once
	// more, with a context of which [session.LoginRefused] is true, and the connection tried again. Connections that are open live
	// on. An error becomes the statement's, and the database counts as away. Default: nil.
	BeforeConnect func(context.Context, *pgx.ConnConfig) error

	// AfterConnect is called with each new connection of the runtime role, before it is used, and with the placement, without
	// its schema, that the connection is to. An error closes the connection and becomes the statement's. Default: nil.
	AfterConnect func(context.Context, *pgx.Conn, scopes.Placement) error

	// MaxConns bounds the connections over all databases of the default server, in use and idle, and as many of each of its
	// replicas. Default: 20.
	MaxConns int

	// Servers are those beside the default one, by the names that placements have for them. A placement that names another
	// server is refused with a *scopes.ServerUnknownError. Default: none.
	Servers map[string]Server

	// Replicas say how to connect to the streaming replicas of the default server, as Runtime does to the server itself. Statements
	// with a context from scopes.Reading are executed there while a replica is fresh enough, see [Config.MaxLag], and on the
	// server itself otherwise. Default: none.
	Replicas []*pgx.ConnConfig

	// MaxLag is how far what is read from a replica may be behind. For as long after a tenant's last statement that was not from
	// scopes.Reading, what the tenant reads by this registry comes from the server itself, so it reads what it wrote. Default:
	// 2 seconds.
	MaxLag time.Duration

	// Options are set for each transaction. Default: none.
	Options session.Options

	// MaxIdleTime is how long a connection may be idle before it is closed. Default: 5 minutes.
	MaxIdleTime time.Duration

	// MaxLifetime is how long a connection may live; each lives up to a tenth shorter, at random. One that is in use is closed
	// when it is released. Default: 1 hour.
	MaxLifetime time.Duration

	// ConnectTimeout bounds the opening of a connection. A database that cannot be connected to, for whatever reason, is away: its
	// statements fail at once with a *scopes.DatabaseAwayError, and one connection at a time is tried, after pauses that grow to 5
	// seconds. Default: 5 seconds.
	ConnectTimeout time.Duration
}

// Server is a server beside the default one. Its connections count for no other, so that one that is away or busy holds up its
// own tenants only.
type Server struct {
	// Runtime says how to connect there, as [Config.Runtime] does. Required.
	Runtime *pgx.ConnConfig

	// MaxConns bounds the connections over all databases there. Default: Config.MaxConns.
	MaxConns int

	// BeforeConnect is called for the connections there. Default: Config.BeforeConnect.
	BeforeConnect func(context.Context, *pgx.ConnConfig) error

	// Replicas say how to connect to its streaming replicas, as [Config.Replicas] does. In this and Runtime, Database is one that the
	// server has: how fresh they are is asked there. Default: none.
	Replicas []*pgx.ConnConfig
}

// WithDefaults returns a copy in which unset fields have their defaults.
func (c Config) WithDefaults() Config {
	c.MaxConns = cmp.Or(c.MaxConns, 20)
	c.MaxIdleTime = cmp.Or(c.MaxIdleTime, 5*time.Minute)
	c.MaxLifetime = cmp.Or(c.MaxLifetime, time.Hour)
	c.ConnectTimeout = cmp.Or(c.ConnectTimeout, 5*time.Second)
	c.MaxLag = cmp.Or(c.MaxLag, 2*time.Second)
	c.Servers = maps.Clone(c.Servers)
	for name, server := range c.Servers {
		server.MaxConns = cmp.Or(server.MaxConns, c.MaxConns)
		if server.BeforeConnect == nil {
			server.BeforeConnect = c.BeforeConnect
		}
		c.Servers[name] = server
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
	case c.MaxIdleTime < 0 || c.MaxLifetime < 0 || c.ConnectTimeout < 0 || c.MaxLag < 0:
		return errors.New("registry: Config.MaxIdleTime, MaxLifetime, ConnectTimeout and MaxLag must not be negative")
	case slices.Contains(c.Replicas, nil):
		return errors.New("registry: Config.Replicas has one that is nil")
	}
	for name, server := range c.Servers {
		switch {
		case name == "":
			return errors.New("registry: a server in Config.Servers has no name: Config.Runtime leads to the default one")
		case server.Runtime == nil:
			return fmt.Errorf("registry: Config.Servers[%q].Runtime is required", name)
		case server.MaxConns < 1:
			return fmt.Errorf("registry: Config.Servers[%q].MaxConns is %d, it must be at least 1", name, server.MaxConns)
		case slices.Contains(server.Replicas, nil):
			return fmt.Errorf("registry: Config.Servers[%q].Replicas has one that is nil", name)
		}
	}
	return nil
}

// Registry is the way to every tenant's database.
type Registry struct {
	config   Config
	servers  map[string]*server // by name; the default one has none
	breakers *breakers
	db       *sql.DB
}

// server has the connections to one server, or replica of one.
type server struct {
	name          string
	runtime       *pgx.ConnConfig
	beforeConnect func(context.Context, *pgx.ConnConfig) error
	shares        *shares
	pool          *pool
	replicas      *replicas // nil: there are none
	primary       *server   // of a replica
}

// Open returns a registry. It connects to nothing yet. Close it after use.
func Open(config Config) (*Registry, error) {
	config = config.WithDefaults()
	if err := config.validate(); err != nil {
		return nil, err
	}
	r := &Registry{config: config, servers: map[string]*server{}, breakers: newBreakers()}
	conns := r.add("", Server{config.Runtime, config.MaxConns, config.BeforeConnect, config.Replicas})
	for name, server := range config.Servers {
		conns += r.add(name, server)
	}
	r.db = sql.OpenDB(connector{r})
	r.db.SetMaxIdleConns(conns) // routed connections without a connection, which cost nothing
	return r, nil
}

// add opens a server and its replicas, and returns how many connections there may be.
func (r *Registry) add(name string, s Server) (conns int) {
	to := r.newServer(name, s, r.config.ConnectTimeout)
	r.servers[name] = to
	if len(s.Replicas) > 0 {
		to.replicas = r.newReplicas(to, s)
	}
	return s.MaxConns * (1 + len(s.Replicas))
}

func (r *Registry) newServer(name string, s Server, connectTime time.Duration) *server {
	to := &server{name: name, runtime: s.Runtime, beforeConnect: s.BeforeConnect, shares: newShares(s.MaxConns)}
	to.pool = newPool(limits{s.MaxConns, r.config.MaxIdleTime, r.config.MaxLifetime, connectTime},
		func(t target) *session.Connector { return r.connector(to, t) })
	return to
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
	for _, s := range r.servers {
		s.close()
	}
	return err
}

func (s *server) close() {
	s.pool.close()
	if s.replicas != nil {
		s.replicas.close()
	}
}

// Stats describes the registry's connections at one moment.
type Stats struct {
	// ServerStats are over all servers.
	ServerStats
	// Servers are the figures of each, by name. Replicas are called "replica 1", or "eu replica 1" for those of the server eu.
	Servers map[string]ServerStats
	// Suspended is the number of tenants that are refused now since their statements keep timing out, Refused how often
	// one was.
	Suspended int
	Refused   int64
}

// ServerStats describes the connections to one server, or to all.
type ServerStats struct {
	// MaxOpenConnections, InUse, WaitCount and WaitDuration are over all databases, and mean what they mean in
	// sql.DBStats.
	MaxOpenConnections, InUse int
	WaitCount                 int64
	WaitDuration              time.Duration
	// Open is the number of connections, in use and idle.
	Open int
	// Databases maps each database of one server that has a connection to its counts.
	Databases map[string]DatabaseStats
	// Away maps each database of one server that could not be connected to lately to a *scopes.DatabaseAwayError.
	Away map[string]error
	// Replica is nil for a server that is none.
	Replica *ReplicaStats
}

// DatabaseStats counts the connections to one database, those InUse and those Idle.
type DatabaseStats struct{ InUse, Idle int }

// Stats returns the current figures.
func (r *Registry) Stats() Stats {
	all := Stats{Servers: map[string]ServerStats{}, Suspended: r.breakers.suspended(), Refused: r.breakers.refused.Load()}
	for _, server := range r.servers {
		all.add(server.name, server.stats())
		if server.replicas == nil {
			continue
		}
		for _, replica := range server.replicas.all {
			s := replica.stats()
			s.Replica = replica.figures(server.replicas.maxLag)
			all.add(replica.name, s)
		}
	}
	return all
}

func (all *Stats) add(name string, s ServerStats) {
	all.Servers[name] = s
	all.MaxOpenConnections += s.MaxOpenConnections
	all.InUse += s.InUse
	all.WaitCount += s.WaitCount
	all.WaitDuration += s.WaitDuration
	all.Open += s.Open
}

func (s *server) stats() (stats ServerStats) {
	stats.MaxOpenConnections = s.shares.max
	stats.InUse, stats.WaitCount, stats.WaitDuration = s.shares.figures()
	stats.Open, stats.Databases = s.pool.stats()
	stats.Away = s.pool.outages.away()
	return stats
}

// target is what a connection is for. The schema is a preference: a connection serves every schema of its database, but
// PostgreSQL plans its prepared statements anew whenever the schema is another than before, at about the cost of
// executing them.
type target struct {
	scopes.Placement
	allTenants bool
}

// reaches reports whether a connection for t serves other too.
func (t target) reaches(other target) bool { return t.whole() == other.whole() }

// whole is the target's database, whichever the schema.
func (t target) whole() target { return target{t.InSchema(""), t.allTenants} }

// acquire returns a connection for h, and the function to call when it is released. It waits for h's share of the
// connections, unless h is refused.
func (r *Registry) acquire(ctx context.Context, h holder) (c *conn, done func(error), err error) {
	if err := r.breakers.refuses(h); err != nil {
		return nil, nil, err
	}
	if err := h.on.pool.refuses(h.target); err != nil {
		return nil, nil, err
	}
	if err := h.on.shares.acquire(ctx, h); err != nil {
		return nil, nil, err
	}
	if done, err = r.breakers.allow(h); err == nil {
		if c, err = h.on.pool.get(ctx, h.target); err == nil {
			return c, done, nil
		}
		done(nil)
	}
	h.on.shares.release(h)
	return nil, nil, err
}

// acquireFor is [Registry.acquire] for a holder who may be on a replica: where that has no connection to give, the server itself
// serves. It returns the holder that the connection is for.
func (r *Registry) acquireFor(ctx context.Context, h holder) (c *conn, done func(error), on holder, err error) {
	if h.on.primary != nil {
		if c, done, err = r.acquire(ctx, h); err == nil || gaveUp(ctx) {
			return c, done, h, err
		}
		h.on = h.on.primary
	}
	c, done, err = r.acquire(ctx, h)
	return c, done, h, err
}

// route returns for whom and where a statement with this context is executed.
func (r *Registry) route(ctx context.Context) (holder, error) {
	if scopes.IsAllTenants(ctx) {
		if r.config.Owner == nil {
			return holder{}, errors.New("no cross-tenant view: registry.Config.Owner is not set")
		}
		return holder{target: target{scopes.Placement{Database: r.config.Owner.Database}, true}, on: r.servers[""]}, nil
	}
	t, err := scopes.FromContext(ctx)
	if err != nil {
		return holder{}, err
	}
	if t.Database == "" {
		return holder{}, fmt.Errorf("%v has no placement: take tenants from the directory, not from their ids", t)
	}
	on := r.servers[t.Server]
	if on == nil {
		return holder{}, fmt.Errorf("%v: %w", t, &scopes.ServerUnknownError{Server: t.Server})
	}
	h := holder{tenant: t.Key(), target: target{Placement: t.Placement}, on: on}
	if on.replicas != nil && scopes.IsReading(ctx) {
		h.on = on.replicas.choose(h.tenant)
	}
	return h, nil
}

// connector returns the way to open a connection for t on one of its servers.
func (r *Registry) connector(on *server, t target) *session.Connector {
	if t.allTenants {
		return session.NewAllTenantsConnector(r.config.Owner).With(r.config.Options).BeforeConnect(on.beforeConnect)
	}
	config := on.runtime.Copy()
	config.Database = t.Database
	connector := session.NewConnector(config).With(r.config.Options).BeforeConnect(on.beforeConnect)
	if after := r.config.AfterConnect; after != nil {
		connector = connector.AfterConnect(func(ctx context.Context, conn *pgx.Conn) error {
			return after(ctx, conn, t.InSchema(""))
		})
	}
	return connector
}
