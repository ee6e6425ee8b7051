// Package audit checks which layers of tenant isolation are in force in a live PostgreSQL database, compared with the program's
// GORM models.
//
// # Model
//
// A [Rule] is a condition that must hold. [Run] judges every rule for the database and for each tenanted table in each of its
// placements (schemas), and returns a [Report] of [Check]s: "ok", "defect", "note" for what is worth knowing but is not a
// defect, or "not checked" if there was nothing to look at or it could not be read. A defect has what was found, what could
// happen, and the SQL that fixes it. [Startup] judges, with three catalog queries, the few rules without which row-level
// security is not in force at all.
//
//	report, err := audit.Run(ctx, conn, audit.Config{Models: []any{&Order{}, &Customer{}}}, "public")
//	if err != nil {
//		return err
//	}
//	return errors.Join(audit.WriteText(os.Stdout, report), report.Err())
//
// # Guarantees
//
// Run and Startup read the catalogs in one read-only transaction, so the report is a consistent snapshot. Plans are read for one
// table at a time, so that only one table's locks are held. For a table that is locked they wait a second; then its plan is not
// checked, and anything else is an error. They fail closed: what cannot be read is an error, and a SECURITY DEFINER function
// that cannot be judged is a defect until [Config].Allow lists it. Expressions are compared as PostgreSQL prints them with only
// pg_catalog in the search path, so a function or operator with the same name in another schema is not mistaken for the right
// one.
//
// The SQL of a report can be run from top to bottom, each statement by itself. Where PostgreSQL allows it, the statements hold
// their locks only briefly. docs/adopt.md says what they mean for a program that is running.
//
// [Fix] applies the SQL of the defects whose rule is [Rule].Safe. It is all or nothing.
//
// # Limits
//
// PostgreSQL 14 and above. The body of a function in a language other than SQL and PL/pgSQL is not read.
// Functions and tables of extensions are trusted. A second connection from the server (dblink, a foreign server with the owner's
// password) is only noticed as a foreign table.
package audit
