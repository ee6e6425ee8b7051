package scopes

import "fmt"

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
