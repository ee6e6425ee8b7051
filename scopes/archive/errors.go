package archive

import (
	"fmt"
	"strings"
)

// ForeignError says that a file is no archive of a tenant.
type ForeignError struct {
	Problem string // what it is not, as "it does not begin as zstd does"
}

// Error implements error.
func (e *ForeignError) Error() string {
	return "this file is not an archive of a tenant: " + e.Problem + ": give a file that an export wrote"
}

// VersionError says that an archive has a format that this program does not know.
type VersionError struct {
	Has, Knows int // the archive's format version, and the one that this program reads
}

// Error implements error.
func (e *VersionError) Error() string {
	return fmt.Sprintf("the archive has format version %d, and this program reads version %d: read it with the program that wrote it, or a newer one", e.Has, e.Knows)
}

// DamagedError says that an archive is cut off, changed, or put together wrongly.
type DamagedError struct {
	Where   string // the entry, as "tables/tasks/000001.csv"; empty: the file as a whole
	Problem string // what is wrong there
}

// Error implements error.
func (e *DamagedError) Error() string {
	where := ""
	if e.Where != "" {
		where = ", at " + e.Where
	}
	return fmt.Sprintf("the archive is damaged%s: %s: take another copy of the file", where, e.Problem)
}

// MismatchError says that tables, columns or types are not those that the other side has: models, a database, or an archive.
type MismatchError struct {
	Table   string // as the models call it
	Problem string // what is wrong with it
	Remedy  string // what to do
}

// Error implements error.
func (e *MismatchError) Error() string {
	return fmt.Sprintf("table %s %s: %s", e.Table, e.Problem, e.Remedy)
}

// NotEmptyError says that the tenant has rows already where an archive should be imported.
type NotEmptyError struct {
	Tenant, Table string // the tenant for people, and the first table with rows
}

// Error implements error.
func (e *NotEmptyError) Error() string {
	return fmt.Sprintf("%s has rows in table %s already: import into a tenant without any", e.Tenant, e.Table)
}

// KeyError says that keys of an archive are taken, or cannot be kept.
type KeyError struct {
	Table   string // as the archive calls it
	Problem string // as "Key (id)=(7) already exists."
	Anew    bool   // keys were to be made anew: this one is none of those that can be
}

// Error implements error.
func (e *KeyError) Error() string {
	if e.Anew {
		return fmt.Sprintf("table %s cannot have these rows: %s: it is no key that PostgreSQL makes, so change the row that has it", e.Table, e.Problem)
	}
	return fmt.Sprintf("the keys of table %s cannot be kept: %s: import with keys made anew", e.Table, e.Problem)
}

// VerifyError says that what was read back after an import is not what the archive has: a trigger or a rule changed rows, or
// somebody else wrote. The transaction must be rolled back.
type VerifyError struct {
	Table, Problem string // the first table that differs, and how
}

// Error implements error.
func (e *VerifyError) Error() string {
	return fmt.Sprintf("table %s has other rows after the import than the archive: %s: look for triggers that change rows, and roll back", e.Table, e.Problem)
}

// tenantError says that an import or export was called for nobody.
type tenantError struct{}

func (tenantError) Error() string { return "archive: no tenant: give one with an ID" }

// oneLine makes a message of PostgreSQL's one line.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
