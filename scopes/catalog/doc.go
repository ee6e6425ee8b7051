// Package catalog reads what a schema of a PostgreSQL database has, and says how it differs from another schema.
//
//	schemas, err := catalog.Read(ctx, conn, "fresh", "acme", "bolt")
//	for _, d := range catalog.Compare(schemas["fresh"], schemas["acme"], catalog.Everything) {
//		fmt.Println(d, d.SQL)
//	}
//
// # Model
//
// A [Schema] is a set of objects, each with the properties that can differ: tables with their columns, constraints, indexes,
// triggers, rules, policies and row-level security; views, sequences, functions, types, collations, extended statistics; the
// owners; and the rights of everybody but the owner. Rows, comments, the order of columns, tablespaces and what belongs to an extension are not read.
//
// # Guarantees
//
// Any number of schemas is read by one query, which locks each table for a moment as reading a row of it would. Names in definitions are compared without the schema
// that they are of, so two schemas that the same statements made are equal. A name in another schema stays what it is.
//
// A [Difference] has the SQL that would mend it where no row can be lost by it; it is to be read before it is run.
package catalog
