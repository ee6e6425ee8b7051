package config

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/jackc/pgx/v5"

	"tenanted/scopes"
)

// secret is where a password is. It is read when a connection is opened, so that it may change while the program runs. The zero
// value is none: then PGPASSFILE may have one.
type secret struct {
	text     string
	variable string            // that names file
	file     string            // which has the password and nothing else
	service  map[string]string // the variables of a service whose password it is
}

// readSecret returns the secret of a variable: its value, or that of DATABASE_URL, the file that the variable with _FILE names, or a
// service's, which wins as in libpq.
func readSecret(vars map[string]string, variable, ofURL, ofService string) (secret, error) {
	text, file := vars[variable], vars[variable+"_FILE"]
	if ofURL != "" {
		text = ofURL
	}
	switch {
	case file != "" && (text != "" || ofService != ""):
		return secret{}, &Error{variable + "_FILE", file, "is set beside a password: unset one of them"}
	case file != "":
		return secret{variable: variable + "_FILE", file: file}, nil
	case ofService != "":
		return secret{service: vars}, nil
	}
	return secret{text: text}, nil
}

// read returns the password of the moment.
func (s secret) read() (string, error) {
	switch {
	case s.file != "":
		content, err := os.ReadFile(s.file)
		if err != nil {
			return "", &Error{s.variable, s.file, "cannot be read: " + errors.Unwrap(err).Error()}
		}
		return strings.TrimRight(string(content), "\r\n"), nil
	case s.service != nil:
		service, err := readService(s.service)
		return service["password"], err
	}
	return s.text, nil
}

func (c *connection) passwordOf(role string) (string, error) {
	if role == c.ownerName {
		return c.ownerPassword.read()
	}
	return c.password.read()
}

// renew reads anew what may change of to's settings while the program runs: the password, from wherever it is, and the
// certificates of TLS.
func (c *connection) renew(to *pgx.ConnConfig) error {
	fresh, err := c.role(to.User, to.Database)
	if err == nil && fresh.Password == "" { // a line of PGPASSFILE for the default database holds for the tenants' too
		fresh, err = c.role(to.User, c.settings["dbname"])
	}
	if err != nil {
		return fmt.Errorf("%w: %w", scopes.ErrUnavailable, err)
	}
	to.Password, to.TLSConfig, to.Fallbacks = fresh.Password, fresh.TLSConfig, fresh.Fallbacks
	return nil
}

// BeforeConnect reads anew what may change while the program runs, for a connection to the server or one of its replicas: the
// password, be it in a file, in PGPASSFILE or of a service, and the certificates of TLS.
func (s Server) BeforeConnect(_ context.Context, to *pgx.ConnConfig) error {
	for _, replica := range s.conn.replicas {
		if replica.runtime.Host == to.Host && replica.runtime.Port == to.Port {
			return replica.renew(to)
		}
	}
	return s.conn.renew(to)
}

// fresh returns a copy of a role's settings with the credentials of the moment or, where they cannot be read, with those before.
func (c *connection) fresh(of *pgx.ConnConfig) *pgx.ConnConfig {
	to := of.Copy()
	_ = c.renew(to) // the server says so too, by refusing the login
	return to
}
