package migrations

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Versions returns the version of every schema of conn's database that was ever migrated and whose version
// table conn's role may read: for the runtime role, those it was granted its rights in. It takes no lock.
func Versions(ctx context.Context, conn *pgx.Conn) (map[string]int64, error) {
	schemas, err := migratedSchemas(ctx, conn)
	if err != nil {
		return nil, fmt.Errorf("read the versions of database %s: %w", conn.Config().Database, err)
	}
	versions := make(map[string]int64, len(schemas))
	batch := &pgx.Batch{}
	for _, schema := range schemas {
		table := pgx.Identifier{schema, versionTable}.Sanitize()
		batch.Queue("select coalesce(max(version_id), 0) from " + table).QueryRow(func(row pgx.Row) error {
			var version int64
			err := row.Scan(&version)
			versions[schema] = version
			return err
		})
	}
	if err := conn.SendBatch(ctx, batch).Close(); err != nil {
		return nil, fmt.Errorf("read the versions of database %s: %w", conn.Config().Database, err)
	}
	return versions, nil
}

func migratedSchemas(ctx context.Context, conn *pgx.Conn) ([]string, error) {
	rows, err := conn.Query(ctx, `
		select n.nspname from pg_class c join pg_namespace n on n.oid = c.relnamespace
		where c.relname = $1 and c.relkind = 'r'
			and has_schema_privilege(n.oid, 'usage') and has_table_privilege(c.oid, 'select')`, versionTable)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}
