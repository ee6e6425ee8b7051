package directory

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"tenanted/scopes"
)

// active is the state of tenants that are served.
const active = "active"

// row is what [Config.Query] returns. What it has no column for stays nil.
type row struct {
	ID                                    any
	Slug                                  string
	Name, Server, Database, Schema, State *string
}

func (d *Directory) ask(ctx context.Context, name string) (answer, error) {
	a := answer{changes: d.changes.Load()}
	rows, err := d.pool.Query(ctx, d.config.Query, name)
	if err != nil {
		return a, err
	}
	found, err := pgx.CollectExactlyOneRow(rows, scanRow)
	if errors.Is(err, pgx.ErrNoRows) {
		return a, nil
	}
	if err != nil {
		return a, err
	}
	a.tenant, a.state = found.tenant(d.config.Database.Database), orElse(found.State, active)
	if a.tenant.Key() == "" {
		return a, fmt.Errorf("its id %v is nobody's: see scopes.Tenant.Key", found.ID)
	}
	if a.tenant.Server != "" && found.Database == nil {
		return a, fmt.Errorf("it is on server %q, and in no database there: the default one is on the default server", a.tenant.Server)
	}
	return a, nil
}

// scanRow reads the columns that a row has fields for.
func scanRow(from pgx.CollectableRow) (r row, err error) {
	fields := map[string]any{"id": &r.ID, "slug": &r.Slug, "name": &r.Name, "server": &r.Server, "database": &r.Database, "schema": &r.Schema, "state": &r.State}
	into := make([]any, len(from.FieldDescriptions()))
	for i, column := range from.FieldDescriptions() {
		into[i] = fields[column.Name]
		delete(fields, column.Name)
	}
	for _, needed := range []string{"id", "slug"} {
		if fields[needed] != nil {
			return r, fmt.Errorf("the query has no column %q", needed)
		}
	}
	return r, from.Scan(into...)
}

func (r row) tenant(database string) scopes.Tenant {
	t := scopes.Tenant{ID: r.ID, Slug: r.Slug, Name: orElse(r.Name, "")}
	t.Server, t.Database, t.Schema = orElse(r.Server, ""), orElse(r.Database, database), orElse(r.Schema, "")
	switch id := r.ID.(type) {
	case int64:
		t.ID = scopes.TenantID(id)
	case int32:
		t.ID = scopes.TenantID(id)
	case [16]byte: // what pgx makes of a uuid
		t.ID = pgtype.UUID{Bytes: id, Valid: true}.String()
	}
	return t
}

func orElse(value *string, otherwise string) string {
	if value == nil {
		return otherwise
	}
	return *value
}
