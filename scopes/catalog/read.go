package catalog

import (
	"context"
	_ "embed"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Schema is what a schema has. The zero value has nothing.
type Schema struct {
	Name    string // as the catalogs have it, without quotes
	objects map[key]object
}

// key identifies an object within a schema.
type key struct{ kind, of, name string } // of: the table, or what a right is on

// object has its properties in the order of the kind's names for them.
type object struct {
	key
	values []string
}

// properties are the names of an object's, by kind. A kind is in the order in which people look for what is wrong.
var properties = map[string][]string{
	"schema":     {"owner"},
	"table":      {"owner", "kind", "row level security", "forced row level security", "options", "partition"},
	"column":     {"type", "collation", "not null", "default", "identity", "generated"},
	"constraint": {"definition"},
	"index":      {"definition", "state"},
	"trigger":    {"definition", "state"},
	"rule":       {"definition"},
	"policy":     {"command", "mode", "roles", "using", "check"},
	"view":       {"owner", "definition", "options"},
	"sequence":   {"owner", "definition"},
	"function":   {"owner", "definition"},
	"type":       {"owner", "definition"},
	"collation":  {"owner", "definition"},
	"statistics": {"definition"},
	"right":      {"grant option"},
}

var kinds = []string{"schema", "table", "column", "constraint", "index", "trigger", "rule", "policy", "view", "sequence", "function", "type",
	"collation", "statistics", "right"}

//go:embed read.sql
var query string

// Read returns what schemas have; one that does not exist is not among them. It is one query, in a transaction if conn is in one. The
// search_path must be nothing but pg_catalog, see [SearchPath].
func Read(ctx context.Context, conn Querier, schemas ...string) (map[string]Schema, error) {
	rows, _ := conn.Query(ctx, query, pgx.QueryExecModeExec, schemas)
	found := map[string]Schema{}
	var schema string
	var o object
	_, err := pgx.ForEachRow(rows, []any{&schema, &o.kind, &o.of, &o.name, &o.values}, func() error {
		if len(o.values) != len(properties[o.kind]) {
			return fmt.Errorf("%s %s has %d properties", o.kind, o.name, len(o.values))
		}
		s, known := found[schema]
		if !known {
			s = Schema{schema, map[key]object{}}
			found[schema] = s
		}
		o.of, o.name = unqualified(o.of, schema), unqualified(o.name, schema) // the types of a function's arguments
		s.objects[o.key] = o
		o.values = nil
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the catalogs: %w", err)
	}
	return found, nil
}

// Querier is a *pgx.Conn or a pgx.Tx.
type Querier interface {
	// Query is pgx's.
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// ReadOnly is [Read] in a transaction of its own. It waits two seconds for a table that somebody has locked, and fails then.
func ReadOnly(ctx context.Context, conn *pgx.Conn, schemas ...string) (found map[string]Schema, err error) {
	options := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	err = pgx.BeginTxFunc(ctx, conn, options, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, SearchPath); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "set local lock_timeout = '2s'"); err != nil {
			return err
		}
		found, err = Read(ctx, tx, schemas...)
		return err
	})
	return found, err
}

// Locked returns which of the schemas have a table that somebody has locked altogether, so that [Read] would wait.
func Locked(ctx context.Context, conn Querier, schemas ...string) ([]string, error) {
	rows, _ := conn.Query(ctx, `
		select distinct n.nspname::text from pg_locks l join pg_class c on c.oid = l.relation join pg_namespace n on n.oid = c.relnamespace
		where l.mode = 'AccessExclusiveLock' and l.granted and n.nspname = any($1) and l.pid is distinct from pg_backend_pid()
		  and l.database = (select oid from pg_database where datname = current_database())`, pgx.QueryExecModeExec, schemas)
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// SearchPath has PostgreSQL print names with their schema, until the transaction ends.
const SearchPath = "set local search_path to pg_catalog, pg_temp"
