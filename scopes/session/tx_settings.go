package session

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"tenanted/scopes"
)

// txSettings are the settings of a transaction, in force before its first statement.
type txSettings struct {
	tenant   scopes.TenantID // zero for all tenants
	schema   string          // empty: the connection's own search_path
	readOnly bool
}

// settingsFor returns the settings for a statement with this context on this connection. It fails when the context
// has no tenant, or one who lives in another database.
func (c *conn) settingsFor(ctx context.Context) (txSettings, error) {
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
	return txSettings{tenant: t.ID, schema: t.Schema}, nil
}

// The statements that apply the settings to the rest of the transaction. Their parameters are the settings' values, in
// order.
const (
	setTenant          = "select set_config('" + Setting + "', $1, true)"
	setTenantAndSchema = "select set_config('" + Setting + "', $1, true), set_config('search_path', $2, true)"
	setReadOnly        = "select set_config('transaction_read_only', $1, true)"
	setReadOnlySchema  = "select set_config('transaction_read_only', $1, true), set_config('search_path', $2, true)"
)

// sql returns the statement that applies the settings, to be prepared once for a connection.
func (s txSettings) sql() string {
	switch {
	case s.readOnly && s.schema != "":
		return setReadOnlySchema
	case s.readOnly:
		return setReadOnly
	case s.schema != "":
		return setTenantAndSchema
	default:
		return setTenant
	}
}

// values returns the values of the statement's parameters, in the text format.
func (s txSettings) values() [][]byte {
	values := make([][]byte, 1, 2)
	if s.readOnly {
		values[0] = []byte("on")
	} else {
		values[0] = strconv.AppendInt(nil, int64(s.tenant), 10)
	}
	if s.schema != "" {
		// pg_temp last: where it is not named, temporary tables come first and could hide the tenant's.
		values = append(values, []byte(pgx.Identifier{s.schema}.Sanitize()+", pg_temp"))
	}
	return values
}

// begin returns "begin" and the settings as one message of the simple protocol.
func (s txSettings) begin(begin string) string {
	sql := s.sql()
	for i, v := range s.values() {
		sql = strings.Replace(sql, "$"+strconv.Itoa(i+1), quoteLiteral(string(v)), 1)
	}
	return begin + "; " + sql
}

// String names whom the settings are for, in an error message.
func (s txSettings) String() string {
	if s.readOnly {
		return "all tenants"
	}
	if s.schema == "" {
		return fmt.Sprintf("tenant %d", s.tenant)
	}
	return fmt.Sprintf("tenant %d in schema %q", s.tenant, s.schema)
}

// quoteLiteral quotes for the simple protocol, whatever standard_conforming_strings says.
func quoteLiteral(s string) string {
	quoted := "'" + strings.ReplaceAll(s, "'", "''") + "'"
	if strings.Contains(s, `\`) {
		return " E" + strings.ReplaceAll(quoted, `\`, `\\`)
	}
	return quoted
}
