package config

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"tenanted/scopes"
)

// Server is a PostgreSQL server that has tenants: the default server, which has the directory, or a further one that is
// configured by SERVER_NAME_... variables.
type Server struct {
	Name        string // in lower case; empty: the default server
	User, Owner string // its roles, as [Config.User] and [Config.Owner]
	MaxConns    int    // bounds the connections to tenants' data there
	conn        *connection
}

// Address returns the server's address in a readable form: "db.example.com:5432" or a socket directory.
func (s Server) Address() string { return s.conn.address() }

// Conn returns a new copy of a role's connection settings for a database of the server. Without an owner it returns an
// [*Error].
func (s Server) Conn(role Role, database string) (*pgx.ConnConfig, error) {
	to := s.conn.runtime
	if role == AsOwner {
		to = s.conn.owner
	}
	if to == nil {
		return nil, &Error{Variable: "PGOWNER", Reason: "is not set: name the role that owns the tables"}
	}
	to = to.Copy()
	to.Database = database
	return to, s.conn.renew(to)
}

// Runtime returns the runtime role's connection, a copy at each call, to a database that each server has: set another.
func (s Server) Runtime() *pgx.ConnConfig {
	to := s.conn.fresh(s.conn.runtime)
	to.Database = maintenanceDatabase
	return to
}

// Environ returns the environment for a libpq program such as psql, as one of the roles.
func (s Server) Environ(role Role) []string { return s.conn.environ(role == AsOwner) }

// Environ returns the environment for a libpq program such as psql on the default database, as one of the roles.
func (c Config) Environ(role Role) []string { return c.conn.environ(role == AsOwner) }

// Servers returns the servers, the default one first and the others by name.
func (c Config) Servers() []Server {
	servers := []Server{c.newServer("", c.conn)}
	for _, name := range slices.Sorted(maps.Keys(c.conn.others)) {
		servers = append(servers, c.newServer(name, c.conn.others[name]))
	}
	return servers
}

// ServerOf returns the server of a placement. If it is not configured, the error is a *scopes.ServerUnknownError; there is no
// fallback.
func (c Config) ServerOf(p scopes.Placement) (Server, error) {
	if p.Server == "" {
		return c.newServer("", c.conn), nil
	}
	conn, ok := c.conn.others[p.Server]
	if !ok {
		return Server{}, fmt.Errorf("%w: set SERVER_%s_HOST", &scopes.ServerUnknownError{Server: p.Server}, strings.ToUpper(p.Server))
	}
	return c.newServer(p.Server, conn), nil
}

// Conn returns a new copy of a role's connection settings for a placement's database. The errors are those of
// [Config.ServerOf] and [Server.Conn].
func (c Config) Conn(role Role, p scopes.Placement) (*pgx.ConnConfig, error) {
	server, err := c.ServerOf(p)
	if err != nil {
		return nil, err
	}
	return server.Conn(role, p.Database)
}

func (c Config) newServer(name string, conn *connection) Server {
	return Server{Name: name, User: conn.settings["user"], Owner: conn.ownerName, MaxConns: cmp.Or(conn.maxConns, c.MaxConns), conn: conn}
}

var (
	serverVariable  = regexp.MustCompile(`^SERVER_([A-Z0-9]+)_(\w+)$`)
	defaultVariable = regexp.MustCompile(`\bPG([A-Z*])`)
)

// newServers returns the connections to the servers that SERVER_NAME_... variables configure, by name. SERVER_EU_HOST is
// server eu's PGHOST, and so on; what is not set for a server is as in main. Variables that match no known suffix are ignored:
// they belong to other programs.
func newServers(vars map[string]string, main *connection) (map[string]*connection, error) {
	byServer := map[string]map[string]string{} // by server, under the names of the default server's variables
	for variable, value := range vars {
		if match := serverVariable.FindStringSubmatch(variable); match != nil {
			if byServer[match[1]] == nil {
				byServer[match[1]] = map[string]string{}
			}
			byServer[match[1]]["PG"+match[2]] = value
		}
	}
	servers := map[string]*connection{}
	for _, name := range slices.Sorted(maps.Keys(byServer)) {
		own := byServer[name]
		known := func(variable string) bool { return own[variable] != "" }
		switch {
		case !slices.ContainsFunc(ownVariables(), known):
			continue
		case !slices.ContainsFunc(serverVariables, known):
			return nil, &Error{Variable: "SERVER_" + name + "_HOST", Reason: "is not set: name the server that the other variables are about"}
		}
		server, err := main.other(own)
		if err != nil {
			return nil, renamed(err, name)
		}
		servers[strings.ToLower(name)] = server
	}
	return servers, nil
}

// ownVariables are the variables that can be set for a further server, under the names they have for the default one.
func ownVariables() []string {
	own := []string{"PGPASSWORD", "PGPASSWORD_FILE", "PGOWNER", "PGOWNERPASSWORD", "PGOWNERPASSWORD_FILE", "PGSERVICE", "PGSERVICEFILE",
		"PGMAX_CONNS", "PGREPLICA_HOST", "PGREPLICA_PORT"}
	for name := range maps.Keys(keywords) {
		if name != "PGDATABASE" { // which the placement says
			own = append(own, name)
		}
	}
	return own
}

// renamed changes an error about one of the default server's variables into an error about a further server's.
func renamed(err error, server string) error {
	setting, ok := errors.AsType[*Error](err)
	if !ok {
		return err
	}
	rename := func(text string) string { return defaultVariable.ReplaceAllString(text, "SERVER_"+server+"_$1") }
	return &Error{rename(setting.Variable), setting.Value, rename(setting.Reason)}
}

// other returns the connection to a further server: c, overridden by the server's own variables.
func (c *connection) other(own map[string]string) (*connection, error) {
	allowed := ownVariables()
	for _, name := range slices.Sorted(maps.Keys(own)) {
		if !slices.Contains(allowed, name) {
			return nil, &Error{name, "", "is not supported: unset it"}
		}
	}
	other := *c
	other.private, other.runtime, other.owner, other.others = false, nil, nil, nil
	other.settings = maps.Clone(c.settings)
	if own["PGHOST"] != "" || own["PGHOSTADDR"] != "" || own["PGSERVICE"] != "" {
		delete(other.settings, "host")
		delete(other.settings, "hostaddr")
	}
	if err := other.apply(own); err != nil {
		return nil, err
	}
	if err := other.check(); err != nil {
		return nil, err
	}
	var err error
	other.replicas, err = other.newReplicas(own)
	return &other, err
}

// apply reads a server's own variables, and then its service, which overrides them.
func (c *connection) apply(own map[string]string) error {
	variables := map[string]string{"PGSERVICE": own["PGSERVICE"], "HOME": c.vars["HOME"], "PGSYSCONFDIR": c.vars["PGSYSCONFDIR"],
		"PGSERVICEFILE": cmp.Or(own["PGSERVICEFILE"], c.vars["PGSERVICEFILE"]),
		"PGPASSWORD":    own["PGPASSWORD"], "PGPASSWORD_FILE": own["PGPASSWORD_FILE"]}
	service, err := readService(variables)
	if err != nil {
		return err
	}
	delete(service, "servicefile") // keep the default server's, since pgx reads PGSERVICE from the process's environment
	delete(service, "dbname")
	for name, value := range own {
		if keyword, ok := keywords[name]; ok {
			c.settings[keyword] = value
		}
	}
	maps.Copy(c.settings, service)
	delete(c.settings, "password")
	c.ownerName = cmp.Or(own["PGOWNER"], c.ownerName)
	if own["PGPASSWORD"] != "" || own["PGPASSWORD_FILE"] != "" || service["password"] != "" {
		if c.password, err = readSecret(variables, "PGPASSWORD", "", service["password"]); err != nil {
			return err
		}
	}
	if own["PGOWNERPASSWORD"] != "" || own["PGOWNERPASSWORD_FILE"] != "" {
		if c.ownerPassword, err = readSecret(own, "PGOWNERPASSWORD", "", ""); err != nil {
			return err
		}
	}
	if text := own["PGMAX_CONNS"]; text != "" {
		if c.maxConns, err = strconv.Atoi(text); err != nil || c.maxConns < 2 {
			return &Error{"PGMAX_CONNS", text, "must be a whole number of at least 2"}
		}
	}
	return nil
}

// checkServers refuses two names for one address, since two tenants could then get the same database.
func (c Config) checkServers() error {
	names := map[string]string{}
	for _, server := range c.Servers() {
		if server.conn.runtime == nil { // the private one, before it is started
			continue
		}
		variable := "SERVER_" + strings.ToUpper(server.Name) + "_HOST"
		address := fmt.Sprintf("%s port %d", server.conn.runtime.Host, server.conn.runtime.Port)
		if other, taken := names[address]; taken {
			return &Error{variable, server.conn.settings["host"], "is the address of " + other + " too: each server has one name"}
		}
		names[address] = cmp.Or(server.Name, "the default server")
		if err := checkRoles(server.User, server.Owner); err != nil {
			return renamed(err, strings.ToUpper(server.Name))
		}
	}
	return nil
}
