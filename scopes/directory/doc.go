// Package directory knows which tenants there are, for a program that keeps them in a table of its own. It finds one by its
// slug, or by a host name that is the tenant's alone, and remembers the answer for a while.
//
//	known, err := directory.Open(ctx, directory.Config{Database: config})
//	resolve := tenanthttp.Middleware{Source: source, Directory: known}
//
// Any table will do, or a function, that says what [Config.Query] asks for. A role that may run that query and not read the
// table cannot list the tenants: make it a function with SECURITY DEFINER.
//
// # Guarantees
//
// An answer is at most KnownFor old, "there is no such tenant" at most UnknownFor. Both are forgotten at once when a statement
// notifies the channel that [Directory.Watch] listens on. What is remembered has a bound, and unknown names cannot push
// tenants out. A failed lookup is not remembered. A tenant in another state than "active" is never returned.
//
// # Failures
//
// While the database is away, lookups that memory cannot answer fail with scopes.ErrUnavailable, in one line that says
// which server. Where a pooler in transaction mode swallows notifications, answers are as old as they may be.
package directory
