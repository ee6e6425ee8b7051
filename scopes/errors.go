package scopes

import (
	"errors"
	"fmt"
)

// ErrUnavailable is in the chain of an error that says the tenant's database cannot be reached now. The
// same statement may succeed later.
var ErrUnavailable = errors.New("database unavailable")

// TenantMissingError says that a statement had no tenant in its context. By default the plugin panics
// with it.
type TenantMissingError struct {
	// Model is the Go name of the model the statement is for, or what else is known of it, as "raw SQL".
	Model string
	// Operation is "query", "create", "update", "delete", "row" or "raw"; empty outside a statement.
	Operation string
}

func (e *TenantMissingError) Error() string {
	const mend = "pass db.WithContext(scopes.WithTenant(ctx, tenant))"
	if e.Operation == "" {
		return "no tenant in the context: " + mend
	}
	return fmt.Sprintf("%s of %s without a tenant in the context: %s", e.Operation, e.Model, mend)
}

// TenantMismatchError says that a value or a condition belongs to another tenant than the context's.
type TenantMismatchError struct {
	Model string   // Go name of the model
	Value TenantID // the tenant the value or condition names
	Want  TenantID // the context's tenant
}

func (e *TenantMismatchError) Error() string {
	return fmt.Sprintf("%s of tenant %d used while working for tenant %d: load it again under the right tenant's context",
		e.Model, e.Value, e.Want)
}

// TenantUnknownError says that no tenant bears a slug.
type TenantUnknownError struct {
	Slug string
}

func (e *TenantUnknownError) Error() string {
	return fmt.Sprintf("no tenant is called %q", e.Slug)
}

// TenantUnavailableError says that a tenant is there but not served now.
type TenantUnavailableError struct {
	Slug  string
	State string // why: "creating", "suspended" or "dropping"
}

func (e *TenantUnavailableError) Error() string {
	return fmt.Sprintf("tenant %q is not served now: it is in state %q", e.Slug, e.State)
}
