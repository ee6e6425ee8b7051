// Package fleet brings many placements (databases, and schemas in them) to the newest version of a program's migrations.
//
//	f, err := fleet.New(fleet.Config{Connect: connect, Migrations: files, Table: "schema_version"})
//	results, err := f.Up(ctx, placements)
//
// # Model
//
// Migrations are goose's: a file system of SQL files, functions, or both. Each schema has a version table of its own. What is up to
// date is found first, over one connection for each database and without a lock. The rest is migrated by a bounded number of
// workers, each with one connection, which it keeps as long as the next placement is in the same database.
//
// # Guarantees
//
//   - Who migrates a placement holds an advisory lock there, from before the first statement until it is done. Who waits for it
//     learns who holds it, and since when: [Config.Waiting].
//   - One placement that fails does not stop the others, unless it is among the first that [Config.Canary] names. Running again
//     goes on with what is missing. Each migration is one transaction with its row in the version table, so a process that is
//     killed leaves a placement between two migrations.
//   - No statement waits for a lock, with others waiting behind it, longer than [Config.LockTimeout]; what was too late is tried
//     again. So a migration holds locks of one transaction of one placement in each worker, whatever the number of placements.
//   - With [Config.Ledger], what happened where is written down: also what failed, and what was under way when the
//     process was killed.
//
// [Atomic] does all placements or none. [Drifts] compares placements with what the migrations make, and changes nothing.
//
// # Failures
//
// [Fleet.Up] returns what became of each placement, and an error if one was not done. A pooler in front of the server is refused
// with a [*PoolerError], since settings and locks of a session do not survive there.
package fleet
