// Package tenancy manages tenants: the directory of tenants and of where their rows are, the databases, schemas and roles that
// they need, and a tenant's life from creation to removal.
//
// # Model
//
// The directory is the schema "control" of the default database. A tenant's row there has its placement and its state; only
// "active" tenants are served. The runtime role can look up one slug at a time, through a function, and cannot list tenants
// ([Directory], built on scopes/directory). The owner lists, migrates and creates ([Directory.List], [Setup], [Creator]).
//
// A placement is a value: the server's name, the database and the schema. The default database is on the default server, and
// holds the shared tables, if there are any. A database is identified together with its server: scopes.Placement.InSchema("").
//
// # Guarantees
//
// A database that was set up for one configuration is refused under another ([ConfigurationError]), before
// anything in it is changed.
//
// A database other than the default one, on any server, is only used by the deployment that created it ([PlacementError]). A
// server that fails affects its own tenants and no others.
//
// Every step of setting up and creating can be repeated, and continues where a killed process stopped; what exists stays as it
// is. The last step makes a tenant "active", so a tenant is not served before it is complete.
//
// [Ready] checks as the runtime role what serving needs, and changes nothing.
//
// # Failures
//
// Something missing or outdated is a [*NotReadyError], which names the command that fixes it. For a server that cannot be reached,
// errors wrap scopes.ErrUnavailable. Messages are one line, and contain no password.
package tenancy
