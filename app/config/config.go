// Package config turns the environment into a validated Config.
//
// Variables come from the process's environment and from the file .env in the working directory; the environment takes
// precedence. An empty variable counts as unset. Load returns either a consistent Config or a one-line [*Error] that names
// the variable, its value and what to do.
//
// Passwords are reachable only through the connection settings that [Config.Runtime] and
// [Config.OwnerConn] return: printing or logging a Config shows none.
package config

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/joho/godotenv"
)

// Config is the application's settings. The zero value is not usable: see [Load].
type Config struct {
	// Strategy says where each tenant's rows live: DJANGO_CONFIGURATION. Default: SingleSchema.
	Strategy Strategy
	// MultiDBCount is how many tenants seed makes databases for: MULTIDB_COUNT. Default: 5.
	MultiDBCount int
	// Database is the default database, which holds the directory: PGDATABASE. Default: a name that depends on the
	// strategy, so that switching strategies needs no other change.
	Database string
	// User is the runtime role, which serves: PGUSER. Default: tenanted.
	User string
	// Owner is the role that owns the tables: PGOWNER. Default: tenanted_owner on the private server,
	// none (empty) on a server of the user's own.
	Owner string
	// AllowedHosts are the base domains under which tenants are served, as tenanthttp.ParseBaseDomains returns them:
	// ALLOWED_HOSTS. Default: localhost.
	AllowedHosts []string
	// TrustedProxies are the networks of proxies whose X-Forwarded-Host is believed: TRUSTED_PROXIES. Default: none.
	TrustedProxies []netip.Prefix
	// AuditReads says whether each read across tenants is written to the audit log: AUDIT_CROSS_TENANT_READS. Default: false.
	AuditReads bool
	// SignInRequired has nobody read a tenant's pages without signing in, nor the lists over tenants on the bare domain without being an
	// operator: SIGN_IN.
	// Default: on a server of the user's own. On the private one reading is open.
	SignInRequired bool
	// Location is the time zone that days begin in: TZ. Default: UTC.
	Location *time.Location
	// MaxConns bounds the connections to tenants' data over all databases: DB_MAX_CONNS. Default: 40.
	MaxConns int
	// MaxIdleTime closes connections that were idle for longer: DB_MAX_IDLE_TIME. Default: 5 minutes.
	MaxIdleTime time.Duration
	// MaxLifetime closes connections that are older, when they are not in use: DB_MAX_LIFETIME. Default: 1 hour.
	MaxLifetime time.Duration
	// MaxLag is how far what is read from a replica may be behind: DB_REPLICA_MAX_LAG. Default: 2 seconds.
	MaxLag time.Duration
	// StatementTimeout and LockTimeout are the server's limits for a tenant's statement, and for its waiting for a lock:
	// DB_STATEMENT_TIMEOUT and DB_LOCK_TIMEOUT. Default: 5 and 2 seconds.
	StatementTimeout, LockTimeout time.Duration
	// Transactions says how a tenant's statement is sent: "implicit", or "explicit" as a Citus cluster needs it: DB_TRANSACTIONS.
	// Default: by what the server has (empty).
	Transactions string
	// LocalDir is the private server's directory: LOCALPG_DIR. Default: one of the user's own (empty).
	LocalDir string
	// LocalBinDir is where PostgreSQL's programs are: LOCALPG_BINDIR. Default: empty, searched for.
	LocalBinDir string

	// Program is how the program was called, for messages that suggest another call. It is not read from the environment;
	// the caller of Load sets it. Default: tenanted.
	Program string
	// Operator is who runs the program, for the audit log. The caller of Load sets it too. Default: unknown.
	Operator string

	conn *connection
}

// Command returns a call of the program as a user would type it, in backquotes: "`go run . migrate`".
func (c Config) Command(arguments string) string {
	return "`" + cmp.Or(c.Program, "tenanted") + " " + arguments + "`"
}

// Error is a setting that cannot be used. Its text is one line without passwords.
type Error struct {
	Variable string // the environment variable, the file, or the command's flag
	Value    string // as given; empty where it is a secret or there is none
	Reason   string // what is wrong and what to do
}

func (e *Error) Error() string {
	if e.Value == "" {
		return fmt.Sprintf("%s: %s", e.Variable, e.Reason)
	}
	return fmt.Sprintf("%s=%s: %s", e.Variable, e.Value, e.Reason)
}

// Load reads the settings from environ, as os.Environ gives it, and from the file .env in dir, if there
// is one. Every error is an [*Error].
func Load(environ []string, dir string) (Config, error) {
	vars, err := merge(environ, dir)
	if err != nil {
		return Config{}, err
	}
	raw, err := parse(vars)
	if err != nil {
		return Config{}, err
	}
	return raw.config(vars)
}

// Private reports whether to use the private PostgreSQL server: it is when none of PGHOST, PGHOSTADDR, PGPORT, PGSERVICE and
// DATABASE_URL is set.
func (c Config) Private() bool { return c.conn.private }

// At returns c with the private server's address filled in.
func (c Config) At(host string, port int) (Config, error) {
	return c.connect(c.conn.at(host, port))
}

// Server returns the default server's address in a readable form: "db.example.com:5432" or a socket directory.
func (c Config) Server() string { return c.conn.address() }

// Runtime returns the runtime role's connection to the default database, a copy at each call. On the
// private server it panics before [Config.At] has said where that is.
func (c Config) Runtime() *pgx.ConnConfig { return c.conn.fresh(c.conn.runtime) }

// OwnerConn returns a new copy of the owner's connection settings for the default database, or nil if there is no owner.
func (c Config) OwnerConn() *pgx.ConnConfig {
	if c.conn.owner == nil {
		return nil
	}
	return c.conn.fresh(c.conn.owner)
}

// Role is one of the two roles that the program connects as.
type Role int

// The roles.
const (
	AsRuntime Role = iota // serves
	AsOwner               // migrates, loads, and reads across tenants
)

// String returns the settings that matter in one line, without passwords.
func (c Config) String() string {
	return fmt.Sprintf("%s, database %s on %s, runtime role %s, owner %q",
		c.Strategy, c.Database, c.Server(), c.User, c.Owner)
}

// GoString returns [Config.String], so that %#v shows no password either.
func (c Config) GoString() string { return c.String() }

// LogValue returns [Config.String] for log/slog.
func (c Config) LogValue() slog.Value { return slog.StringValue(c.String()) }

// merge returns the non-empty variables of .env in dir, overridden by those of environ.
func merge(environ []string, dir string) (map[string]string, error) {
	vars, err := readDotEnv(filepath.Join(dir, ".env"))
	if err != nil {
		return nil, err
	}
	for _, line := range environ {
		if name, value, ok := strings.Cut(line, "="); ok {
			vars[name] = value
		}
	}
	maps.DeleteFunc(vars, func(_, value string) bool { return value == "" })
	return vars, nil
}

// readDotEnv does not wrap the parser's error, which quotes lines that may hold passwords.
func readDotEnv(path string) (map[string]string, error) {
	vars, err := godotenv.Read(path)
	var pathError *os.PathError
	switch {
	case err == nil:
		return vars, nil
	case errors.Is(err, fs.ErrNotExist):
		return map[string]string{}, nil
	case errors.As(err, &pathError):
		return nil, &Error{Variable: ".env", Reason: "cannot be read: " + pathError.Err.Error()}
	default:
		return nil, &Error{Variable: ".env", Reason: "is malformed: write one NAME=value a line, with ' around a value that has spaces, # or $"}
	}
}
