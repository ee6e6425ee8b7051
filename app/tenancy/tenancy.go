package tenancy

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"gorm.io/gorm"

	"tenanted/app/config"
	"tenanted/scopes"
	"tenanted/scopes/registry"
	"tenanted/scopes/session"
)

// Tenancy gives the application access to its tenants and their data.
type Tenancy struct {
	// DB is routed by the tenant in the context; a statement without one panics.
	DB *gorm.DB
	// Directory finds and lists the tenants.
	Directory *Directory

	registry  *registry.Registry
	readiness *readiness
	versions  *knownVersions
}

// Open returns the Tenancy for cfg. It logs slow and failed statements to log. It does not wait for a connection: see [Ready].
// Close it after use.
func Open(ctx context.Context, cfg config.Config, log *slog.Logger) (*Tenancy, error) {
	return OpenTraced(ctx, cfg, log, nil)
}

// OpenTraced is [Open] with a tracer, which may be nil, for each statement and its values.
func OpenTraced(ctx context.Context, cfg config.Config, log *slog.Logger, tracer pgx.QueryTracer) (*Tenancy, error) {
	readiness := newReadiness(cfg)
	directory, err := openDirectory(ctx, cfg, readiness.notified)
	if err != nil {
		return nil, err
	}
	t := &Tenancy{Directory: directory, readiness: readiness, versions: &knownVersions{cfg: cfg}}
	pooled := t.registryConfig(cfg)
	trace(pooled, tracer)
	pools, err := registry.Open(pooled)
	if err != nil {
		return nil, errors.Join(err, directory.Close())
	}
	t.registry = pools
	t.DB, err = pools.OpenGORM(&gorm.Config{Logger: newQueryLog(log)}, scopes.NewPlugin(scopes.Config{}))
	if err == nil {
		err = t.tellClosed()
	}
	if err != nil {
		return nil, errors.Join(err, t.Close())
	}
	directory.Watch(ctx)
	return t, nil
}

// trace has a tracer told of each statement of tenants.
func trace(c registry.Config, tracer pgx.QueryTracer) {
	traced := append([]*pgx.ConnConfig{c.Runtime}, c.Replicas...)
	for _, server := range c.Servers {
		traced = append(append(traced, server.Runtime), server.Replicas...)
	}
	for _, to := range traced {
		to.Tracer = tracer
	}
}

// registryConfig leaves the owner out where the tenants' tables are not one: there is no view over them. Each connection
// to a tenant's own database looks first whether that is this deployment's.
func (t *Tenancy) registryConfig(cfg config.Config) registry.Config {
	main := cfg.Servers()[0]
	c := registry.Config{Runtime: cfg.Runtime(), BeforeConnect: main.BeforeConnect, Replicas: main.Replicas(), MaxLag: cfg.MaxLag,
		Servers: map[string]registry.Server{}, MaxConns: cfg.MaxConns, MaxIdleTime: cfg.MaxIdleTime, MaxLifetime: cfg.MaxLifetime,
		Options: session.Options{StatementTimeout: cfg.StatementTimeout, LockTimeout: cfg.LockTimeout, ApplicationName: "tenanted",
			TxForm: session.TxForm(cfg.Transactions)}}
	c.AfterConnect = func(ctx context.Context, conn *pgx.Conn, p scopes.Placement) error {
		if p.InSchema("") == cfg.Default() {
			return nil
		}
		d, err := t.readiness.deployment(ctx)
		if err != nil {
			return err
		}
		return d.verify(ctx, cfg, conn, p)
	}
	for _, server := range cfg.Servers()[1:] {
		c.Servers[server.Name] = registry.Server{Runtime: server.Runtime(), BeforeConnect: server.BeforeConnect, Replicas: server.Replicas(), MaxConns: server.MaxConns}
	}
	if cfg.ListsAllTenants() {
		c.Owner = cfg.OwnerConn()
	}
	return c
}

// Lookup returns the active tenant with that slug if its placement can be served. The errors are those of [Directory.Lookup], and a
// *scopes.TenantUnavailableError if the placement is not as this program needs it. A placement that is not is checked again after
// a few seconds.
func (t *Tenancy) Lookup(ctx context.Context, slug string) (scopes.Tenant, error) {
	tenant, err := t.Directory.Lookup(ctx, slug)
	if err != nil {
		return tenant, err
	}
	return tenant, t.readiness.check(ctx, tenant)
}

// NotServed returns, by slug, why tenants could not be served recently.
func (t *Tenancy) NotServed() map[string]string { return t.readiness.problems() }

// pingTime bounds how long ServersAway waits for a server.
const pingTime = time.Second

// ServersAway returns, by the names of the servers beside the default one, why they do not answer, and by those of replicas, as "eu
// replica 1", why they are not read from.
func (t *Tenancy) ServersAway(ctx context.Context) map[string]string {
	ctx, cancel := context.WithTimeout(ctx, pingTime)
	defer cancel()
	away := map[string]string{}
	var mutex sync.Mutex
	var servers sync.WaitGroup
	for _, server := range t.readiness.cfg.Servers()[1:] {
		servers.Go(func() {
			if err := pingServer(ctx, server); err != nil {
				mutex.Lock()
				defer mutex.Unlock()
				away[server.Name] = err.Error()
			}
		})
	}
	servers.Wait()
	for name, stats := range t.registry.Stats().Servers {
		if replica := stats.Replica; replica != nil && !replica.Used {
			away[name] = leftOut(replica)
		}
	}
	return away
}

func leftOut(replica *registry.ReplicaStats) string {
	if replica.Err != nil {
		return replica.Err.Error()
	}
	return fmt.Sprintf("it is %v behind", replica.Lag.Round(time.Millisecond))
}

// pingServer logs in as the runtime role, to no tenant's database. That it may not enter that one is an answer.
func pingServer(ctx context.Context, server config.Server) error {
	to := server.Runtime()
	to.Database = maintenance[0]
	conn, err := connect(ctx, to)
	if c := code(err); c == codeNoDatabase || c == codeNoPermission {
		return nil
	}
	if err != nil {
		return err
	}
	return conn.Close(context.WithoutCancel(ctx))
}

// SQL returns the *sql.DB below DB, for statements without GORM. The same rules apply.
func (t *Tenancy) SQL() *sql.DB { return t.registry.DB() }

// Stats returns the registry's figures.
func (t *Tenancy) Stats() registry.Stats { return t.registry.Stats() }

// Ping reports whether the directory's database answers.
func (t *Tenancy) Ping(ctx context.Context) error { return t.Directory.Ping(ctx) }

// Close waits for statements in progress and closes all connections.
func (t *Tenancy) Close() error { return errors.Join(t.registry.Close(), t.Directory.Close()) }
