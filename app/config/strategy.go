package config

import (
	"fmt"

	"tenanted/scopes"
)

// Strategy is one of the three ways to keep tenants apart. They differ in the placements they hand out
// and in nothing else.
type Strategy string

// The strategies, as DJANGO_CONFIGURATION names them.
const (
	SingleSchema    Strategy = "SingleSchema"    // every tenant in the same tables
	MultipleDb      Strategy = "MultipleDb"      // a database for each tenant
	MultipleSchemas Strategy = "MultipleSchemas" // a schema for each tenant
)

// Strategies returns all strategies, the default one first.
func Strategies() []Strategy { return []Strategy{SingleSchema, MultipleDb, MultipleSchemas} }

// Schemas with a meaning of their own.
const (
	ControlSchema = "control" // holds the directory, in the default database
	PublicSchema  = "public"  // holds the tenants' tables, except in MultipleSchemas
)

// maxIdentifier is in bytes; PostgreSQL cuts longer names off, which would give two tenants one place.
const maxIdentifier = 63

// defaultDatabase is the name of the default database when PGDATABASE is unset.
func (s Strategy) defaultDatabase() string {
	switch s {
	case MultipleDb:
		return "tenanted_multipledb"
	case MultipleSchemas:
		return "tenanted_multipleschemas"
	default:
		return "tenanted"
	}
}

// PlacementFor returns where the rows of the tenant with that slug belong. It returns an error if the
// slug's name cannot be had there. The slug must be valid, or the placement is not.
func (c Config) PlacementFor(slug string) (scopes.Placement, error) {
	switch c.Strategy {
	case MultipleDb:
		return c.databaseFor(slug)
	case MultipleSchemas:
		if slug == PublicSchema || slug == ControlSchema {
			return scopes.Placement{}, fmt.Errorf("a tenant cannot be called %q in %s: the schema of that name is taken", slug, c.Strategy)
		}
		return scopes.Placement{Database: c.Database, Schema: slug}, nil
	default:
		return scopes.Placement{Database: c.Database, Schema: PublicSchema}, nil
	}
}

func (c Config) databaseFor(slug string) (scopes.Placement, error) {
	name := c.Database + "_" + slug
	if len(name) > maxIdentifier {
		return scopes.Placement{}, fmt.Errorf("the database %q has %d bytes, above PostgreSQL's %d: choose a shorter PGDATABASE", name, len(name), maxIdentifier)
	}
	return scopes.Placement{Database: name, Schema: PublicSchema}, nil
}

// SharedPlacement returns the placement that exists before any tenant, where tenants share one.
func (c Config) SharedPlacement() (p scopes.Placement, ok bool) {
	return scopes.Placement{Database: c.Database, Schema: PublicSchema}, c.Strategy == SingleSchema
}

// Shared reports whether a placement is the shared one.
func (c Config) Shared(p scopes.Placement) bool {
	shared, ok := c.SharedPlacement()
	return ok && p == shared
}

// TenantLimit returns how many tenants there may be; limited is false where there is no bound.
func (c Config) TenantLimit() (limit int, limited bool) {
	return c.MultiDBCount, c.Strategy == MultipleDb
}

// ListsAllTenants reports whether the rows of all tenants can be read in one query: they are in the
// same tables, and there is an owner who may see them all.
func (c Config) ListsAllTenants() bool { return c.Strategy == SingleSchema && c.Owner != "" }
