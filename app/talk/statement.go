package talk

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Statement is one that PostgreSQL executed, or refused.
type Statement struct {
	SQL    string
	Args   []string // as SQL would write them
	Conn   int      // which connection it went over, from 1
	Answer string   // the command's tag, or the error
}

// Piece is a part of a statement's text.
type Piece struct {
	Text   string
	Tenant bool // it names the tenant, or where the tenant is
}

var parameter = regexp.MustCompile(`\$\d+`)

// preparedName is the comment by which the session layer tells its prepared statements apart.
var preparedName = regexp.MustCompile(`\n-- session_[0-9a-f]+$`)

// Text returns the statement with its arguments in their places.
func (s Statement) Text() string {
	return parameter.ReplaceAllStringFunc(preparedName.ReplaceAllString(s.SQL, ""), func(p string) string {
		n, _ := strconv.Atoi(p[1:])
		if n < 1 || n > len(s.Args) {
			return p
		}
		return s.Args[n-1]
	})
}

// Failed reports whether the answer is an error.
func (s Statement) Failed() bool { return strings.HasPrefix(s.Answer, "ERROR") }

// tenantPart is what in a statement is the tenant's: the settings, and conditions on the tenant's column.
var tenantPart = regexp.MustCompile(`set_config\('(?:app\.tenant_id|search_path)', '(?:[^']|'')*', (?:true|false)\)` +
	`|(?:"?\w+"?\.)?"?account_id"? = (?:'?\d+'?|(?:"?\w+"?\.)?"?account_id"?)` +
	`|"?accounts"?\."?id"? = '?\d+'?`)

// Pieces returns the text with the tenant's parts marked.
func (s Statement) Pieces() []Piece { return Marked(s.Text()) }

// Marked returns SQL with the tenant's parts marked.
func Marked(sql string) (pieces []Piece) {
	at := 0
	for _, m := range tenantPart.FindAllStringIndex(sql, -1) {
		if m[0] > at {
			pieces = append(pieces, Piece{Text: sql[at:m[0]]})
		}
		pieces = append(pieces, Piece{Text: sql[m[0]:m[1]], Tenant: true})
		at = m[1]
	}
	if at < len(sql) {
		pieces = append(pieces, Piece{Text: sql[at:]})
	}
	return pieces
}

// confined reports whether a statement has a condition on the tenant.
func (s Statement) confined() bool {
	for _, p := range s.Pieces() {
		if p.Tenant && !strings.HasPrefix(p.Text, "set_config") {
			return true
		}
	}
	return false
}

func quoteLiteral(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// NewStatement returns a statement as a pgx tracer sees it.
func NewStatement(sql string, args []any) Statement {
	s := Statement{SQL: sql}
	for _, arg := range args {
		s.Args = append(s.Args, argument(arg))
	}
	return s
}

// argument writes a value as SQL would.
func argument(v any) string {
	switch v := v.(type) {
	case nil:
		return "NULL"
	case bool, int, int16, int32, int64, float64:
		return fmt.Sprint(v)
	default:
		return quoteLiteral(fmt.Sprint(v))
	}
}

// IsJoin reports whether a piece compares two columns, as a join by the tenant's column does.
func (p Piece) IsJoin() bool { return joinPart.MatchString(p.Text) }

var joinPart = regexp.MustCompile(`= .*account_id"?$`)
