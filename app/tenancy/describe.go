package tenancy

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"tenanted/app/config"
	"tenanted/migrations"
	"tenanted/models"
	"tenanted/scopes"
	"tenanted/scopes/citus"
)

// Description is what [Creator.Describe] returns about a tenant.
type Description struct {
	Entry
	Created time.Time
	Domains []string
	Former  []FormerSlug

	// About the placement. If it cannot be read, Problem says why, and the other fields are unset.
	Problem string
	Version int64        // of its tables
	Rows    []TableCount // parents before children
	Bytes   int64        // on disk; 0: not known, since the tables are shared
	Shard   *citus.Shard // of its account; nil: the tables are not distributed
}

// TableCount is how many rows a tenant has in a table.
type TableCount struct {
	Table string
	Rows  int64
}

// Describe returns a tenant's description, for which it counts the tenant's rows. The errors are those of [Creator.Find]. If only
// the placement cannot be read, the description says so in Problem.
func (c *Creator) Describe(ctx context.Context, tenant string) (Description, error) {
	e, err := c.Find(ctx, tenant)
	if err != nil {
		return Description{}, err
	}
	d := Description{Entry: e}
	if err := c.control.QueryRow(ctx, "select created_at from control.tenants where id = $1", e.ID).Scan(&d.Created); err != nil {
		return d, err
	}
	if d.Domains, err = c.Domains(ctx, e.Tenant); err != nil {
		return d, err
	}
	if d.Former, err = c.formerSlugs(ctx, e.Tenant); err != nil {
		return d, err
	}
	if err := c.describePlacement(ctx, &d); err != nil {
		d.Problem = err.Error()
	}
	return d, nil
}

func (c *Creator) describePlacement(ctx context.Context, d *Description) error {
	if err := c.connectTo(ctx, d.Placement); err != nil {
		return err
	}
	versions, err := migrations.Versions(ctx, c.placed, d.Placement)
	if err != nil {
		return err
	}
	version, exists := versions[migrations.Target{Set: migrations.Tenant, Placement: d.Placement}]
	if !exists {
		return fmt.Errorf("it has no tables")
	}
	d.Version = version.Number
	err = Placed{c.placed, d.Schema}.Begin(ctx, func(tx pgx.Tx) error {
		d.Rows, err = countRows(ctx, tx, d.Entry)
		return err
	})
	if err == nil && c.setup.cfg.Shared(d.Placement) {
		d.Shard, err = shardOf(ctx, c.placed, d.Tenant)
		return err
	}
	if err != nil {
		return err
	}
	d.Bytes, err = size(ctx, c.placed, d.Entry, c.setup.cfg)
	return err
}

// shardOf returns where a tenant of shared tables has its rows, or nil if they are not distributed.
func shardOf(ctx context.Context, conn *pgx.Conn, t scopes.Tenant) (*citus.Shard, error) {
	return citus.ShardOf(ctx, conn, t.Schema, models.Tables()[0].Name, t.Key())
}

func countRows(ctx context.Context, tx pgx.Tx, e Entry) (counts []TableCount, err error) {
	for _, t := range models.Tables() {
		count := TableCount{Table: t.Name}
		query := fmt.Sprintf("select count(*) from %s where %s = $1", pgx.Identifier{t.Name}.Sanitize(), pgx.Identifier{t.Tenant}.Sanitize())
		if err := tx.QueryRow(ctx, query, e.ID).Scan(&count.Rows); err != nil {
			return nil, err
		}
		counts = append(counts, count)
	}
	return counts, nil
}

// size returns the disk size of a tenant's own database or schema.
func size(ctx context.Context, conn *pgx.Conn, e Entry, cfg config.Config) (bytes int64, err error) {
	query := "select pg_database_size(current_database()) where $1 <> ''"
	if e.InSchema("") == cfg.Default() || e.Schema != config.PublicSchema {
		query = "select coalesce(sum(pg_total_relation_size(oid)), 0) from pg_class where relnamespace = to_regnamespace(quote_ident($1)) and relkind in ('r', 'm')"
	}
	err = conn.QueryRow(ctx, query, e.Schema).Scan(&bytes)
	return bytes, err
}
