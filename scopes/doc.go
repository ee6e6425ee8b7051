// Package scopes keeps tenants apart in GORM: every statement on a tenanted model is confined to the
// tenant that its context carries.
//
// # Model
//
// A tenant is put into the context once, where a request or a job begins, with [WithTenant]. A model
// becomes tenanted by a field of type [TenantID], most simply by embedding [Tenanted], or, where ids are UUIDs, texts
// or of a type of their own, by [HasTenant]. The [Plugin] stands
// before every operation of GORM, refuses what cannot be confined, and adds the condition on the tenant to the
// rest. Where the model is joined, the field's type adds it, the way gorm.DeletedAt does.
//
// # Guarantees
//
// With the plugin in use, a statement without a tenant in its context never reaches the database, unless
// it is plainly about an untenanted model: it panics with a [*TenantMissingError] (or what [Config].Missing
// says). Where the statement ran inside a transaction, the transaction is rolled back first, so nothing leaks.
//
// With a tenant A in the context, on tenanted models:
//   - queries, counts, joins by relation, preloads, updates and deletes see A's rows only, whatever ORs the
//     caller's conditions contain;
//   - a created row gets A; a row, condition or assignment that names another tenant is refused with a
//     [*TenantMismatchError];
//   - no row's tenant ever changes;
//   - update and delete without a condition of the caller's own are refused with gorm.ErrMissingWhereClause.
//
// # Limits
//
// The scope cannot see into raw SQL, Table("…") without a model, or raw fragments of joins: with a tenant in the
// context they are let through as they are. What they may see is for the layers below: scopes/session carries
// the tenant to PostgreSQL, whose row-level security filters every statement. Use all layers together.
package scopes
