package config

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"tenanted/scopes"
)

// Choice is the part of a new tenant's placement that the caller chooses; the configuration decides the rest.
type Choice struct {
	Server   string // a configured server; the tenant gets its own database there
	Database string // the tenant's own database
	Schema   string // the tenant's own schema, in Database or in the default database
}

// PlacementFor returns the placement of a new tenant. The slug must be valid. A choice that contradicts the configuration and
// an invalid name are an [*Error] that names the flag of `tenants create`.
func (c Config) PlacementFor(slug string, choice Choice) (scopes.Placement, error) {
	if err := c.checkChoice(slug, choice); err != nil {
		return scopes.Placement{}, err
	}
	p := scopes.Placement{Server: choice.Server, Database: choice.Database, Schema: choice.Schema}
	if c.Strategy == MultipleDb || choice.Server != "" {
		p.Database = cmp.Or(p.Database, c.OwnDatabase(slug))
	}
	if c.Strategy == MultipleSchemas {
		p.Schema = cmp.Or(p.Schema, slug)
	}
	if ownSchemas[p.Schema] {
		return p, fmt.Errorf("the schema %q is taken: choose another slug, or a schema of another name", p.Schema)
	}
	if len(p.Database) > maxIdentifier {
		return p, fmt.Errorf("the database %q has %d bytes, above PostgreSQL's %d: choose a shorter PGDATABASE", p.Database, len(p.Database), maxIdentifier)
	}
	p.Database, p.Schema = cmp.Or(p.Database, c.Database), cmp.Or(p.Schema, PublicSchema)
	return p, nil
}

// OwnDatabase returns the default name of a tenant's own database.
func (c Config) OwnDatabase(slug string) string { return c.Database + "_" + slug }

// TemplatePrefix is the prefix of the names of template databases, from which tenants' databases are copied. A tenant's
// database must not have it.
func (c Config) TemplatePrefix() string { return c.Database + "__template_" }

// SeedChoice returns the placement choice for the seed's tenant of that number, counted from 0. In Mixed, tenants are placed
// in the shared tables, a schema and a database in turn; after MULTIDB_COUNT databases, in shared tables instead.
func (c Config) SeedChoice(slug string, number int) Choice {
	switch {
	case c.Strategy != Mixed:
	case number%3 == 1:
		return Choice{Schema: slug}
	case number%3 == 2 && number/3 < c.MultiDBCount:
		return Choice{Database: c.OwnDatabase(slug)}
	}
	return Choice{}
}

// maxIdentifier is in bytes. PostgreSQL truncates longer names, and two tenants could get the same database.
const maxIdentifier = 63

var (
	plainName = regexp.MustCompile(`^[a-z0-9_][a-z0-9_-]*$`)

	ownSchemas      = map[string]bool{PublicSchema: true, ControlSchema: true, "information_schema": true, "dry_run": true}
	serverDatabases = []string{"postgres", "template0", "template1"}
)

// checkChoice refuses choices that the configuration does not support, and names that are invalid or reserved.
func (c Config) checkChoice(slug string, choice Choice) error {
	for _, part := range []struct {
		flag, value string
		allowed     bool
		kind        string
	}{
		{"--server", choice.Server, c.Strategy.databases(), "a server"},
		{"--database", choice.Database, c.Strategy.databases(), "a database of its own"},
		{"--schema", choice.Schema, c.Strategy.schemas(), "a schema of its own"},
	} {
		if part.value != "" && !part.allowed {
			return &Error{part.flag, part.value, fmt.Sprintf("contradicts DJANGO_CONFIGURATION=%s, which gives no tenant %s: leave it out", c.Strategy, part.kind)}
		}
	}
	if _, err := c.ServerOf(scopes.Placement{Server: choice.Server}); err != nil {
		return &Error{"--server", choice.Server, "is not configured: set SERVER_" + strings.ToUpper(choice.Server) + "_HOST, or choose another server"}
	}
	switch database := choice.Database; {
	case database == "" || database == c.OwnDatabase(slug):
	case choice.Server == "" && database == c.Database:
		return &Error{"--database", database, "is the default database, which is no tenant's own: choose another name"}
	case strings.HasPrefix(database, c.TemplatePrefix()):
		return &Error{"--database", database, "is a template's name: choose another name"}
	case slices.Contains(serverDatabases, database):
		return &Error{"--database", database, "is the server's own: choose another name"}
	case !validName(database):
		return &Error{"--database", database, invalidName}
	}
	switch schema := choice.Schema; {
	case ownSchemas[schema] || strings.HasPrefix(schema, "pg_"):
		return &Error{"--schema", schema, "is taken: choose another name"}
	case schema != "" && !validName(schema):
		return &Error{"--schema", schema, invalidName}
	}
	return nil
}

const invalidName = "is not a name: use letters a to z, digits, _ and -, at most 63, no - at the beginning"

// validName reports whether a database or schema may have this name. Names are quoted wherever they are used; the rule keeps
// them readable and shorter than PostgreSQL's limit.
func validName(name string) bool { return len(name) <= maxIdentifier && plainName.MatchString(name) }
