// Package citus distributes the tables that tenants share over the workers of a Citus cluster, by the tenant's column, and says
// where a tenant's rows are.
//
// All of a tenant's rows have one value in that column, and so lie in one shard of each table; the tables are colocated, which
// puts these shards on one node. A statement with the tenant in its conditions goes there whole: joins, foreign keys and
// transactions are those of one PostgreSQL.
//
// What carries the tenant to the workers is session.ExplicitTx; what checks it all is scopes/audit.
package citus

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Table is a tenanted table.
type Table struct {
	Name   string // without its schema
	Column string // the tenant's
}

// Config says what [Distribute] distributes.
type Config struct {
	// Schema has the tables. Required.
	Schema string
	// Tables are the tenanted ones, parents before children. All are colocated with the first. Required.
	Tables []Table
	// Runtime is the role that serves. Its SET LOCAL is passed on to the workers from now on. Required.
	Runtime string
	// Say is called before each table's rows are copied to the workers, which takes longest, and afterwards. Default: nobody is told.
	Say func(string)
}

// Installed reports whether the database of conn has the extension.
func Installed(ctx context.Context, conn *pgx.Conn) (installed bool, err error) {
	err = conn.QueryRow(ctx, "select exists (select from pg_extension where extname = 'citus')").Scan(&installed)
	return installed, err
}

// Distribute distributes the tables that are not, with the rows that are in them, and has the coordinator pass the runtime role's
// SET LOCAL on to the workers. It does so in one transaction, during which nobody writes to the tables, and may be
// repeated. conn is the connection of the role that owns the tables, which must be one that may create roles, once.
func Distribute(ctx context.Context, conn *pgx.Conn, c Config) error {
	if c.Say == nil {
		c.Say = func(string) {}
	}
	err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		missing, err := undistributed(ctx, tx, c)
		if err != nil || len(missing) == 0 {
			return err
		}
		return c.distribute(ctx, tx, missing)
	})
	if err != nil {
		return fmt.Errorf("distribute the tables of schema %q: %w", c.Schema, err)
	}
	return c.propagate(ctx, conn)
}

func (c Config) distribute(ctx context.Context, tx pgx.Tx, missing []Table) error {
	// Else the first foreign key would make a table of the coordinator's own of what is to be distributed.
	if _, err := tx.Exec(ctx, "set local citus.enable_local_reference_table_foreign_keys to off"); err != nil {
		return err
	}
	first := c.Tables[0]
	for i, t := range missing {
		with := c.regclass(first)
		if t == first {
			with = "none" // a group of their own: they are moved together, and with nobody else's
		}
		c.Say(fmt.Sprintf("distributing table %s by %s (%d of %d)", t.Name, t.Column, i+1, len(missing)))
		_, err := tx.Exec(ctx, "select create_distributed_table($1::text::regclass, $2, colocate_with => $3)", c.regclass(t), t.Column, with)
		if err != nil {
			return fmt.Errorf("table %s: %w", t.Name, err)
		}
	}
	for _, t := range missing { // the coordinator's own copies of the rows
		if _, err := tx.Exec(ctx, "select truncate_local_data_after_distributing_table($1::text::regclass)", c.regclass(t)); err != nil {
			return fmt.Errorf("table %s: %w", t.Name, err)
		}
	}
	c.Say(fmt.Sprintf("distributed %d tables", len(missing)))
	return nil
}

func (c Config) regclass(t Table) string { return pgx.Identifier{c.Schema, t.Name}.Sanitize() }

// undistributed returns the tables that the cluster has on the coordinator alone.
func undistributed(ctx context.Context, tx pgx.Tx, c Config) (missing []Table, err error) {
	for _, t := range c.Tables {
		var distributed bool
		const ask = "select exists (select from pg_dist_partition where logicalrelid = $1::text::regclass)"
		if err := tx.QueryRow(ctx, ask, c.regclass(t)).Scan(&distributed); err != nil {
			return nil, err
		}
		if !distributed {
			missing = append(missing, t)
		}
	}
	return missing, nil
}

// propagate makes the runtime role's SET LOCAL reach the workers, for all sessions that begin from now on.
func (c Config) propagate(ctx context.Context, conn *pgx.Conn) error {
	var set bool
	const ask = `select exists (select from pg_db_role_setting c join pg_roles r on r.oid = c.setrole join pg_database d on d.oid = c.setdatabase
		where r.rolname = $1 and d.datname = current_database() and $2 = any (c.setconfig))`
	if err := conn.QueryRow(ctx, ask, c.Runtime, Propagation+"=local").Scan(&set); err != nil || set {
		return err
	}
	alter := Propagate(c.Runtime, conn.Config().Database)
	_, err := conn.Exec(ctx, alter)
	if denied, ok := errors.AsType[*pgconn.PgError](err); ok && denied.Code == "42501" {
		return fmt.Errorf("role %q may not change role %q: have a role that may create roles run %s: %w", conn.Config().User, c.Runtime, alter, err)
	}
	return err
}

// Propagate returns the SQL that makes a role's SET LOCAL in a database reach the workers. It is not for the owner: the coordinator
// passes on the whole text in which SET LOCAL stands, other statements included.
func Propagate(role, database string) string {
	return fmt.Sprintf("alter role %s in database %s set %s = 'local'", pgx.Identifier{role}.Sanitize(), pgx.Identifier{database}.Sanitize(), Propagation)
}

// Propagation is the setting that makes a coordinator pass SET LOCAL on, if it is 'local'.
const Propagation = "citus.propagate_set_commands"

// Shard is where a tenant's rows of a table are.
type Shard struct {
	ID   int64  `json:"id"`   // Citus's number, which is behind the shard's name
	Node string `json:"node"` // as "10.0.0.7:5432"
}

// String names both.
func (s Shard) String() string { return fmt.Sprintf("%d on %s", s.ID, s.Node) }

// ShardOf returns where the rows of a tenant are in a table, or nil if the table is not distributed.
func ShardOf(ctx context.Context, conn *pgx.Conn, schema, table, tenant string) (*Shard, error) {
	if installed, err := Installed(ctx, conn); err != nil || !installed {
		return nil, err
	}
	const query = `
		select p.shardid, n.nodename || ':' || n.nodeport
		from pg_dist_partition t, pg_dist_placement p join pg_dist_node n on n.groupid = p.groupid and n.noderole = 'primary'
		where t.logicalrelid = $1::text::regclass and t.partmethod = 'h'
		  and p.shardid = get_shard_id_for_distribution_column(t.logicalrelid, $2::text)
		order by p.placementid limit 1`
	var s Shard
	err := conn.QueryRow(ctx, query, Config{Schema: schema}.regclass(Table{Name: table}), tenant).Scan(&s.ID, &s.Node)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	return &s, err
}

// Node is one that has shards of a table.
type Node struct {
	Name   string `json:"name"`   // as "10.0.0.7:5432"
	Shards int    `json:"shards"` // on it
}

// NodesOf returns the nodes that have shards of a table, none if it is not distributed.
func NodesOf(ctx context.Context, conn *pgx.Conn, schema, table string) ([]Node, error) {
	if installed, err := Installed(ctx, conn); err != nil || !installed {
		return nil, err
	}
	rows, _ := conn.Query(ctx, `
		select n.nodename || ':' || n.nodeport, count(*)::int
		from pg_dist_shard s join pg_dist_placement p using (shardid) join pg_dist_node n on n.groupid = p.groupid and n.noderole = 'primary'
		where s.logicalrelid = to_regclass($1)
		group by 1 order by 1`, Config{Schema: schema}.regclass(Table{Name: table}))
	return pgx.CollectRows(rows, pgx.RowToStructByPos[Node])
}
