package config

import (
	"errors"
	"fmt"
	"maps"
	"net"
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
	defaultUser         = "tenanted"
	defaultPrivateOwner = "tenanted_owner"
)

// connection is how the server is reached. It is always held by pointer: fmt prints the address of a
// nested pointer, so that no verb shows a password.
type connection struct {
	vars          map[string]string // the merged environment
	private       bool
	settings      map[string]string // libpq's keywords, without password
	password      string            // of the runtime role; empty: PGPASSFILE, or none
	ownerName     string
	ownerPassword string
	prepare       bool // statements on the server

	runtime, owner *pgx.ConnConfig // nil until there is an address; owner also where there is none
}

// keywords are libpq's environment variables and what its connection strings call them. PGSERVICE and
// PGSERVICEFILE are resolved here, and passwords are kept apart.
var keywords = map[string]string{
	"PGHOST": "host", "PGPORT": "port", "PGDATABASE": "dbname", "PGUSER": "user",
	"PGPASSFILE": "passfile", "PGOPTIONS": "options", "PGAPPNAME": "application_name", "PGTZ": "timezone",
	"PGCONNECT_TIMEOUT": "connect_timeout", "PGTARGETSESSIONATTRS": "target_session_attrs",
	"PGSSLMODE": "sslmode", "PGSSLCERT": "sslcert", "PGSSLKEY": "sslkey", "PGSSLROOTCERT": "sslrootcert",
	"PGSSLCERTMODE": "sslcertmode", "PGSSLSNI": "sslsni", "PGSSLPASSWORD": "sslpassword", "PGSSLNEGOTIATION": "sslnegotiation",
	"PGMINPROTOCOLVERSION": "min_protocol_version", "PGMAXPROTOCOLVERSION": "max_protocol_version",
	"PGCHANNELBINDING": "channel_binding", "PGREQUIREAUTH": "require_auth",
}

func newConnection(vars map[string]string, database, owner string) (*connection, error) {
	service, err := readService(vars)
	if err != nil {
		return nil, err
	}
	c := &connection{
		vars:          vars,
		private:       vars["PGHOST"] == "" && vars["PGSERVICE"] == "",
		settings:      map[string]string{"port": "5432", "dbname": database, "user": defaultUser, "application_name": "tenanted"},
		password:      vars["PGPASSWORD"],
		ownerName:     owner,
		ownerPassword: vars["PGOWNERPASSWORD"],
	}
	for name, keyword := range keywords {
		if value := vars[name]; value != "" {
			c.settings[keyword] = value
		}
	}
	maps.Copy(c.settings, service) // as in libpq, a service's settings win over the variables
	if password, ok := service["password"]; ok {
		c.password = password
		delete(c.settings, "password")
	}
	if c.private && c.ownerName == "" {
		c.ownerName = defaultPrivateOwner
	}
	return c, c.checkPort()
}

func readService(vars map[string]string) (map[string]string, error) {
	name := vars["PGSERVICE"]
	if name == "" {
		return nil, nil
	}
	path := vars["PGSERVICEFILE"]
	if path == "" {
		path = filepath.Join(vars["HOME"], ".pg_service.conf")
	}
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
	service.Settings["servicefile"] = path // pgx finds PGSERVICE in the process's environment, and reads it once more
	return service.Settings, nil
}

func (c *connection) checkPort() error {
	for port := range strings.SplitSeq(c.settings["port"], ",") {
		if number, err := strconv.Atoi(port); err != nil || number < 1 || number > 65535 {
			return &Error{"PGPORT", c.settings["port"], "must be from 1 to 65535"}
		}
	}
	return nil
}

// at returns a copy of c that leads to host and port.
func (c *connection) at(host string, port int) *connection {
	moved := *c
	moved.settings = maps.Clone(c.settings)
	moved.settings["host"] = host
	moved.settings["port"] = strconv.Itoa(port)
	return &moved
}

// address is known once connect has parsed it.
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

// connect completes conn with the two roles' connection settings, once there is an address.
func (c Config) connect(conn *connection) (Config, error) {
	c.conn = conn
	if conn.settings["host"] == "" && conn.private {
		return c, nil
	}
	var err error
	if conn.runtime, err = conn.role(c.User, conn.password); err != nil || c.Owner == "" {
		return c, err
	}
	conn.owner, err = conn.role(c.Owner, conn.ownerPassword)
	return c, err
}

// role returns the settings of one role. The password is empty in what is parsed, which keeps it out of
// error messages and keeps the runtime role's PGPASSWORD from being tried as the owner's; pgx then looks
// into PGPASSFILE for that role.
func (c *connection) role(name, password string) (*pgx.ConnConfig, error) {
	settings := maps.Clone(c.settings)
	settings["user"] = name
	settings["password"] = ""
	parsed, err := pgx.ParseConfig(keywordValues(settings))
	if err != nil {
		return nil, &Error{Variable: "PG* variables", Reason: reason(err)}
	}
	if password != "" {
		parsed.Password = password
	}
	if !c.prepare {
		parsed.DefaultQueryExecMode = pgx.QueryExecModeExec
	}
	return parsed, nil
}

// reason leaves out the connection string, which the library's message begins with.
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

// environ names the server by variables alone: PGSERVICE, whose settings would win over them, is resolved.
func (c *connection) environ(asOwner bool) []string {
	vars := maps.Clone(c.vars)
	delete(vars, "PGSERVICE")
	delete(vars, "PGPASSWORD")
	delete(vars, "PGOWNERPASSWORD")
	for name, keyword := range keywords {
		if value := c.settings[keyword]; value != "" {
			vars[name] = value
		}
	}
	password := c.password
	if asOwner {
		vars["PGUSER"], password = c.ownerName, c.ownerPassword
	}
	if password != "" {
		vars["PGPASSWORD"] = password
	}
	environ := make([]string, 0, len(vars))
	for _, name := range slices.Sorted(maps.Keys(vars)) {
		environ = append(environ, name+"="+vars[name])
	}
	return environ
}
