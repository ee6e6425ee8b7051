package citus

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Suits reports, on plain PostgreSQL, whether a Citus cluster would send a statement to one node whole: each of the tables that it
// reads must have its tenant fixed by a condition, be it by a join on it. It explains the statement, without executing it, over
// the connection of the tables' owner, whom no policy gives that condition. An error says which table is read otherwise.
func Suits(ctx context.Context, conn *pgx.Conn, tables []Table, sql string, args ...any) error {
	if withoutColumns.MatchString(sql) {
		return fmt.Errorf("a SELECT without columns does not reach the workers: name one: %s", sql)
	}
	var explained []struct{ Plan scan }
	if err := conn.QueryRow(ctx, "explain (format json) "+sql, args...).Scan(&explained); err != nil {
		return fmt.Errorf("explain %s: %w", sql, err)
	}
	fixed := map[string]*regexp.Regexp{}
	for _, t := range tables {
		fixed[t.Name] = regexp.MustCompile(`^\(*([\w"]+\.)?"?` + regexp.QuoteMeta(t.Column) + `"?\)?(::text)? = ['\d-]`)
	}
	if table := explained[0].Plan.scattered(fixed); table != "" {
		return fmt.Errorf("table %s is read without its tenant: %s", table, sql)
	}
	return nil
}

var withoutColumns = regexp.MustCompile(`(?i)\bselect\s+from\b`)

// scan is a part of EXPLAIN (FORMAT JSON).
type scan struct {
	Type     string `json:"Node Type"`
	Relation string `json:"Relation Name"`
	Index    string `json:"Index Cond"`
	Recheck  string `json:"Recheck Cond"`
	Filter   string
	Plans    []scan
}

// scattered returns a table that is read without the condition which is in fixed, or nothing.
func (s scan) scattered(fixed map[string]*regexp.Regexp) string {
	condition := fixed[s.Relation]
	if condition != nil && s.Type != "ModifyTable" && !s.fulfils(condition) {
		return s.Relation
	}
	for _, child := range s.Plans {
		if table := child.scattered(fixed); table != "" {
			return table
		}
	}
	return ""
}

// fulfils reports whether all rows that are read fulfil a condition.
func (s scan) fulfils(condition *regexp.Regexp) bool {
	for _, printed := range []string{s.Index, s.Recheck, s.Filter} {
		for _, part := range conjuncts(printed) {
			if condition.MatchString(part) && !strings.Contains(part, " OR ") {
				return true
			}
		}
	}
	return false
}

// conjuncts splits a condition as PostgreSQL prints it, "((a = 1) AND (b = 2))", at the outermost AND.
func conjuncts(printed string) (parts []string) {
	depth, from := 0, 0
	for i, r := range printed {
		switch {
		case r == '(':
			depth++
		case r == ')':
			depth--
		case depth == 1 && strings.HasPrefix(printed[i:], " AND "):
			parts = append(parts, printed[from:i])
			from = i + len(" AND ")
		}
	}
	return append(parts, printed[from:])
}
