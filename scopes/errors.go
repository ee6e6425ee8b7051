package scopes

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/schema"
)

// ErrUnavailable is in the chain of an error that says the tenant's database cannot be reached now. The
// same statement may succeed later.
var ErrUnavailable = errors.New("database unavailable")

// ErrTimeout says that the server ended a statement that ran or waited for a lock for too long, or that the tenant is not
// asked for a while since that happened too often. [ErrUnavailable] is in its chain.
var ErrTimeout = fmt.Errorf("%w: too slow", ErrUnavailable)

// TenantMissingError says that a statement had no tenant in its context. By default the plugin panics
// with it.
type TenantMissingError struct {
	// Model is the Go name of the model the statement is for, or what else is known of it, as "raw SQL".
	Model string
	// Operation is "query", "create", "update", "delete", "row" or "raw", "subquery" for a query within another, or "key" for a
	// key in a condition of GORM's; empty outside a statement.
	Operation string
	// InValue says that the context is for all tenants, and that a value does not tell which one it belongs to. The
	// plugin never panics with such an error.
	InValue bool
}

// Error returns one line, with what to do where that is known.
func (e *TenantMissingError) Error() string {
	const fix = "pass db.WithContext(scopes.WithTenant(ctx, tenant))"
	switch {
	case e.InValue:
		return fmt.Sprintf("%s of %s for all tenants by a value without its tenant: set the value's tenant, or name one with scopes.FilterTenant",
			e.Operation, e.Model)
	case e.Operation == "subquery":
		return fmt.Sprintf("subquery of %s without a tenant in its context: build it with db.WithContext(ctx).Model(&%[1]s{}), since GORM gives a gorm.G in a query no context", e.Model)
	case e.Operation == "":
		return "no tenant in the context: " + fix
	default:
		return fmt.Sprintf("%s of %s without a tenant in the context: %s", e.Operation, e.Model, fix)
	}
}

// TenantMismatchError says that a value or a condition belongs to another tenant than the context's.
type TenantMismatchError struct {
	Model string // Go name of the model
	Value string // the key of the tenant that the value or condition names, see [Tenant.Key]
	Want  string // the key of the context's tenant
}

// Error returns one line, with what to do where that is known.
func (e *TenantMismatchError) Error() string {
	return fmt.Sprintf("%s of tenant %s used while working for tenant %s: load it again under the right tenant's context",
		e.Model, e.Value, e.Want)
}

// ServerUnknownError says that a tenant's placement is on a server that the program does not know. Nothing stands in for it:
// to whoever asks for the tenant, its database is unavailable.
type ServerUnknownError struct {
	Server string // as in the placement
}

// Error implements error.
func (e *ServerUnknownError) Error() string {
	return fmt.Sprintf("server %q is not configured", e.Server)
}

// Unwrap returns ErrUnavailable.
func (*ServerUnknownError) Unwrap() error { return ErrUnavailable }

// DatabaseAwayError says that a database could not be connected to lately, and that it was not tried again for this statement:
// while a database is away, one attempt is made at a time, after pauses.
type DatabaseAwayError struct {
	Placement Placement // without a schema
	Since     time.Time // when an attempt first failed
	RetryAt   time.Time // when the next attempt may be made
	Err       error     // why the last attempt failed
}

// Error returns one line.
func (e *DatabaseAwayError) Error() string {
	return fmt.Sprintf("database %q is away since %s and is tried again from %s on: %v",
		e.Placement, e.Since.UTC().Format(time.DateTime), e.RetryAt.UTC().Format(time.TimeOnly+".000"), e.Err)
}

// Unwrap returns ErrUnavailable, and why the last attempt failed.
func (e *DatabaseAwayError) Unwrap() []error { return []error{ErrUnavailable, e.Err} }

// TenantUnknownError says that no tenant has a slug.
type TenantUnknownError struct {
	Slug string // as it was asked for
}

// Error returns one line, with what to do where that is known.
func (e *TenantUnknownError) Error() string {
	return fmt.Sprintf("no tenant is called %q", e.Slug)
}

// TenantUnavailableError says that a tenant is there but not served now.
type TenantUnavailableError struct {
	Slug  string // the tenant's
	State string // why: "creating", "suspended" or "dropping"
}

// Error returns one line, with what to do where that is known.
func (e *TenantUnavailableError) Error() string {
	return fmt.Sprintf("tenant %q is not served now: it is in state %q", e.Slug, e.State)
}

// TenantRenamedError says that a tenant has another slug now.
type TenantRenamedError struct {
	Slug string // as it was
	Now  string // what it is
}

// Error returns one line, with what to do where that is known.
func (e *TenantRenamedError) Error() string {
	return fmt.Sprintf("tenant %q is called %q now", e.Slug, e.Now)
}

// ErrTenantChange says that a statement would set the tenant column of a row that exists. A row's tenant
// never changes.
var ErrTenantChange = errors.New("the tenant of a row never changes")

var (
	errUnknownWhere    = errors.New("scopes: a WHERE clause with a builder of its own cannot be confined to a tenant")
	errUnknownConflict = errors.New("scopes: an ON CONFLICT clause other than clause.OnConflict cannot be confined to a tenant")
)

// fail makes the statement end with err, unless it has failed before. Row has no way to return an error but
// through the *sql.Row.
func fail(db *gorm.DB, err error) {
	if db.Error == nil {
		_ = db.AddError(err)
		if db.DryRun && db.Statement.SQL.Len() == 0 {
			db.Statement.AddVar(db.Statement, failedValue{err})
		}
	}
	if rows, ok := db.Get("rows"); ok && rows == false {
		db.Statement.Dest = failedRow(err)
	}
}

// failedValue stands in the variables for a subquery that failed. GORM builds a subquery as a dry run and takes over
// its SQL and its variables, but not its error.
type failedValue struct{ err error }

// Value implements driver.Valuer, so that nothing is executed with it.
func (v failedValue) Value() (driver.Value, error) { return nil, v.err }

// mismatch is the error for a value of the tenant column that is not the tenant's id.
func (s statement) mismatch(f *schema.Field, v any) error {
	if s.id.differs(f, v) {
		return &TenantMismatchError{Model: s.Schema.Name, Value: keyText(v), Want: s.id.key}
	}
	return s.tenantChange()
}

func (s statement) tenantChange() error {
	return fmt.Errorf("%s.%s: %w", s.Schema.Name, s.fields[0].Name, ErrTenantChange)
}

// failedRow returns a row whose Scan returns err. Only database/sql can make a *sql.Row, so it is asked for
// one from a database that cannot be connected to.
func failedRow(err error) *sql.Row {
	db := sql.OpenDB(failingConnector{err})
	defer db.Close()
	return db.QueryRow("")
}

// failingConnector is a driver.Connector that only fails.
type failingConnector struct{ err error }

func (c failingConnector) Connect(context.Context) (driver.Conn, error) { return nil, c.err }
func (c failingConnector) Driver() driver.Driver                        { return c }
func (c failingConnector) Open(string) (driver.Conn, error)             { return nil, c.err }
