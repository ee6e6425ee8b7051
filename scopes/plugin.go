package scopes

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"sync"

	"gorm.io/gorm"
	"gorm.io/gorm/logger"
)

// Missing says what happens to a statement without a tenant in its context.
type Missing int

const (
	// Panic panics with a [*TenantMissingError], after rolling back the transaction the statement is in.
	Panic Missing = iota
	// Error makes the statement fail with a [*TenantMissingError].
	Error
	// Warn logs the [*TenantMissingError], with the line that the statement comes from, and lets the statement go,
	// unconfined: for a program that takes tenants up step by step, and only then. A row that is created with no tenant gets
	// the column's default, and not a zero value.
	Warn
)

// Config configures the [Plugin].
type Config struct {
	// Missing is what happens without a tenant. Default: Panic.
	Missing Missing
	// Columns are the names of columns that could be a tenant's. A model that has one, and neither a tenant column nor
	// [Untenanted], is an error when it is used. Default: account_id and tenant_id; an empty list is none.
	Columns []string
	// Logger receives the warnings. Default: slog.Default().
	Logger *slog.Logger
}

// Plugin is the gorm.Plugin that guards and confines every statement. Use it on the root *gorm.DB:
//
//	db.Use(scopes.NewPlugin(scopes.Config{}))
type Plugin struct {
	config Config
	models sync.Map // *schema.Schema to what is wrong with it
}

var _ gorm.Plugin = (*Plugin)(nil)

// NewPlugin returns a plugin that works as config says.
func NewPlugin(config Config) *Plugin {
	if config.Logger == nil {
		config.Logger = slog.Default()
	}
	if config.Columns == nil {
		config.Columns = []string{"account_id", "tenant_id"}
	}
	return &Plugin{config: config}
}

const pluginName = "scopes"

// errNoPlugin is what a tenanted model's statement gets on a *gorm.DB that the plugin does not guard.
var errNoPlugin = errors.New("scopes: a tenanted model needs the plugin: db.Use(scopes.NewPlugin(scopes.Config{}))")

// errPrepareStmt is about a wait of GORM's own: a goroutine that prepares a statement holds its place in GORM's cache while it
// waits for a connection, and one that has the connection, in a transaction, waits for that place.
var errPrepareStmt = errors.New("scopes: gorm.Config.PrepareStmt can deadlock when connections are short: leave it out, the driver prepares statements by itself")

// Name implements gorm.Plugin.
func (*Plugin) Name() string { return pluginName }

// Initialize implements gorm.Plugin. The guard comes before all others, so that a statement is refused before GORM
// begins a transaction for it. The condition is added last before GORM builds the statement, so that no hook of a model
// runs after it. Initialize fails when GORM lacks a callback that the plugin depends on, and with gorm.Config.PrepareStmt.
func (p *Plugin) Initialize(db *gorm.DB) error {
	if err := requireCallbacks(db); err != nil {
		return err
	}
	if db.PrepareStmt {
		return errPrepareStmt
	}
	rewriteKeys(db)
	c := db.Callback()
	return errors.Join(
		c.Create().Before("*").Register("scopes:guard", p.guard("create", checkCreate)),
		c.Create().Before("gorm:create").Register("scopes:confine", unlessFailed(confineCreate)),
		c.Create().After("gorm:create").Register("scopes:explain", explain),

		c.Query().Before("*").Register("scopes:guard", p.guard("query", checkQuery)),
		c.Query().Before("gorm:query").Register("scopes:confine", unlessFailed(confine)),
		c.Query().After("gorm:query").Register("scopes:explain", explain),

		c.Update().Before("*").Register("scopes:guard", p.guard("update", checkUpdate)),
		c.Update().Before("gorm:update").Register("scopes:confine", unlessFailed(confineUpdate)),
		c.Update().After("gorm:update").Register("scopes:require_rows", requireRows),
		c.Update().After("gorm:update").Register("scopes:explain", explain),

		c.Delete().Before("*").Register("scopes:guard", p.guard("delete", checkDelete)),
		c.Delete().Before("gorm:delete").Register("scopes:confine", unlessFailed(confine)),
		c.Delete().After("gorm:delete").Register("scopes:require_rows", requireRows),
		c.Delete().After("gorm:delete").Register("scopes:explain", explain),

		c.Row().Before("*").Register("scopes:guard", p.guard("row", nil)),
		c.Row().Before("gorm:row").Register("scopes:confine", unlessFailed(confine)),
		c.Row().After("gorm:row").Register("scopes:explain", explain),

		c.Raw().Before("*").Register("scopes:guard", p.guard("raw", nil)),
		c.Raw().After("gorm:raw").Register("scopes:explain", explain),

		rollBackPanics(db),
	)
}

// guard returns the callback that refuses a statement without a tenant, and otherwise has check look at
// what a statement on a tenanted model brings along.
func (p *Plugin) guard(operation string, check func(*gorm.DB, statement)) func(*gorm.DB) {
	return rollingBack(func(db *gorm.DB) {
		if err := cmp.Or(p.judgeModels(db.Statement), refuseWrite(operation, db.Statement.Schema)); err != nil {
			fail(db, err)
			return
		}
		if _, ok := lookup(db.Statement.Context); !ok {
			if needsTenant(db.Statement) {
				p.missing(db, operation)
			}
			if operation == "create" && db.Error == nil {
				leaveTenant(db)
			}
			return
		}
		groupJoinConditions(db.Statement)
		if check == nil || db.Error != nil {
			return
		}
		if s, ok := examine(db.Statement); ok {
			check(db, s)
		}
	})
}

// missing does what the configuration says about a statement without a tenant.
func (p *Plugin) missing(db *gorm.DB, operation string) {
	if db.DryRun && db.Logger == logger.Discard { // as GORM builds a subquery
		operation = "subquery"
	}
	err := &TenantMissingError{Operation: operation, Model: describe(db.Statement)}
	switch p.config.Missing {
	case Warn:
		p.config.Logger.WarnContext(db.Statement.Context, "statement without a tenant", "error", err, "at", caller())
	case Error:
		fail(db, err)
	default:
		panic(err)
	}
}

// unlessFailed returns the callback that applies confine to a statement on a tenanted model which has a tenant.
func unlessFailed(confine func(*gorm.DB, statement)) func(*gorm.DB) {
	return func(db *gorm.DB) {
		if db.Error != nil {
			return
		}
		if s, ok := examine(db.Statement); ok {
			confine(db, s)
		}
	}
}

// needsTenant reports whether a statement may touch tenanted rows: all may, but for those plainly on one
// untenanted model.
func needsTenant(stmt *gorm.Statement) bool {
	if stmt.Schema == nil || stmt.SQL.Len() > 0 || stmt.TableExpr != nil || stmt.Table != stmt.Schema.Table {
		return true
	}
	if _, ok := stmt.Clauses["FROM"]; ok { // may name other tables
		return true
	}
	for i := range stmt.Joins {
		rel, ok := stmt.Schema.Relationships.Relations[stmt.Joins[i].Name]
		if !ok || len(tenantFields(rel.FieldSchema)) > 0 {
			return true
		}
	}
	return len(tenantFields(stmt.Schema)) > 0
}

// describe names what a statement is about, for a person.
func describe(stmt *gorm.Statement) string {
	switch {
	case stmt.Schema != nil:
		return stmt.Schema.Name
	case stmt.SQL.Len() > 0:
		return "raw SQL"
	case stmt.Table != "":
		return fmt.Sprintf("table %q", stmt.Table)
	case stmt.TableExpr == nil && stmt.Model != nil: // not parsed yet
		t := reflect.TypeOf(stmt.Model)
		for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
			t = t.Elem()
		}
		return t.Name()
	default:
		return "an unknown table"
	}
}
