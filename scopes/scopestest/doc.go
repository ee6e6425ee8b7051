// Package scopestest attacks a database that keeps tenants apart, and says whether it held.
//
// [Run] makes every known attack (see [Attacks]) on somebody's models and database, as the application would
// open it: with all layers on. Each attack works for tenant A and goes after tenant B's rows. [Layers] makes them
// once for each layer alone, with the others off, and returns the table of which layer stops what.
//
// # Verdict
//
// The judge is a connection of its own, by a role that sees all rows, and knows nothing of the code under test.
// B's rows bear a text that is theirs alone (the canary). An attack has succeeded if
//   - the canary is in anything that A was shown, error messages and A's own rows included;
//   - A counted more rows than it has, or had different answers for B's key and for one that nobody has;
//   - a row of B is not what it was, to the byte, or is gone, or one was added;
//   - a row of A points at one of B's.
//
// Whether it succeeded or not, the pool must be whole afterwards: nothing in use, no transaction left open on the
// server, and neither a tenant nor a search_path left on a pooled connection.
//
// Both tenants must be able to do their own work besides: a database that shows nobody anything does not pass.
//
// # Sites
//
// [RunSite] attacks an application over HTTP, as people with a browser and a proxy would, who are signed in at one tenant: any handler,
// two tenants, a user in each.
//
// # Use
//
// The suite deletes and inserts the rows of the two tenants. Give it a database for tests.
package scopestest
