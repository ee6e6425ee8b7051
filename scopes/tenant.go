package scopes

import (
	"context"
	"fmt"
	"log/slog"
)

// TenantID identifies a tenant by a number. A struct field of this type is the model's tenant column, whatever the
// column is called: see [Tenanted] for the ready-made mixin, and [HasTenant] for columns of other types. Valid values
// are 1 and above.
type TenantID int64

// Placement says where a tenant's rows live. An empty field means the connection's own. Placements are compared as a whole:
// databases of one name on two servers are two databases.
type Placement struct {
	Server   string // by the name that the program has for it; empty: the default one
	Database string // the database's name
	Schema   string // the schema's, unquoted
}

// InSchema returns the placement of another schema in the same database. Of none (""), it stands for the database.
func (p Placement) InSchema(schema string) Placement {
	p.Schema = schema
	return p
}

// String returns the placement as "database.schema", and on another server than the default one as
// "server/database.schema".
func (p Placement) String() string {
	name := p.Database
	if p.Server != "" {
		name = p.Server + "/" + name
	}
	if p.Schema != "" {
		name += "." + p.Schema
	}
	return name
}

// Tenant is who a statement works for, and where that tenant's rows are.
type Tenant struct {
	// ID is a comparable value of any type that a bigint, uuid or text column is stored from: an integer, a string, a
	// driver.Valuer such as uuid.UUID, a type made of one of these. Its text is what PostgreSQL gets, see [Tenant.Key].
	ID   any
	Slug string // the name in hosts, paths and headers; it may change
	Name string // for people; it identifies nobody
	Placement
}

// Key returns the text of the tenant's id, by which it is known to PostgreSQL. Tenants with equal keys are the same one,
// whatever the types of their ids. It is empty for nobody: an id that is nil, of another kind than those of [Tenant], a
// number below 1, a zero UUID, and a text that is empty, no UTF-8, or has a NUL in it.
func (t Tenant) Key() string { return idOf(t.ID).key }

// String returns the tenant as people know it: its slug if there is one, and its id.
func (t Tenant) String() string {
	name := "no tenant"
	if key := t.Key(); key != "" {
		name = "tenant " + key
	}
	if t.Slug == "" {
		return name
	}
	return fmt.Sprintf("%s (%s)", name, t.Slug)
}

// identity is what a context carries: one tenant, or all of them for a stated reason.
type identity struct {
	tenant Tenant
	id     tenantID // the tenant's
	reason string   // why all tenants; empty for one tenant
	only   tenantID // narrows cross-tenant work to one tenant
}

// confines returns the tenant whose rows alone may be seen, or nobody where all may.
func (id identity) confines() tenantID {
	if id.reason != "" {
		return id.only
	}
	return id.id
}

type identityKey struct{}

// WithTenant returns a context in which every statement works for tenant t. It replaces a tenant that
// ctx already carries, and ends cross-tenant work begun by [AllTenants].
//
// A tenant with an empty [Tenant.Key] counts as none: the statements that follow fail as if no tenant had been given.
func WithTenant(ctx context.Context, t Tenant) context.Context {
	return context.WithValue(ctx, identityKey{}, identity{tenant: t, id: idOf(t.ID)})
}

// AllTenants returns a context for deliberate work across tenants: the scope adds no condition, and
// scopes/registry sends its statements to the owner's read-only connections. The reason is logged
// and must say why; AllTenants panics without one.
func AllTenants(ctx context.Context, reason string) context.Context {
	if reason == "" {
		panic("scopes: AllTenants needs a reason")
	}
	slog.InfoContext(ctx, "cross-tenant work", "reason", reason)
	return context.WithValue(ctx, identityKey{}, identity{reason: reason})
}

// FromContext returns the tenant that ctx carries. Without a valid one, and in cross-tenant work, it
// returns a [*TenantMissingError].
func FromContext(ctx context.Context) (Tenant, error) {
	if id, ok := lookup(ctx); ok && id.reason == "" {
		return id.tenant, nil
	}
	return Tenant{}, &TenantMissingError{}
}

// MustFromContext is [FromContext], but panics with the error.
func MustFromContext(ctx context.Context) Tenant {
	t, err := FromContext(ctx)
	if err != nil {
		panic(err)
	}
	return t
}

// IsAllTenants reports whether ctx comes from [AllTenants].
func IsAllTenants(ctx context.Context) bool {
	id, ok := lookup(ctx)
	return ok && id.reason != ""
}

// lookup returns what ctx carries; ok is false when that is nothing valid. A nil context carries nothing.
func lookup(ctx context.Context) (id identity, ok bool) {
	if ctx == nil {
		return identity{}, false
	}
	id, ok = ctx.Value(identityKey{}).(identity)
	return id, ok && (id.reason != "" || !id.id.nobody())
}
