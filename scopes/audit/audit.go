package audit

import (
	"context"
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"gorm.io/gorm/schema"
)

// Config says what a database is compared with.
type Config struct {
	// Models are the program's models: pointers to structs, tenanted or not. Related models and join tables are added
	// automatically.
	Models []any
	// Runtime is the role the program works as. Default: the role that the connection logged in as.
	Runtime string
	// Owner is the role that should own the tables. Default: the owner of the first table, or else of the database.
	Owner string
	// Setting is the parameter that carries the tenant. Default: "app.tenant_id".
	Setting string
	// Namer is the program's GORM naming strategy. Default: GORM's own.
	Namer schema.Namer
	// Allow lists tables, views and functions that were reviewed, as "schema.name", and other roles that may have rights on
	// the tables, as "role.name". * and ? are wildcards. A defect of one of these is reported as a note. Default: none.
	Allow []string
	// Private lists, in the same way, tables on which the runtime role must have no rights, such as a directory of all
	// tenants. Default: none.
	Private []string
	// Further are the schemas behind the tenant's on the search_path, as session.Options.Schemas. Default: none.
	Further []string
	// Distributed are the placements whose tables are to be distributed over the workers, where the database has the extension
	// citus. Default: none.
	Distributed []string
	// Require lists keys and triggers that must exist. Default: none.
	Require []Requirement
}

// WithDefaults returns a copy with the defaults set that need no connection.
func (c Config) WithDefaults() Config {
	if c.Setting == "" {
		c.Setting = "app.tenant_id"
	}
	if c.Namer == nil {
		c.Namer = schema.NamingStrategy{IdentifierMaxLength: 64}
	}
	return c
}

var settingName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_$]*(\.[A-Za-z_][A-Za-z0-9_$]*)+$`)

func (c Config) validate() error {
	if len(c.Models) == 0 {
		return errors.New("audit: Config.Models is empty: name the program's models")
	}
	if !settingName.MatchString(c.Setting) {
		return fmt.Errorf("audit: Config.Setting %q is no name of a custom parameter: write it as app.tenant_id", c.Setting)
	}
	for _, pattern := range slices.Concat(c.Allow, c.Private) {
		if _, err := path.Match(pattern, ""); err != nil {
			return fmt.Errorf("audit: malformed pattern %q: write it as schema.name, with * and ? as wildcards", pattern)
		}
	}
	return nil
}

// Status is the result of a rule for one object.
type Status string

// A Note is worth knowing but is not a defect. NotChecked means that the rule could not be judged: there was nothing to look at,
// or it could not be read.
const (
	OK         Status = "ok"
	Defect     Status = "defect"
	Note       Status = "note"
	NotChecked Status = "not checked"
)

// Check is the result of one rule for one object.
type Check struct {
	ID        string `json:"id"`                    // of the [Rule]
	Layer     Layer  `json:"layer"`                 // of the rule
	Schema    string `json:"schema,omitempty"`      // the placement's; empty: the whole database
	Object    string `json:"object"`                // such as "table public.tasks"
	Status    Status `json:"status"`                // the result
	Message   string `json:"message"`               // what was found
	Risk      string `json:"risk,omitempty"`        // what could happen
	Fix       string `json:"fix,omitempty"`         // the SQL that fixes it
	SafeToFix bool   `json:"safe_to_fix,omitempty"` // [Fix] applies it
}

// Report is the result of an audit of one database.
type Report struct {
	Server   string   `json:"server,omitempty"` // as in scopes.Placement; set by callers that have several servers
	Database string   `json:"database"`         // its name
	Runtime  string   `json:"runtime_role"`     // the role that was audited
	Schemas  []string `json:"schemas"`          // the placements that were audited
	Checks   []Check  `json:"checks"`           // in the order of the rules
}

// InForce reports whether no check found a defect.
func (r Report) InForce() bool { return len(r.Defects()) == 0 }

// Defects returns the checks that found one.
func (r Report) Defects() []Check { return r.with(Defect) }

// NotChecked returns the checks that could not be made.
func (r Report) NotChecked() []Check { return r.with(NotChecked) }

func (r Report) with(status Status) (checks []Check) {
	for _, c := range r.Checks {
		if c.Status == status {
			checks = append(checks, c)
		}
	}
	return checks
}

// Err returns nil when every layer is in force, and otherwise a [*DefectError].
func (r Report) Err() error {
	if defects := r.Defects(); len(defects) > 0 {
		return &DefectError{Database: r.Database, Defects: defects}
	}
	return nil
}

// DefectError says that isolation is not in force in a database.
type DefectError struct {
	Database string  // its name
	Defects  []Check // at least one
}

// Error returns one line: the first defect with the SQL that fixes it, and how many more there are.
func (e *DefectError) Error() string {
	first := e.Defects[0]
	fix := strings.ReplaceAll(strings.TrimPrefix(first.Fix, "-- "), "\n", " ")
	text := fmt.Sprintf("isolation is not in force in database %q: %s: %s; to fix it: %s",
		e.Database, first.Object, first.Message, fix)
	if more := len(e.Defects) - 1; more > 0 {
		text += fmt.Sprintf(" (and %d more)", more)
	}
	return text
}

// Run judges every rule for the database that conn is connected to and for its placements. The schemas must be all placements in
// that database: a table with a tenant column in any other schema is a defect. Without schemas, Run judges only the rules about
// the database and its roles.
//
// Any role that may connect can read the catalogs. Whether the policy yields an index condition can only be seen as the runtime
// role, so conn should be connected as that role or as one that may SET ROLE to it; otherwise the rule is not checked. The
// connection must be new, since its settings are taken for the role's defaults.
func Run(ctx context.Context, conn *pgx.Conn, cfg Config, schemas ...string) (Report, error) {
	return audit(ctx, conn, cfg, schemas, false)
}

// Startup judges what a program should require before it serves: the runtime role is subject to row-level security and has no
// default tenant, and each tenanted table has row-level security enabled with only the expected policy. It needs three catalog
// queries; conn may be connected as the runtime role.
func Startup(ctx context.Context, conn *pgx.Conn, cfg Config, schemas ...string) (Report, error) {
	return audit(ctx, conn, cfg, schemas, true)
}

// audit reads what the rules need and judges them, in a read-only transaction.
func audit(ctx context.Context, conn *pgx.Conn, cfg Config, schemas []string, startup bool) (Report, error) {
	cfg = cfg.WithDefaults()
	if err := cfg.validate(); err != nil {
		return Report{}, err
	}
	models, err := parseModels(cfg)
	if err != nil {
		return Report{}, err
	}
	s := &state{cfg: cfg, models: models, schemas: schemas}
	rules, in := catalogue, []string(nil)
	if startup {
		rules, in = startupRules(), s.placementSchemas()
	}
	options := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	err = pgx.BeginTxFunc(ctx, conn, options, func(tx pgx.Tx) error {
		// So that names are printed with their schema, and no function can hide a built-in one.
		if _, err := tx.Exec(ctx, "set local search_path to pg_catalog, pg_temp; set local lock_timeout = '1s'"); err != nil {
			return err
		}
		return s.read(ctx, tx, rules, in)
	})
	if err != nil {
		return Report{}, fmt.Errorf("audit database %q: %w", conn.Config().Database, err)
	}
	return s.judge(rules), nil
}
