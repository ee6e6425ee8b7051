package session

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"tenanted/scopes"
)

// carry is what a transaction must know before its first statement.
type carry struct {
	tenant   scopes.TenantID // zero for all tenants
	schema   string          // empty: the connection's own search_path
	readOnly bool
}

// carryFor returns what a statement with this context carries on this connection. It fails when the context
// has no tenant, or one who lives in another database.
func (c *Conn) carryFor(ctx context.Context) (carry, error) {
	if c.allTenants {
		if !scopes.IsAllTenants(ctx) {
			return carry{}, fmt.Errorf("the connection for all tenants serves only contexts from scopes.AllTenants")
		}
		return carry{readOnly: true}, nil
	}
	t, err := scopes.FromContext(ctx)
	if err != nil {
		return carry{}, err
	}
	if t.Database != "" && t.Database != c.database {
		return carry{}, fmt.Errorf("%v lives in database %q, this connection is to %q", t, t.Database, c.database)
	}
	return carry{tenant: t.ID, schema: t.Schema}, nil
}

// The statements that put a carry in force for the rest of the transaction. Their parameters are the carry's
// values, in order.
const (
	setTenant          = "select set_config('" + Setting + "', $1, true)"
	setTenantAndSchema = "select set_config('" + Setting + "', $1, true), set_config('search_path', $2, true)"
	setReadOnly        = "select set_config('transaction_read_only', $1, true)"
	setReadOnlySchema  = "select set_config('transaction_read_only', $1, true), set_config('search_path', $2, true)"
)

// sql returns the statement that puts the carry in force, to be prepared once for a connection.
func (y carry) sql() string {
	switch {
	case y.readOnly && y.schema != "":
		return setReadOnlySchema
	case y.readOnly:
		return setReadOnly
	case y.schema != "":
		return setTenantAndSchema
	default:
		return setTenant
	}
}

// values returns the values of the statement's parameters, in the text format.
func (y carry) values() [][]byte {
	values := make([][]byte, 1, 2)
	if y.readOnly {
		values[0] = []byte("on")
	} else {
		values[0] = strconv.AppendInt(nil, int64(y.tenant), 10)
	}
	if y.schema != "" {
		// pg_temp last: where it is not named, temporary tables come first and could hide the tenant's.
		values = append(values, []byte(pgx.Identifier{y.schema}.Sanitize()+", pg_temp"))
	}
	return values
}

// begin returns "begin" and the carry as one message of the simple protocol.
func (y carry) begin(begin string) string {
	sql := y.sql()
	for i, v := range y.values() {
		sql = strings.Replace(sql, "$"+strconv.Itoa(i+1), quoteLiteral(string(v)), 1)
	}
	return begin + "; " + sql
}

// String names what is carried, for an error message.
func (y carry) String() string {
	if y.readOnly {
		return "all tenants"
	}
	if y.schema == "" {
		return fmt.Sprintf("tenant %d", y.tenant)
	}
	return fmt.Sprintf("tenant %d in schema %q", y.tenant, y.schema)
}

// quoteLiteral quotes for the simple protocol, whatever standard_conforming_strings says.
func quoteLiteral(s string) string {
	quoted := "'" + strings.ReplaceAll(s, "'", "''") + "'"
	if strings.Contains(s, `\`) {
		return " E" + strings.ReplaceAll(quoted, `\`, `\\`)
	}
	return quoted
}
