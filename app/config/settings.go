package config

import (
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // so that TZ means the same on a machine without a zone database

	"github.com/caarlos0/env/v11"

	"tenanted/scopes/tenanthttp"
)

// settings are the variables as they are set. The method config checks them against each other.
type settings struct {
	Strategy         Strategy      `env:"DJANGO_CONFIGURATION" envDefault:"SingleSchema"`
	MultiDBCount     int           `env:"MULTIDB_COUNT" envDefault:"5"`
	Owner            string        `env:"PGOWNER"`
	AllowedHosts     []string      `env:"ALLOWED_HOSTS" envDefault:"localhost"`
	TrustedProxies   []string      `env:"TRUSTED_PROXIES"`
	AuditReads       bool          `env:"AUDIT_CROSS_TENANT_READS" envDefault:"false"`
	SignIn           string        `env:"SIGN_IN"`
	TimeZone         string        `env:"TZ" envDefault:"UTC"`
	MaxConns         int           `env:"DB_MAX_CONNS" envDefault:"40"`
	MaxIdleTime      time.Duration `env:"DB_MAX_IDLE_TIME" envDefault:"5m"`
	MaxLifetime      time.Duration `env:"DB_MAX_LIFETIME" envDefault:"1h"`
	MaxLag           time.Duration `env:"DB_REPLICA_MAX_LAG" envDefault:"2s"`
	StatementTimeout time.Duration `env:"DB_STATEMENT_TIMEOUT" envDefault:"5s"`
	LockTimeout      time.Duration `env:"DB_LOCK_TIMEOUT" envDefault:"2s"`
	Prepare          bool          `env:"DB_PREPARED_STATEMENTS" envDefault:"true"`
	Transactions     string        `env:"DB_TRANSACTIONS" envDefault:"auto"`
	LocalDir         string        `env:"LOCALPG_DIR"`
	LocalBinDir      string        `env:"LOCALPG_BINDIR"`
}

// What SIGN_IN may say.
const (
	signInRequired = "required"
	signInOptional = "optional"
)

// requestTimeout is app/web's, which cannot be imported here.
const requestTimeout = 10 * time.Second

func parse(vars map[string]string) (settings, error) {
	raw, err := env.ParseAsWithOptions[settings](env.Options{Environment: vars})
	var failed env.ParseError
	if errors.As(err, &failed) {
		return raw, notParsed(failed, vars)
	}
	if err != nil {
		return raw, &Error{Variable: "environment", Reason: err.Error()}
	}
	return raw, raw.validate(vars)
}

// notParsed returns an error that names the variable, where the library's names the struct field.
func notParsed(failed env.ParseError, vars map[string]string) error {
	field, _ := reflect.TypeFor[settings]().FieldByName(failed.Name)
	want := "a whole number"
	switch failed.Type {
	case reflect.TypeFor[time.Duration]():
		want = "a duration such as 90s or 5m"
	case reflect.TypeFor[bool]():
		want = "true or false"
	}
	name := field.Tag.Get("env")
	return &Error{Variable: name, Value: vars[name], Reason: "is not " + want}
}

func (s settings) validate(vars map[string]string) error {
	invalid := func(name, reason string, args ...any) error {
		return &Error{Variable: name, Value: vars[name], Reason: fmt.Sprintf(reason, args...)}
	}
	switch {
	case !slices.Contains(Strategies(), s.Strategy):
		return invalid("DJANGO_CONFIGURATION", "is unknown: choose SingleSchema, MultipleDb, MultipleSchemas or Mixed")
	case !slices.Contains([]string{"", signInRequired, signInOptional}, s.SignIn):
		return invalid("SIGN_IN", "is unknown: choose required or optional")
	case s.MultiDBCount < 1 || s.MultiDBCount > 10_000:
		return invalid("MULTIDB_COUNT", "must be from 1 to 10000")
	case s.MaxConns < 2:
		return invalid("DB_MAX_CONNS", "must be at least 2")
	case s.StatementTimeout <= 0 || s.StatementTimeout >= requestTimeout:
		return invalid("DB_STATEMENT_TIMEOUT", "must be above zero and below %v, the time limit of a request", requestTimeout)
	case s.LockTimeout <= 0 || s.LockTimeout > s.StatementTimeout:
		return invalid("DB_LOCK_TIMEOUT", "must be above zero and no longer than DB_STATEMENT_TIMEOUT, %v", s.StatementTimeout)
	case !slices.Contains([]string{"auto", "implicit", "explicit"}, s.Transactions):
		return invalid("DB_TRANSACTIONS", "is unknown: choose auto, implicit or explicit")
	case s.MaxIdleTime <= 0:
		return invalid("DB_MAX_IDLE_TIME", "must be above zero")
	case s.MaxLifetime <= 0:
		return invalid("DB_MAX_LIFETIME", "must be above zero")
	case s.MaxLag <= 0:
		return invalid("DB_REPLICA_MAX_LAG", "must be above zero")
	}
	return nil
}

// config turns the settings into a Config, and decides what depends on several of them.
func (s settings) config(vars map[string]string) (Config, error) {
	hosts, err := tenanthttp.ParseBaseDomains(s.AllowedHosts...)
	if err != nil {
		return Config{}, &Error{"ALLOWED_HOSTS", strings.Join(s.AllowedHosts, ","), err.Error()}
	}
	proxies, err := parseProxies(s.TrustedProxies)
	if err != nil {
		return Config{}, &Error{"TRUSTED_PROXIES", strings.Join(s.TrustedProxies, ","), err.Error()}
	}
	location, err := time.LoadLocation(strings.TrimPrefix(s.TimeZone, ":"))
	if err != nil {
		return Config{}, &Error{"TZ", s.TimeZone, "is not a known time zone: use a name such as UTC or Europe/Berlin"}
	}
	conn, err := newConnection(vars, s.Strategy.defaultDatabase(), s.Owner, s.Prepare)
	if err != nil {
		return Config{}, err
	}
	c := Config{
		Strategy: s.Strategy, MultiDBCount: s.MultiDBCount, AllowedHosts: hosts, TrustedProxies: proxies, AuditReads: s.AuditReads,
		SignInRequired: s.SignIn == signInRequired || s.SignIn == "" && !conn.private, Location: location,
		MaxConns: s.MaxConns, MaxIdleTime: s.MaxIdleTime, MaxLifetime: s.MaxLifetime, MaxLag: s.MaxLag,
		StatementTimeout: s.StatementTimeout, LockTimeout: s.LockTimeout,
		Transactions: strings.TrimPrefix(s.Transactions, "auto"), LocalDir: s.LocalDir, LocalBinDir: s.LocalBinDir,
		Database: conn.settings["dbname"], User: conn.settings["user"], Owner: conn.ownerName, conn: conn,
	}
	if err := c.checkNames(); err != nil {
		return Config{}, err
	}
	return c.connect(conn)
}

// parseProxies parses networks and single addresses.
func parseProxies(written []string) ([]netip.Prefix, error) {
	var proxies []netip.Prefix
	for _, entry := range written {
		entry = strings.TrimSpace(entry)
		network, err := netip.ParsePrefix(entry)
		if address, notAddress := netip.ParseAddr(entry); notAddress == nil {
			network, err = address.Prefix(address.BitLen())
		}
		if err != nil {
			return nil, fmt.Errorf("%q is neither an address nor a network such as 10.0.0.0/8", entry)
		}
		proxies = append(proxies, network.Masked())
	}
	return proxies, nil
}

// checkNames refuses names that PostgreSQL would truncate, and the same role as runtime role and owner.
func (c Config) checkNames() error {
	if err := checkLength("PGDATABASE", c.Database); err != nil {
		return err
	}
	if err := checkRoles(c.User, c.Owner); err != nil {
		return err
	}
	return c.checkSeeded()
}

func checkRoles(user, owner string) error {
	if user == owner {
		return &Error{"PGOWNER", owner, "is PGUSER too: the role that serves must not own the tables, or row-level security does not bind it"}
	}
	if err := checkLength("PGUSER", user); err != nil {
		return err
	}
	return checkLength("PGOWNER", owner)
}

func checkLength(variable, name string) error {
	if len(name) > maxIdentifier {
		return &Error{variable, name, fmt.Sprintf("has %d bytes, above PostgreSQL's %d", len(name), maxIdentifier)}
	}
	return nil
}

// checkSeeded refuses a default database with a name so long that the seed's databases could not be named after it.
func (c Config) checkSeeded() error {
	if !c.Strategy.databases() {
		return nil
	}
	last := c.MultiDBCount - 1
	if c.Strategy == Mixed { // every third has a database
		last = 3*c.MultiDBCount - 1
	}
	slug := fmt.Sprintf("tenant-%d", last)
	if _, err := c.PlacementFor(slug, c.SeedChoice(slug, last)); err != nil {
		return &Error{"PGDATABASE", c.Database, err.Error()}
	}
	return nil
}
