// Package session sends the tenant to PostgreSQL with every statement.
//
// It is a database/sql driver around pgx's. Whatever way a statement takes (GORM, raw SQL, Rows, a prepared
// statement, plain database/sql), it passes here, and here it must have a tenant in its context:
//
//   - Without one it fails with a [*scopes.TenantMissingError] before anything is sent.
//   - Outside a transaction, the tenant and the statement travel in one message and form one implicit
//     transaction: one round trip, and nothing is left on the connection afterwards. On a Citus cluster it is an explicit
//     transaction, in one message too, by whose SET LOCAL the tenant reaches the workers ([ExplicitTx]).
//   - BEGIN and the tenant travel in one message. Within the transaction, a statement whose context names
//     another tenant fails.
//
// The tenant is always transaction-local ([Setting]), as is the search_path that leads to its schema, so neither can
// reach the next user of a pooled connection, and a pooler in transaction mode in between does no harm.
// Statements go by the extended protocol only, one at a time: text that was meant as one statement cannot
// end it and begin another.
//
// [Pool] does the same for programs that use pgx itself, over a pgxpool.Pool.
//
// What it cannot do is stop SQL that names another tenant itself, by setting [Setting]: a caller who can run
// arbitrary SQL as the runtime role can do that. See docs/security.md.
package session

// Setting is the name of the PostgreSQL setting that holds the tenant's id during a transaction, for the
// row-level security policies to read.
const Setting = "app.tenant_id"
