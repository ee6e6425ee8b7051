package tenancy

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"strings"

	"github.com/jackc/pgx/v5"

	"tenanted/migrations"
	"tenanted/scopes"
	"tenanted/scopes/archive"
)

// SchemaError says that an archive has a version of the tables that this program does not know.
type SchemaError struct {
	Has, Knows int64
}

func (e *SchemaError) Error() string {
	return fmt.Sprintf("the archive is of version %d of the tables, and this program knows versions 1 to %d: import it with the version of the program that wrote it, or a newer one", e.Has, e.Knows)
}

// tenantTables are the versions of a tenant's tables, which tests replace.
type tenantTables struct {
	newest int64
	apply  func(ctx context.Context, tx pgx.Tx, after, to int64) error // runs the migrations after a version, up to and with another
}

func (t tenantTables) orOwn() tenantTables {
	if t.apply != nil {
		return t
	}
	return tenantTables{migrations.Tenant.Newest(), func(ctx context.Context, tx pgx.Tx, after, to int64) error {
		return migrations.ApplyRange(ctx, tx, migrations.Tenant, after, to)
	}}
}

// withCurrent calls use with the archive or, if its tables are older, with a migrated copy. It returns a *SchemaError for
// newer tables.
func (c *Creator) withCurrent(ctx context.Context, a *archive.Archive, use func(*archive.Archive) error) error {
	has, tables := a.Manifest.SchemaVersion, c.versions.orOwn()
	switch {
	case has == tables.newest:
		return use(a)
	case has > tables.newest || has < 1:
		return &SchemaError{has, tables.newest}
	}
	return throughFile(ctx, func(w io.Writer) error {
		if err := c.upgrade(ctx, a, tables, w); err != nil {
			return fmt.Errorf("bring the archive from version %d of the tables to %d: %w", has, tables.newest, err)
		}
		return nil
	}, use)
}

// upgrade writes an archive with the newest version of the tables: it creates tables of the archive's version in a temporary
// schema, imports, migrates and exports, all in a transaction that is rolled back.
func (c *Creator) upgrade(ctx context.Context, a *archive.Archive, tables tenantTables, w io.Writer) error {
	newest, err := archived()
	if err != nil {
		return err
	}
	tx, err := c.control.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
	if err != nil {
		return err
	}
	defer tx.Rollback(context.WithoutCancel(ctx))
	schema := "archive_" + strings.ToLower(rand.Text()) // not a tenant's, since slugs have no underscore
	if _, err := tx.Exec(ctx, "create schema "+schema); err != nil {
		return err
	}
	who := a.Manifest.Tenant
	tenant := scopes.Tenant{ID: dryRunID, Slug: who.Slug, Name: who.Name}
	return inSchema(ctx, tx, schema, func(tx pgx.Tx) error {
		err := tables.apply(ctx, tx, 0, a.Manifest.SchemaVersion)
		if err == nil {
			old := archive.ModelsOf(archivedConfig(), a.Manifest)
			err = archive.Import(ctx, tx, old, a, tenant, archive.ImportOptions{})
		}
		if err == nil {
			err = tables.apply(ctx, tx, a.Manifest.SchemaVersion, tables.newest)
		}
		if err == nil {
			_, err = archive.Export(ctx, tx, newest, tenant, archive.ExportOptions{SchemaVersion: tables.newest}, w)
		}
		return err
	})
}
