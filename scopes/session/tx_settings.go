package session

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"tenanted/scopes"
)

// txSettings are the settings of a transaction, in force before its first statement.
type txSettings struct {
	tenant   string // its key; empty for all tenants
	schema   string // empty: the connection's own search_path
	readOnly bool
	reading  bool // the tenant's statements are from a context of scopes.Reading
}

// settingsFor returns the settings for a statement with this context on this connection. It fails when the context
// has no tenant, or one who lives in another database.
func (c *core) settingsFor(ctx context.Context) (txSettings, error) {
	if c.allTenants {
		if !scopes.IsAllTenants(ctx) {
			return txSettings{}, fmt.Errorf("the connection for all tenants serves only contexts from scopes.AllTenants")
		}
		return txSettings{readOnly: true}, nil
	}
	t, err := scopes.FromContext(ctx)
	if err != nil {
		return txSettings{}, err
	}
	if t.Database != "" && t.Database != c.database {
		return txSettings{}, fmt.Errorf("%v lives in database %q, this connection is to %q", t, t.Database, c.database)
	}
	return txSettings{tenant: t.Key(), schema: t.Schema, reading: scopes.IsReading(ctx)}, nil
}

// settingsSQL returns the statement that applies settings to the rest of the transaction, to be prepared once for a
// connection. Its parameters are [core.settingsValues].
func (c *Connector) settingsSQL(withSchema bool) string {
	name := Setting
	if c.allTenants {
		name = "transaction_read_only"
	}
	sql := "select set_config('" + name + "', $1, true)"
	if withSchema {
		sql += ", set_config('search_path', $2, true)"
	}
	if name := c.options.ApplicationName; name != "" && c.allTenants {
		sql += ", set_config('application_name', " + quoteLiteral(name+" all tenants") + ", true)"
	} else if name != "" {
		sql += ", set_config('application_name', " + quoteLiteral(name+" ") + " || $1, true)"
	}
	return sql + setTimeout("statement_timeout", c.options.StatementTimeout) + setTimeout("lock_timeout", c.options.LockTimeout)
}

// path returns what follows a tenant's own schema in the search_path.
func (o Options) path() string {
	path := ""
	for _, schema := range o.Schemas {
		path += ", " + pgx.Identifier{schema}.Sanitize()
	}
	return path + ", pg_temp" // last: where it is not named, temporary tables come first and could hide the tenant's
}

func setTimeout(name string, timeout time.Duration) string {
	if timeout <= 0 {
		return ""
	}
	milliseconds := (timeout + time.Millisecond - 1) / time.Millisecond
	return fmt.Sprintf(", set_config('%s', '%d', true)", name, milliseconds)
}

// setReadOnly follows the other settings for a tenant's statements that only read.
const setReadOnly = ", set_config('transaction_read_only', 'on', true)"

// settingsSQL returns the statement that applies s.
func (c *core) settingsSQL(s txSettings) string {
	switch {
	case s.reading && s.schema != "":
		return c.setReadingWithSchema
	case s.reading:
		return c.setReading
	case s.schema != "":
		return c.setWithSchema
	}
	return c.set
}

// settingsValues returns the values of the statement's parameters, in the text format.
func (c *core) settingsValues(s txSettings) [][]byte {
	values := make([][]byte, 1, 2)
	if s.readOnly {
		values[0] = []byte("on")
	} else {
		values[0] = []byte(s.tenant)
	}
	if s.schema != "" {
		values = append(values, []byte(pgx.Identifier{s.schema}.Sanitize()+c.path))
	}
	return values
}

// setLocal returns the statement that sets the tenant for this server and for those that it passes SET LOCAL on to.
func (s txSettings) setLocal() string {
	return "set local " + Setting + " = " + escapeLiteral(s.tenant)
}

// escapeLiteral quotes text for a statement that takes no parameters. All but ASCII letters and digits are written by their
// numbers, so that no encoding of the connection and no setting of the server can find a quote or a backslash in it.
func escapeLiteral(text string) string {
	var literal strings.Builder
	literal.WriteString("E'")
	for _, r := range text {
		if 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-' || r == '_' {
			literal.WriteRune(r)
		} else {
			fmt.Fprintf(&literal, `\U%08X`, r)
		}
	}
	return literal.String() + "'"
}

// String names whom the settings are for, in an error message.
func (s txSettings) String() string {
	if s.readOnly {
		return "all tenants"
	}
	if s.schema == "" {
		return fmt.Sprintf("tenant %s", s.tenant)
	}
	return fmt.Sprintf("tenant %s in schema %q", s.tenant, s.schema)
}

// quoteLiteral quotes for the simple protocol, whatever standard_conforming_strings says.
func quoteLiteral(s string) string {
	quoted := "'" + strings.ReplaceAll(s, "'", "''") + "'"
	if strings.Contains(s, `\`) {
		return " E" + strings.ReplaceAll(quoted, `\`, `\\`)
	}
	return quoted
}
