package session

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"

	lru "github.com/hashicorp/golang-lru/v2/simplelru"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// Connector opens connections to one database that set the tenant for each transaction. It implements driver.Connector.
type Connector struct {
	config     *pgx.ConnConfig
	allTenants bool
}

var _ driver.Connector = (*Connector)(nil)

// NewConnector returns a connector for tenants' work in config's database. Its user must be a role that
// row-level security applies to.
//
// Statements are prepared and cached on each connection, up to config.StatementCacheCapacity of them. Behind a
// pooler that cannot keep prepared statements, set config.DefaultQueryExecMode to pgx.QueryExecModeExec.
func NewConnector(config *pgx.ConnConfig) *Connector {
	return &Connector{config: config.Copy()}
}

// NewAllTenantsConnector returns a connector for cross-tenant work in config's database: its connections take
// statements only with a context from scopes.AllTenants, and run them in read-only transactions. Its
// user must be the owner of the tables, who sees all rows.
func NewAllTenantsConnector(config *pgx.ConnConfig) *Connector {
	return &Connector{config: config.Copy(), allTenants: true}
}

// Open returns a database handle with connections of its own, for a program with one database. For many
// see scopes/registry.
func Open(config *pgx.ConnConfig) *sql.DB { return sql.OpenDB(NewConnector(config)) }

// Connect implements driver.Connector. It needs no tenant.
func (c *Connector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := stdlib.GetConnector(*c.config).Connect(ctx)
	if err != nil {
		return nil, Explain(fmt.Errorf("connect to database %q: %w", c.config.Database, err))
	}
	return newConn(conn.(*stdlib.Conn), c), nil
}

// Driver implements driver.Connector.
func (*Connector) Driver() driver.Driver { return stdlib.GetDefaultDriver() }

func newConn(inner *stdlib.Conn, c *Connector) *conn {
	conn := &conn{
		Conn:       inner,
		pg:         inner.Conn().PgConn(),
		database:   c.config.Database,
		allTenants: c.allTenants,
		prepares:   c.config.DefaultQueryExecMode == pgx.QueryExecModeCacheStatement && c.config.StatementCacheCapacity > 0,
	}
	if conn.prepares {
		conn.statements, _ = lru.NewLRU(c.config.StatementCacheCapacity, func(_ string, sd *pgconn.StatementDescription) {
			conn.evicted = append(conn.evicted, sd.Name)
		})
	}
	return conn
}
