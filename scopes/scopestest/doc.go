// Package scopestest attacks a database that keeps tenants apart, and reports which attacks succeed.
//
// [Run] makes every known attack (see [Attacks]) on your models and database, opened as the application opens it: with all
// layers on. Each attack works for tenant A and tries to read or change tenant B's rows. [Layers] also makes them once for each
// layer with the others off, and returns a table of which layer stops which attack.
//
// # Verdict
//
// The judge uses its own connection, as a role that sees all rows, and none of the code under test. B's rows contain a text that
// no other row has (the canary). An attack has succeeded if
//   - the canary is in anything that A got, including error messages and A's own rows;
//   - A counted more rows than it has, or got different answers for B's key and for one that does not exist;
//   - a row of B was changed, removed or added;
//   - a row of A points at one of B's.
//
// In any case the pool must be clean afterwards: no connection in use, no open transaction on the server, and neither a tenant nor
// a search_path left on a pooled connection.
//
// Both tenants must also be able to do their own work, so a database in which nobody sees anything does not pass.
//
// # Sites
//
// [RunSite] attacks an application over HTTP, as people with a browser and a proxy would, who are signed in at one tenant: any handler,
// two tenants, a user in each.
//
// # Use
//
// The suite deletes and inserts rows of the two tenants: give it a test database.
package scopestest
