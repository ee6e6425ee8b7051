package config

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgservicefile"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Names used where the environment has none.
const (
	defaultPort         = "5432"
	defaultUser         = "tenanted"
	defaultPrivateOwner = "tenanted_owner"
)

// connection says how to reach the server. It is always held by pointer: fmt prints a nested pointer as an address, so no
// verb shows a password.
type connection struct {
	vars          map[string]string // the merged environment
	private       bool
	settings      map[string]string // libpq's keywords, without password
	password      secret            // of the runtime role
	ownerName     string
	ownerPassword secret
	prepare       bool // statements on the server
	maxConns      int  // bound of a further server; 0: the default server's

	others   map[string]*connection // to the other servers, by name; of the default server's only
	replicas []*connection

	runtime, owner *pgx.ConnConfig // nil until the address is known; owner stays nil without an owner
}

// keywords maps libpq's environment variables to its connection keywords. PGSERVICE and PGSERVICEFILE are not among them,
// since readService resolves them, nor are passwords, which are stored separately.
var keywords = map[string]string{
	"PGHOST": "host", "PGHOSTADDR": "hostaddr", "PGPORT": "port", "PGDATABASE": "dbname", "PGUSER": "user",
	"PGPASSFILE": "passfile", "PGOPTIONS": "options", "PGAPPNAME": "application_name", "PGTZ": "timezone",
	"PGCONNECT_TIMEOUT": "connect_timeout", "PGTARGETSESSIONATTRS": "target_session_attrs",
	"PGSSLMODE": "sslmode", "PGSSLCERT": "sslcert", "PGSSLKEY": "sslkey", "PGSSLROOTCERT": "sslrootcert",
	"PGSSLCERTMODE": "sslcertmode", "PGSSLSNI": "sslsni", "PGSSLPASSWORD": "sslpassword", "PGSSLNEGOTIATION": "sslnegotiation",
	"PGMINPROTOCOLVERSION": "min_protocol_version", "PGMAXPROTOCOLVERSION": "max_protocol_version",
	"PGCHANNELBINDING": "channel_binding", "PGREQUIREAUTH": "require_auth",
}

// serverVariables name a server. If any of them, or DATABASE_URL, is set, the private server is not used.
var serverVariables = []string{"PGHOST", "PGHOSTADDR", "PGPORT", "PGSERVICE"}

// unsupported lists libpq's variables that pgx does not implement and that must not be ignored silently, with the values
// that are harmless.
var unsupported = map[string][]string{
	"PGREQUIREPEER": nil, "PGSSLCRL": nil, "PGSSLCRLDIR": nil, "PGSSLMINPROTOCOLVERSION": nil, "PGSSLMAXPROTOCOLVERSION": nil,
	"PGGSSENCMODE": {"disable", "prefer"}, "PGLOADBALANCEHOSTS": {"disable"},
}

func newConnection(vars map[string]string, database, owner string, prepare bool) (*connection, error) {
	c := &connection{
		vars:      vars,
		private:   isPrivate(vars),
		settings:  map[string]string{"port": defaultPort, "dbname": database, "user": defaultUser, "application_name": "tenanted"},
		ownerName: owner,
		prepare:   prepare,
	}
	if err := c.readSettings(); err != nil {
		return nil, err
	}
	if c.private && c.ownerName == "" {
		c.ownerName = defaultPrivateOwner
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	var err error
	if c.replicas, err = c.newReplicas(vars); err != nil {
		return nil, err
	}
	c.others, err = newServers(vars, c)
	return c, err
}

// check fills in and validates the server's address.
func (c *connection) check() error {
	if !c.private && c.settings["host"] == "" && c.settings["hostaddr"] == "" {
		c.settings["host"] = localHost(c.settings["port"])
	}
	if err := c.checkPort(); err != nil {
		return err
	}
	return c.checkHostAddr()
}

func isPrivate(vars map[string]string) bool {
	named := func(name string) bool { return vars[name] != "" }
	return !named("DATABASE_URL") && !slices.ContainsFunc(serverVariables, named)
}

// readSettings reads the variables, and then either the service, which overrides them as in libpq, or DATABASE_URL, which
// must not contradict them.
func (c *connection) readSettings() error {
	for _, name := range slices.Sorted(maps.Keys(unsupported)) {
		if value := c.vars[name]; value != "" && !c.private && !slices.Contains(unsupported[name], value) {
			return &Error{name, value, "is not supported: unset it"}
		}
	}
	service, err := readService(c.vars)
	if err != nil {
		return err
	}
	fromURL, err := readURL(c.vars)
	if err != nil {
		return err
	}
	for name, keyword := range keywords {
		if value := c.vars[name]; value != "" {
			c.settings[keyword] = value
		}
	}
	maps.Copy(c.settings, service)
	maps.Copy(c.settings, fromURL)
	if c.password, err = readSecret(c.vars, "PGPASSWORD", fromURL["password"], service["password"]); err != nil {
		return err
	}
	c.ownerPassword, err = readSecret(c.vars, "PGOWNERPASSWORD", "", "")
	delete(c.settings, "password")
	return err
}

// localHost returns where libpq looks for a server if only a port is given: the socket directory if there is a socket, else
// localhost.
func localHost(port string) string {
	for _, dir := range []string{"/var/run/postgresql", "/private/tmp", "/tmp"} {
		if _, err := os.Stat(filepath.Join(dir, ".s.PGSQL."+port)); err == nil {
			return dir
		}
	}
	return "localhost"
}

// readService returns the settings of PGSERVICE from the user's service file or, as libpq does, from the system's.
func readService(vars map[string]string) (map[string]string, error) {
	name, path := vars["PGSERVICE"], vars["PGSERVICEFILE"]
	if name == "" {
		return nil, nil
	}
	if path == "" {
		path = filepath.Join(vars["HOME"], ".pg_service.conf")
	}
	service, err := readServiceFile(name, path)
	if dir := vars["PGSYSCONFDIR"]; err != nil && dir != "" {
		if system, err := readServiceFile(name, filepath.Join(dir, "pg_service.conf")); err == nil {
			return system, nil
		}
	}
	return service, err
}

func readServiceFile(name, path string) (map[string]string, error) {
	file, err := pgservicefile.ReadServicefile(path)
	var pathError *os.PathError
	if errors.As(err, &pathError) {
		return nil, &Error{"PGSERVICE", name, fmt.Sprintf("the service file %s cannot be read: %v", path, pathError.Err)}
	}
	if err != nil {
		return nil, &Error{"PGSERVICE", name, fmt.Sprintf("the service file %s is malformed: %v", path, err)}
	}
	service, err := file.GetService(name)
	if err != nil {
		return nil, &Error{"PGSERVICE", name, fmt.Sprintf("the service file %s has no section [%s]", path, name)}
	}
	settings, err := knownSettings(service.Settings)
	if err != nil {
		return nil, &Error{"PGSERVICE", name, fmt.Sprintf("the service file %s: %v", path, err)}
	}
	settings["servicefile"] = path // pgx finds PGSERVICE in the process's environment, and reads it once more
	return settings, nil
}

func (c *connection) checkPort() error {
	for port := range strings.SplitSeq(c.settings["port"], ",") {
		number, err := strconv.Atoi(port)
		if ofList := port == "" && strings.Contains(c.settings["port"], ","); !ofList && (err != nil || number < 1 || number > 65535) {
			return &Error{c.source("PGPORT"), c.settings["port"], "must be from 1 to 65535"}
		}
	}
	return nil
}

// source returns the variable that a setting was read from.
func (c *connection) source(variable string) string {
	for _, name := range []string{variable, "PGSERVICE", "DATABASE_URL"} {
		if c.vars[name] != "" {
			return name
		}
	}
	return variable
}

// checkHostAddr checks PGHOSTADDR: IP addresses, as many as there are host names.
func (c *connection) checkHostAddr() error {
	list := c.settings["hostaddr"]
	if list == "" {
		return nil
	}
	for address := range strings.SplitSeq(list, ",") {
		if _, err := netip.ParseAddr(address); err != nil {
			return &Error{c.source("PGHOSTADDR"), list, "is not an IP address: a name goes into PGHOST"}
		}
	}
	if host := c.settings["host"]; host != "" && strings.Count(host, ",") != strings.Count(list, ",") {
		return &Error{c.source("PGHOSTADDR"), list, "must have as many addresses as PGHOST has hosts"}
	}
	return nil
}

// at returns a copy of c for another host and port.
func (c *connection) at(host string, port int) *connection {
	moved := *c
	moved.settings = maps.Clone(c.settings)
	moved.settings["host"] = host
	moved.settings["port"] = strconv.Itoa(port)
	return &moved
}

// address returns the server's address for messages.
func (c *connection) address() string {
	switch {
	case c.runtime == nil:
		return "the private server"
	case strings.HasPrefix(c.runtime.Host, "/"):
		return c.runtime.Host
	default:
		return net.JoinHostPort(c.runtime.Host, strconv.Itoa(int(c.runtime.Port)))
	}
}

// connect sets the two roles' connection settings, of c and of the further servers, if the address is known.
func (c Config) connect(conn *connection) (Config, error) {
	c.conn = conn
	if err := conn.complete(); err != nil {
		return c, err
	}
	for name, other := range conn.others {
		if err := other.complete(); err != nil {
			return c, renamed(err, strings.ToUpper(name))
		}
	}
	return c, c.checkServers()
}

func (c *connection) complete() (err error) {
	if c.settings["host"] == "" && c.private {
		return nil
	}
	for _, replica := range c.replicas {
		if err := replica.complete(); err != nil {
			return err
		}
	}
	if c.runtime, err = c.role(c.settings["user"], c.settings["dbname"]); err != nil || c.ownerName == "" {
		return err
	}
	c.owner, err = c.role(c.ownerName, c.settings["dbname"])
	return err
}

// role returns the settings of one role for a database, with the password of the moment. It is empty in what is parsed, which keeps
// it out of error messages and keeps the runtime role's PGPASSWORD from being tried as the owner's; pgx then looks into PGPASSFILE for
// that role.
func (c *connection) role(name, database string) (*pgx.ConnConfig, error) {
	password, err := c.passwordOf(name)
	if err != nil {
		return nil, err
	}
	settings := maps.Clone(c.settings)
	settings["user"], settings["dbname"], settings["password"] = name, database, ""
	lookup := lookupAddr(settings)
	parsed, err := pgx.ParseConfig(keywordValues(settings))
	if err != nil {
		return nil, &Error{Variable: "PG* variables", Reason: reason(err)}
	}
	if password != "" {
		parsed.Password = password
	}
	if lookup != nil {
		parsed.LookupFunc = lookup
	}
	if !c.prepare {
		parsed.DefaultQueryExecMode = pgx.QueryExecModeExec
	}
	return parsed, nil
}

// lookupAddr removes hostaddr, which pgx does not implement, from the settings. Where no host is given, the address becomes
// the host; otherwise the host name is kept, for certificates, and resolves to the address.
func lookupAddr(settings map[string]string) pgconn.LookupFunc {
	list := settings["hostaddr"]
	delete(settings, "hostaddr")
	if list == "" {
		return nil
	}
	hosts, addresses := strings.Split(settings["host"], ","), strings.Split(list, ",")
	byName := map[string][]string{}
	for i, address := range addresses {
		if settings["host"] == "" || strings.HasPrefix(hosts[i], "/") {
			settings["host"] = list
			return nil
		}
		byName[hosts[i]] = append(byName[hosts[i]], address)
	}
	return func(_ context.Context, host string) ([]string, error) { return byName[host], nil }
}

// reason returns the library's message without the connection string at its beginning.
func reason(err error) string {
	var failed *pgconn.ParseConfigError
	if errors.As(err, &failed) {
		if inner := errors.Unwrap(failed); inner != nil {
			return inner.Error()
		}
	}
	return "the connection settings are contradictory"
}

func keywordValues(settings map[string]string) string {
	var s strings.Builder
	escape := strings.NewReplacer(`\`, `\\`, `'`, `\'`)
	for _, keyword := range slices.Sorted(maps.Keys(settings)) {
		fmt.Fprintf(&s, "%s='%s' ", keyword, escape.Replace(settings[keyword]))
	}
	return s.String()
}

// environ describes the server by variables only. PGSERVICE is resolved, since its settings would override them.
func (c *connection) environ(asOwner bool) []string {
	vars := maps.Clone(c.vars)
	maps.DeleteFunc(vars, func(name, _ string) bool {
		return slices.Contains([]string{"PGSERVICE", "DATABASE_URL", "PGPASSWORD", "PGOWNERPASSWORD", "PGPASSWORD_FILE", "PGOWNERPASSWORD_FILE", "PGREPLICA_HOST", "PGREPLICA_PORT"}, name) || serverVariable.MatchString(name)
	})
	for name, keyword := range keywords {
		delete(vars, name)
		if value := c.settings[keyword]; value != "" {
			vars[name] = value
		}
	}
	if asOwner {
		vars["PGUSER"] = c.ownerName
	}
	if password, err := c.passwordOf(vars["PGUSER"]); err == nil && password != "" {
		vars["PGPASSWORD"] = password
	}
	environ := make([]string, 0, len(vars))
	for _, name := range slices.Sorted(maps.Keys(vars)) {
		environ = append(environ, name+"="+vars[name])
	}
	return environ
}
