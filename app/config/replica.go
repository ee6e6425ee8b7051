package config

import (
	"cmp"
	"maps"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Replicas returns the runtime role's connections to the server's streaming replicas, copies at each call, to a database that
// each server has.
func (s Server) Replicas() []*pgx.ConnConfig {
	var replicas []*pgx.ConnConfig
	for _, replica := range s.conn.replicas {
		to := replica.fresh(replica.runtime)
		to.Database = maintenanceDatabase
		replicas = append(replicas, to)
	}
	return replicas
}

// maintenanceDatabase is one that each server has, unless somebody has dropped it.
const maintenanceDatabase = "postgres"

// newReplicas returns the connections to the server's streaming replicas, which PGREPLICA_HOST lists. Each is c's but for host and port.
func (c *connection) newReplicas(own map[string]string) ([]*connection, error) {
	list, ports := own["PGREPLICA_HOST"], strings.Split(own["PGREPLICA_PORT"], ",")
	switch {
	case list == "" && own["PGREPLICA_PORT"] != "":
		return nil, &Error{Variable: "PGREPLICA_HOST", Reason: "is not set: name the replicas that PGREPLICA_PORT is about"}
	case list == "":
		return nil, nil
	case c.private:
		return nil, &Error{"PGREPLICA_HOST", list, "names a replica of the private PostgreSQL, which has none: name the server too, by PGHOST"}
	}
	hosts := strings.Split(list, ",")
	if len(ports) != 1 && len(ports) != len(hosts) {
		return nil, &Error{"PGREPLICA_PORT", own["PGREPLICA_PORT"], "must be one port, or as many as PGREPLICA_HOST has hosts"}
	}
	var replicas []*connection
	for i, host := range hosts {
		replica := c.replica(strings.TrimSpace(host), strings.TrimSpace(ports[min(i, len(ports)-1)]))
		switch {
		case replica.settings["host"] == "":
			return nil, &Error{"PGREPLICA_HOST", list, "has an empty name: separate hosts by one comma"}
		case replica.settings["host"] == c.settings["host"] && replica.settings["port"] == c.settings["port"]:
			return nil, &Error{"PGREPLICA_HOST", list, "has the server itself: name its replicas"}
		case replica.checkPort() != nil:
			return nil, &Error{"PGREPLICA_PORT", own["PGREPLICA_PORT"], "must be from 1 to 65535"}
		}
		replicas = append(replicas, replica)
	}
	return replicas, nil
}

// replica returns the connection to a replica at that host and port, by default the server's first.
func (c *connection) replica(host, port string) *connection {
	replica := *c
	replica.others, replica.replicas = nil, nil
	replica.settings = maps.Clone(c.settings)
	delete(replica.settings, "hostaddr")
	delete(replica.settings, "target_session_attrs")
	first, _, _ := strings.Cut(c.settings["port"], ",")
	replica.settings["host"], replica.settings["port"] = host, cmp.Or(port, first)
	return &replica
}
