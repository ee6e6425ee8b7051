// Package tenancy looks after tenants: the directory that says which there are and where their rows live, the
// databases, schemas and roles that this takes, and a tenant's creation.
//
// # Model
//
// The directory is the schema "control" of the default database. A tenant's row there names its placement and
// its state; only "active" tenants are served. The runtime role can look one slug up, by a function, and
// can list nothing ([Directory], which is one of scopes/directory); the owner lists, migrates and creates ([Directory.List], [Setup], [Creator]).
//
// A placement is a value: the server by its name, the database, the schema. The default database is on the default server,
// and holds the shared tables where there are any. Databases are compared with their servers, as scopes.Placement.InSchema("").
//
// # Guarantees
//
// A database that was set up for one configuration is refused under another ([ConfigurationError]), before
// anything in it is changed.
//
// A database other than the default one, on whichever server, is used by the deployment that made it and no other
// ([PlacementError]). What is wrong with a server is wrong with its own tenants, and with nobody else.
//
// Every step of setting up and creating may be repeated, and carries on where a process that was killed left
// off: what exists is left as it is. A tenant becomes "active" in the last step, so nobody is served half made.
//
// [Ready] reads as the runtime role what must be in place before serving, and changes nothing.
//
// # Failures
//
// What is missing or outdated is a [*NotReadyError], which says what mends it. A server that cannot be reached is an error
// with scopes.ErrUnavailable in its chain. Messages are one line, and hold no password.
package tenancy
