// Package archive writes all rows of one tenant into one file, and reads such a file into another placement, database or
// server: to export, restore, clone or move a tenant. It works from GORM models, of any program.
//
// # Model
//
// An archive is a tar of CSV files, compressed with zstd: a [Manifest], the rows of each table (parents first), and
// checksums. docs/archive.md has the format. The tenant's column is left out of it, and rows are in the order of their primary
// keys by value, whatever the database's collation: the files of a table are the same, byte for byte, wherever the same
// tenant's rows were.
//
//	models, err := archive.Parse(archive.Config{Models: []any{&Customer{}, &Order{}}})
//	…
//	contents, err := archive.Export(ctx, tx, models, tenant, archive.ExportOptions{}, file) // tx: REPEATABLE READ
//	…
//	a, err := archive.Verify(ctx, file)                        // reads the whole file, writes nothing
//	…
//	err = archive.Import(ctx, tx, models, a, tenant, archive.ImportOptions{})
//
// [Follow] follows the changes of a tenant's rows from a snapshot on, which an export can be made of, and [Changes.Apply] applies them
// to what was imported: a copy beside which the tenant goes on.
//
// # Guarantees
//
//   - An export is one snapshot. It refuses what it would leave out: a column that no model has, a table that refers to an
//     exported one and has no model.
//   - [Verify] accepts a file only as a whole: every entry known and in its place, every checksum right, the end there. A file
//     that was cut, changed, or is something else is refused by it, before anything is written.
//   - An import happens in the caller's transaction, entirely or not at all, and only for a tenant that has no rows there.
//     Afterwards it reads the rows back and compares their checksums with the file's. Rows of other tenants are not touched.
//   - Memory does not grow with the tenant: export holds one part of a table (4 MiB and a row) and zstd's window, Verify and
//     import only the window, at most 32 MiB, whatever the file says.
//
// # Limits
//
// Import needs the role that owns the tables: PostgreSQL has no COPY FROM under row-level security. Rows of models without a
// tenant (countries, currencies) are not in an archive, and the keys of such rows must be the same at both places. Large
// objects are not in it either. A checksum tells damage from a whole file; it does not tell who wrote it.
package archive
