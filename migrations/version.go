package migrations

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"tenanted/scopes"
)

// Version is how far a target is.
type Version struct {
	Number  int64
	Comment string // of the version table: see [Compatible]
}

// Versions returns the version of every target in a placement's database, to which conn leads, that was ever migrated and
// whose version table conn's role may read: for the runtime role, those it was granted its rights in. Where the placement
// has a schema, it returns those of the targets in it. It takes no lock, and one statement for each target.
func Versions(ctx context.Context, conn *pgx.Conn, in scopes.Placement) (map[Target]Version, error) {
	targets, err := migratedTargets(ctx, conn, in)
	if err != nil {
		return nil, fmt.Errorf("read the versions of database %s: %w", in.InSchema(""), err)
	}
	versions := make(map[Target]Version, len(targets))
	batch := &pgx.Batch{}
	for _, target := range targets {
		table := pgx.Identifier{target.Schema, target.Set.versionTable()}.Sanitize()
		sql := "select coalesce(max(version_id), 0), coalesce(obj_description($1::regclass, 'pg_class'), '') from " + table
		batch.Queue(sql, table).QueryRow(func(row pgx.Row) error {
			var version Version
			err := row.Scan(&version.Number, &version.Comment)
			versions[target] = version
			return err
		})
	}
	if err := conn.SendBatch(ctx, batch).Close(); err != nil {
		return nil, fmt.Errorf("read the versions of database %s: %w", in.InSchema(""), err)
	}
	return versions, nil
}

func migratedTargets(ctx context.Context, conn *pgx.Conn, in scopes.Placement) ([]Target, error) {
	rows, err := conn.Query(ctx, `
		select n.nspname, c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
		where c.relname = any($1) and c.relkind = 'r' and ($2::text = '' or n.nspname = $2::text)
			and has_schema_privilege(n.oid, 'usage') and has_table_privilege(c.oid, 'select')`,
		[]string{Tenant.versionTable(), Shared.versionTable(), Control.versionTable(), Placement.versionTable()}, in.Schema)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (Target, error) {
		var schema, table string
		err := row.Scan(&schema, &table)
		set := Set(strings.TrimSuffix(table, versionTableSuffix))
		return Target{set, in.InSchema(schema)}, err
	})
}
