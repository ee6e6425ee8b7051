// Package seed makes demo data: accounts with users, projects, tasks and subtasks.
//
// It works in three steps. A [Plan] says what one account has: it is a pure function of the options' seed and
// the account's number. The plan composes the rows, one at a time, from a small vocabulary that faker gave.
// [Load] sends them to PostgreSQL with COPY; it may run for several accounts at once, each on a connection of its own.
//
// # Guarantees
//
// An account's rows, ids included, are the same in every run, in whatever order and company it is made, and
// wherever it is placed: ids count from 1 within each account. (Another version of faker or of this package
// may give other rows; a test notices.)
//
// An account is loaded in one transaction, so it is there as a whole or not at all. One that is there already
// is left as it is, whatever is in it. A run that was killed is therefore resumed by running it again.
//
// The identity sequences of the tables are first raised past every id that a seeded account can have, and never
// lowered, so a row that the application adds later does not meet a seeded one.
//
// Memory does not grow with the number of accounts or rows.
//
// # Failures
//
// Load returns an error that names the account; nothing of the account remains then, unless the connection broke
// during the commit itself: then it is there as a whole or not at all, and the next run finds out. After an error
// or a cancelled context the connection may be closed.
package seed
