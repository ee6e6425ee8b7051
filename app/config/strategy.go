package config

import (
	"strings"

	"tenanted/scopes"
)

// Strategy is one of the ways to keep tenants apart. They differ in the placements they hand out and in nothing else.
type Strategy string

// The strategies, as DJANGO_CONFIGURATION names them.
const (
	SingleSchema    Strategy = "SingleSchema"    // every tenant in the same tables
	MultipleDb      Strategy = "MultipleDb"      // a database for each tenant
	MultipleSchemas Strategy = "MultipleSchemas" // a schema for each tenant
	Mixed           Strategy = "Mixed"           // any of these for each tenant
)

// Strategies returns all strategies, the default one first.
func Strategies() []Strategy { return []Strategy{SingleSchema, MultipleDb, MultipleSchemas, Mixed} }

// shares, databases and schemas report which placements a tenant may have.
func (s Strategy) shares() bool    { return s == SingleSchema || s == Mixed }
func (s Strategy) databases() bool { return s == MultipleDb || s == Mixed }
func (s Strategy) schemas() bool   { return s == MultipleSchemas || s == Mixed }

// Schemas with a meaning of their own.
const (
	ControlSchema = "control" // holds the directory, in the default database
	PublicSchema  = "public"  // holds the tenants' tables, except in schemas of their own
)

// defaultDatabase is the name of the default database when PGDATABASE is unset.
func (s Strategy) defaultDatabase() string {
	if s == SingleSchema {
		return "tenanted"
	}
	return "tenanted_" + strings.ToLower(string(s))
}

// Default returns the default database, as a placement without a schema.
func (c Config) Default() scopes.Placement { return scopes.Placement{Database: c.Database} }

// SharedPlacement returns the placement that exists before any tenant, where tenants share one.
func (c Config) SharedPlacement() (p scopes.Placement, ok bool) {
	return c.Default().InSchema(PublicSchema), c.Strategy.shares()
}

// Shared reports whether a placement is the shared one.
func (c Config) Shared(p scopes.Placement) bool {
	shared, ok := c.SharedPlacement()
	return ok && p == shared
}

// TenantLimit returns how many tenants the seed may make; limited is false if there is no limit. Nothing but the seed has it.
func (c Config) TenantLimit() (limit int, limited bool) {
	return c.MultiDBCount, c.Strategy == MultipleDb
}

// ListsAllTenants reports whether the rows of all tenants in the shared tables can be read in one query: there are shared
// tables, and an owner who may see them all.
func (c Config) ListsAllTenants() bool { return c.Strategy.shares() && c.Owner != "" }

// SomeApart reports whether there are shared tables and tenants may be elsewhere all the same.
func (c Config) SomeApart() bool { return c.Strategy == Mixed }
