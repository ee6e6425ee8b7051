// Package registry finds the tenant's database: one *sql.DB, and so one *gorm.DB, serves every database that
// tenants live in.
//
// A statement or transaction is routed by the tenant in its context to a connection to that tenant's database;
// one with a context from scopes.AllTenants goes to the owner's database, read-only. There is no default: without a
// tenant, or with one whose placement names no database, it fails. Since to database/sql it is all one pool,
// everything that GORM and database/sql do is routed alike: Transaction, nested ones, Preload, Session,
// Connection, prepared statements (which database/sql prepares anew on each connection they meet).
//
// # Connections
//
// Connections are opened when first needed. One bound holds over all databases of a server, and another one over those of
// each further server, see [Config.Servers]: a server that is away takes nothing from the others. A connection counts until the
// server has closed it. While there is room, each schema has connections of its own, for which PostgreSQL keeps its plans. When the
// bound is reached, an idle one of another schema in the same database serves as well; otherwise, after a short wait for one that is in
// use to be released, the connection that has been idle longest, to whichever database, makes room.
//
// No tenant and no database holds more than its share of the connections, which shrinks as they get fewer; callers past it
// wait. So a database that is slow, locked or stopped leaves connections to the others. A tenant whose statements keep timing out
// on the server is refused with scopes.ErrTimeout for some seconds, and then tried again.
//
// A database that cannot be connected to is away: statements fail at once with a *scopes.DatabaseAwayError, and one connection
// at a time is tried, after pauses that grow from 0.1 to 5 seconds. Connections to it that still work are used meanwhile.
//
// Connections are closed when they have been idle for some time, and at the end of their lifetime, but never while they are in
// use. Every connection is one of scopes/session and so carries the tenant; one that has been left in a transaction, or is broken,
// is closed and not used again.
//
// # Replicas
//
// Statements with a context from scopes.Reading may be executed on a streaming replica, see [Config.Replicas]; all others, and with
// them every transaction that may write, are executed on the server itself, the primary. Those that only read run in read-only
// transactions wherever they are executed, so one that writes by mistake fails, and one whose connection is lost is tried again.
//
// A replica is read from while it is known to have all that was committed [Config.MaxLag] ago: primary and replica are asked for their
// positions in the write-ahead log a few times within that time, not with each statement. One that is behind, away or
// cut off is left out, and the primary serves. Within this process a tenant reads what it wrote: for MaxLag after a statement that was not
// from scopes.Reading, and while a transaction is open, all its reads go to the primary. What other processes wrote is seen after
// MaxLag at the latest.
package registry
