// Package talk is the talk's experiments: each is a claim about multi-tenancy with PostgreSQL, the Go code that puts it to the
// test, and a run of that code on databases made for it.
//
// # Model
//
// A [Lab] has the databases. An [Experiment] runs in a lab and gives a [Result]: what was sent to PostgreSQL, read off
// the wire, what came back, how long it took, and which [Layer] stopped it. The code that an experiment shows is the text of the function that ran.
//
// The attacks among them run with any of the [Layers] off: the scope by a *gorm.DB without its plugin, the session by pgx's
// own driver, composite keys and row-level security by schemas whose tables lack them. Only the lab has such switches.
//
// # Guarantees
//
// An experiment asserts its claim each time it runs: what does not hold is in [Result].Untrue. A lab makes and uses only
// databases with its own name and its own mark, and refuses any other. What an experiment changes, it changes back.
//
// # Failures
//
// An error of [Lab.Run] says that the experiment could not run, as without pg_dump or when the server is away; it says nothing
// about the claim.
package talk
