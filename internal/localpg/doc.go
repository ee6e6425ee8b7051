// Package localpg runs a private PostgreSQL server for people who have none
// running. Only the programs must be installed.
//
// # What it guarantees
//
//   - All processes that name the same directory share one server. The first
//     one starts it, the last one out stops it.
//   - The data survives: restarts, kill -9 of any process that uses the server,
//     and kill -9 of the server. A data directory is never deleted. With
//     Options.Durable it survives a power cut too.
//   - While a user keeps it (Server.Keep), a server that dies is started again.
//   - Only the user can log in: the server listens on a Unix socket in a
//     directory of mode 0700 and on nothing else, so it needs no password.
//   - It never runs as root. Root's server runs under the account postgres,
//     else nobody.
//
// # How it works
//
// Two files in the directory are locked with flock, which the kernel undoes
// when a process dies in whatever way. start.lock is held exclusively while
// a process looks, initialises, starts or stops. users.lock is held shared by
// every user; the one that can turn its own into an exclusive one is the last.
// The server is a session of its own, so Ctrl-C in a terminal does not reach
// it, and its postmaster.pid says when it is ready.
//
// # How it fails
//
// Start returns one line that says what to do, with the end of the server's
// log if that is the reason. If the last user is killed, nothing stops the
// server: it runs on until another user came and went. A server that runs
// already keeps the settings it was started with.
package localpg
