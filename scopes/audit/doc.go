// Package audit looks at a live PostgreSQL database and says which layers of tenant isolation are in force
// there, measured against the program's GORM models.
//
// # Model
//
// A [Rule] is one thing that must hold. [Run] judges every rule for the database and for each tenanted table
// in each of its placements (schemas), and returns a [Report] of [Check]s: "ok", "defect", "note" for what
// is worth knowing and opens no hole, or "not checked" where there was nothing to look at or it could not be seen. A defect says what was
// found, what could happen, and the SQL that fixes it. [Startup] judges the few rules without which
// row-level security is not in force at all, in three catalog queries.
//
//	report, err := audit.Run(ctx, conn, audit.Config{Models: []any{&Order{}, &Customer{}}}, "public")
//	if err != nil {
//		return err
//	}
//	return errors.Join(audit.WriteText(os.Stdout, report), report.Err())
//
// # Guarantees
//
// Run and Startup read the catalogs in one read-only transaction, so the report describes one moment, and
// change nothing; only plans are asked for one table at a time, so that no more than a table's locks are held. For
// a table that somebody else has locked they wait a second: a plan is not checked then, all else is an error. They fail closed: what cannot be read is an error, and a SECURITY DEFINER function that
// cannot be judged is a defect until [Config].Allow names it. Expressions are compared as PostgreSQL prints
// them with nothing but pg_catalog in the search path, so a function or operator of the same name in another
// schema does not pass for the right one.
//
// The SQL of a report can be run from top to bottom, each statement by itself, and locks nobody out for longer than a moment where
// PostgreSQL has a form for that; what it means for a program that runs meanwhile is in docs/adopt.md.
//
// [Fix] applies the SQL of the defects whose rule is safe to fix without a person looking at it: the SQL only takes away what
// no correct program has, needs no look at the rows, and holds its locks for a moment. It is all or nothing.
//
// # Limits
//
// PostgreSQL 14 and above. The body of a function in a language other than SQL and PL/pgSQL is not read.
// Extensions' own functions and tables are trusted. What a program does with a second connection of its own
// (dblink, a foreign server with the owner's password) is seen only as a foreign table.
package audit
