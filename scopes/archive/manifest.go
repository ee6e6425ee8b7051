package archive

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"
)

// The names and numbers of the format. See docs/archive.md.
const (
	formatName    = "tenant-archive"
	FormatVersion = 1 // of the files that Export writes, and the only one that Verify accepts

	manifestEntry  = "manifest.json"
	checksumsEntry = "checksums.json"

	// partSize is the size at which a part of a table ends, with the row that reaches it.
	partSize = 4 << 20
	// maxJSON bounds the manifest and the checksums, maxHeader the line of a part that names the columns.
	maxJSON   = 4 << 20
	maxHeader = 1 << 20
	// maxParts bounds the parts of one table: their names have six digits.
	maxParts = 999_999
)

// Manifest says what an archive holds. It is its first entry.
type Manifest struct {
	Format        string    `json:"format"`         // "tenant-archive"
	FormatVersion int       `json:"format_version"` // see [FormatVersion]
	SchemaVersion int64     `json:"schema_version"` // the program's own, see [ExportOptions]
	ExportedAt    time.Time `json:"exported_at"`    // UTC, whole seconds
	Tenant        Who       `json:"tenant"`         // whose rows these are
	Tables        []Table   `json:"tables"`         // in the order in which their rows follow
}

// Who is the tenant whose rows were exported.
type Who struct {
	ID   string `json:"id"`   // its text
	Slug string `json:"slug"` // perhaps empty
	Name string `json:"name"` // for people, perhaps empty
}

// Table is a table in an archive.
type Table struct {
	Name       string   `json:"name"`          // perhaps with a schema, as "billing.lines"
	Files      string   `json:"files"`         // directory of its parts, as "tables/tasks"
	Tenant     []string `json:"tenant_column"` // what is left out, since it is the same in all rows
	Columns    []Column `json:"columns"`       // in the order of the files
	PrimaryKey []string `json:"primary_key"`   // without the tenant's column: the order of the rows
}

// Column is a column in an archive.
type Column struct {
	Name string `json:"name"` // the column's, unquoted
	Type string `json:"type"` // as PostgreSQL writes it, as "timestamp with time zone"
}

// Checksums are an archive's last entry.
type Checksums struct {
	Manifest string     `json:"manifest"` // SHA-256 of the entry manifest.json, in hexadecimal
	Tables   []TableSum `json:"tables"`   // in the manifest's order
}

// TableSum is what a table's files must add up to.
type TableSum struct {
	Name   string `json:"name"`   // the table's
	Rows   int64  `json:"rows"`   // how many
	Parts  int    `json:"parts"`  // its files, at least 1
	SHA256 string `json:"sha256"` // of its parts, one after the other, each without its first line
}

// Contents are what an archive holds.
type Contents struct {
	Manifest  Manifest  // the first entry
	Checksums Checksums // the last one
}

// Rows returns how many rows there are in all tables.
func (c Contents) Rows() (rows int64) {
	for _, t := range c.Checksums.Tables {
		rows += t.Rows
	}
	return rows
}

// newTable returns what the manifest says of the table that comes i-th.
func newTable(i int, t *table) Table {
	described := Table{Name: t.name, Files: filesOf(i, t.name), Tenant: t.tenant, Columns: []Column{}, PrimaryKey: append([]string{}, t.primary...)}
	for _, c := range t.columns {
		described.Columns = append(described.Columns, Column{c.Name, c.Type})
	}
	return described
}

// simpleName is a table's name that is the same as a directory's everywhere.
var simpleName = regexp.MustCompile(`^[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)?$`)

// filesOf returns the directory of a table's parts. A name that might be another one as a path gets a number instead.
func filesOf(i int, table string) string {
	if simpleName.MatchString(table) && len(table) <= 100 {
		return "tables/" + table
	}
	return fmt.Sprintf("tables/table-%d", i+1)
}

func (t Table) part(number int) string { return fmt.Sprintf("%s/%06d.csv", t.Files, number) }

func (t Table) columnNames() []string {
	names := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		names[i] = c.Name
	}
	return names
}

// header is the first line of each part.
func (t Table) header() string {
	names := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		names[i] = c.Name
		if strings.ContainsAny(c.Name, `",`) || strings.TrimSpace(c.Name) != c.Name {
			names[i] = `"` + strings.ReplaceAll(c.Name, `"`, `""`) + `"`
		}
	}
	return strings.Join(names, ",") + "\n"
}

// parseManifest reads the first entry. What is wrong with it tells a foreign file from a damaged one.
func parseManifest(text []byte) (m Manifest, err error) {
	var format struct {
		Format  string `json:"format"`
		Version int    `json:"format_version"`
	}
	if json.Unmarshal(text, &format) != nil || format.Format != formatName {
		return m, &ForeignError{fmt.Sprintf("%s does not say \"format\": %q", manifestEntry, formatName)}
	}
	if format.Version != FormatVersion {
		return m, &VersionError{format.Version, FormatVersion}
	}
	if err := strictJSON(text, &m); err != nil {
		return m, &DamagedError{manifestEntry, err.Error()}
	}
	if problem := m.problem(); problem != "" {
		return m, &DamagedError{manifestEntry, problem}
	}
	return m, nil
}

// strictJSON takes one value, of known fields only.
func strictJSON(text []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return fmt.Errorf("it is not the JSON that it should be: %s", oneLine(err.Error()))
	}
	if _, err := decoder.Token(); err != io.EOF {
		return fmt.Errorf("something follows its JSON")
	}
	return nil
}

// problem returns what is wrong with a manifest; empty: nothing.
func (m Manifest) problem() string {
	seen := map[string]bool{}
	if len(m.Tables) == 0 {
		return "it names no table"
	}
	for i, t := range m.Tables {
		switch {
		case t.Files != filesOf(i, t.Name):
			return fmt.Sprintf("the files of table %q cannot be in %q", t.Name, t.Files)
		case seen[t.Name]:
			return fmt.Sprintf("table %q is there twice", t.Name)
		case len(t.Tenant) == 0:
			return fmt.Sprintf("table %q has no tenant's column", t.Name)
		}
		seen[t.Name] = true
		if problem := t.problem(); problem != "" {
			return fmt.Sprintf("table %q %s", t.Name, problem)
		}
	}
	return ""
}

func (t Table) problem() string {
	names := map[string]bool{}
	for _, c := range t.Columns {
		switch {
		case !plainName.MatchString(c.Name) || !plainName.MatchString(c.Type):
			return fmt.Sprintf("has a column %q of type %q", c.Name, c.Type)
		case names[c.Name] || slices.Contains(t.Tenant, c.Name):
			return fmt.Sprintf("has column %q twice", c.Name)
		}
		names[c.Name] = true
	}
	for _, name := range t.PrimaryKey {
		if !names[name] {
			return fmt.Sprintf("has no column %q, which is in its primary key", name)
		}
	}
	if !plainName.MatchString(t.Name) {
		return "has a name that is not one line"
	}
	return ""
}

// parseChecksums reads the last entry, and compares it with what was read.
func parseChecksums(text []byte, found Checksums) error {
	var c Checksums
	if err := strictJSON(text, &c); err != nil {
		return &DamagedError{checksumsEntry, err.Error()}
	}
	if c.Manifest != found.Manifest {
		return &DamagedError{manifestEntry, "its checksum is another one"}
	}
	if len(c.Tables) != len(found.Tables) {
		return &DamagedError{checksumsEntry, fmt.Sprintf("it has %d tables, and there are %d", len(c.Tables), len(found.Tables))}
	}
	for i, t := range c.Tables {
		switch has := found.Tables[i]; {
		case t.Name != has.Name || t.Parts != has.Parts || t.Rows != has.Rows:
			return &DamagedError{checksumsEntry, fmt.Sprintf("table %q has %d rows in %d parts, and there are %d rows in %d parts of table %q",
				t.Name, t.Rows, t.Parts, has.Rows, has.Parts, has.Name)}
		case t.SHA256 != has.SHA256:
			return &DamagedError{"table " + t.Name, "its checksum is another one"}
		}
	}
	return nil
}
