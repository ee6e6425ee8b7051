package session

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"

	lru "github.com/hashicorp/golang-lru/v2/simplelru"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// Connector opens connections to one database that set the tenant for each transaction. It implements driver.Connector.
type Connector struct {
	config        *pgx.ConnConfig
	allTenants    bool
	options       Options
	beforeConnect func(context.Context, *pgx.ConnConfig) error
	afterConnect  func(context.Context, *pgx.Conn) error
}

// Options are settings that go to the server with the tenant, for each transaction, so that they hold behind a pooler too.
type Options struct {
	// StatementTimeout and LockTimeout bound how long the server lets a statement run, and wait for a lock. They are rounded
	// up to milliseconds. Default: what the server is set to.
	StatementTimeout, LockTimeout time.Duration

	// Schemas are looked in for what a tenant's own schema does not have: extensions, tables that all tenants read. They must
	// have no table that the tenants have too, or one that a tenant lacks is taken from there; tell audit.Config.Further. A
	// tenant without a schema has the connection's own search_path. Default: none.
	Schemas []string

	// ApplicationName, with the tenant's id behind it, becomes the application_name that pg_stat_activity and the server's
	// log show while a tenant's statement runs. Default: the name stays as it is.
	ApplicationName string

	// TxForm is how the settings and a statement outside a transaction become one. Default: [DetectTx].
	TxForm TxForm
}

// TxForm is how the settings reach a statement outside a transaction. Either way they take one round trip together, and nothing
// is left on the connection.
type TxForm string

const (
	// DetectTx is [ExplicitTx] where the database has the extension citus, for which each new connection asks once; otherwise
	// [ImplicitTx].
	DetectTx TxForm = ""
	// ImplicitTx sends both as one pipeline, which is one implicit transaction.
	ImplicitTx TxForm = "implicit"
	// ExplicitTx puts BEGIN, SET LOCAL of the tenant, and COMMIT around them. A Citus coordinator passes SET LOCAL on to its
	// workers, where the policies need it, if citus.propagate_set_commands is 'local' for the role; set_config it does not.
	ExplicitTx TxForm = "explicit"
)

var _ driver.Connector = (*Connector)(nil)

// NewConnector returns a connector for tenants' work in config's database. Its user must be a role that
// row-level security applies to.
//
// Statements are prepared and cached on each connection, for each schema, up to config.StatementCacheCapacity of them. One
// that the server no longer accepts, since its tables were changed, is prepared again and executed once more, unless
// it stands behind others in a transaction: then its error is returned, once. Behind a pooler that cannot keep prepared
// statements, set config.DefaultQueryExecMode to pgx.QueryExecModeExec. A config.Tracer is called for each statement, with
// the statement's context.
func NewConnector(config *pgx.ConnConfig) *Connector {
	return &Connector{config: config.Copy()}
}

// NewAllTenantsConnector returns a connector for cross-tenant work in config's database: its connections take
// statements only with a context from scopes.AllTenants, and run them in read-only transactions. Its
// user must be the owner of the tables, who sees all rows.
func NewAllTenantsConnector(config *pgx.ConnConfig) *Connector {
	return &Connector{config: config.Copy(), allTenants: true}
}

// With returns a copy of c with these options.
func (c *Connector) With(options Options) *Connector {
	with := *c
	with.options = options
	return &with
}

// AfterConnect has f called with each new connection, before it is used, and returns c. An error of f closes the connection
// and is Connect's. A nil f is none.
func (c *Connector) AfterConnect(f func(context.Context, *pgx.Conn) error) *Connector {
	c.afterConnect = f
	return c
}

// Open returns a database handle with connections of its own, for a program with one database. For many
// see scopes/registry.
func Open(config *pgx.ConnConfig) *sql.DB { return sql.OpenDB(NewConnector(config)) }

// Connect implements driver.Connector. It needs no tenant.
func (c *Connector) Connect(ctx context.Context) (driver.Conn, error) {
	plain, err := c.dial(ctx)
	if err != nil {
		return nil, Explain(err)
	}
	inner := plain.(*stdlib.Conn)
	if c.afterConnect != nil {
		if err := c.afterConnect(ctx, inner.Conn()); err != nil {
			return nil, errors.Join(Explain(err), inner.Close())
		}
	}
	core, err := newCore(ctx, inner.Conn(), c)
	if err != nil {
		return nil, errors.Join(err, inner.Close())
	}
	return &conn{inner, core}, nil
}

// Driver implements driver.Connector.
func (*Connector) Driver() driver.Driver { return stdlib.GetDefaultDriver() }

func newCore(ctx context.Context, on *pgx.Conn, c *Connector) (*core, error) {
	explicit, err := c.explicitTx(ctx, on.PgConn())
	if err != nil {
		return nil, err
	}
	core := &core{
		connector:     c,
		pgx:           on,
		pg:            on.PgConn(),
		database:      c.config.Database,
		allTenants:    c.allTenants,
		tracer:        c.config.Tracer,
		path:          c.options.path(),
		set:           c.settingsSQL(false),
		setWithSchema: c.settingsSQL(true),
		explicit:      explicit,
	}
	core.setReading, core.setReadingWithSchema = core.set+setReadOnly, core.setWithSchema+setReadOnly
	if c.config.DefaultQueryExecMode == pgx.QueryExecModeCacheStatement && c.config.StatementCacheCapacity > 0 {
		core.statements, _ = lru.NewLRU(c.config.StatementCacheCapacity, func(_ statementKey, sd *pgconn.StatementDescription) {
			core.evicted = append(core.evicted, sd.Name)
		})
	}
	return core, nil
}

// explicitTx reports whether transactions on a connection are to be explicit. For all tenants nothing need be passed on: their
// role sees all rows on the workers too.
func (c *Connector) explicitTx(ctx context.Context, pg *pgconn.PgConn) (bool, error) {
	if c.options.TxForm != DetectTx || c.allTenants {
		return c.options.TxForm == ExplicitTx && !c.allTenants, nil
	}
	const ask = "select from pg_extension where extname = 'citus'"
	answer := pg.ExecParams(ctx, ask, nil, nil, nil, nil).Read()
	if answer.Err != nil {
		return false, fmt.Errorf("ask for the extension citus: %w", Explain(answer.Err))
	}
	return answer.CommandTag.RowsAffected() > 0, nil
}
