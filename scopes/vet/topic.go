package vet

import (
	"fmt"
	"go/constant"
	"go/token"
	"go/types"
	"regexp"
	"strings"

	"golang.org/x/tools/go/ssa"
)

// topic is what a chain of GORM calls is about.
type topic struct {
	models    []types.Type
	relations []string // names of relations, or raw joins
	table     string   // the argument of Table, quoted
	rawSQL    bool     // raw SQL that reads or writes rows
}

// note takes in what a method of *gorm.DB or of gorm.Interface says with its arguments, the receiver aside.
func (tp *topic) note(method string, args []ssa.Value) {
	if len(args) == 0 {
		return
	}
	if made, ok := args[0].(*ssa.MakeInterface); ok && modelMethods[method] {
		tp.models = append(tp.models, made.X.Type())
	}
	if name, ok := constantText(args[0]); ok && relationMethods[method] {
		tp.relations = append(tp.relations, name)
	}
	switch {
	case method == "Table":
		name, _ := constantText(args[0])
		tp.table = fmt.Sprintf("table %q", name)
	case method == "Raw" || method == "Exec":
		tp.rawSQL = tp.rawSQL || touchesRows(args[0])
	}
}

// name returns what the statement is about, for people; "" if it is about nothing that needs a tenant, as far as can
// be seen. It is what scopes would say at run time.
func (tp *topic) name() string {
	for _, m := range tp.models {
		if name := tenantedName(m); name != "" {
			return name
		}
		if name := tp.relatedName(m); name != "" {
			return name
		}
	}
	switch {
	case tp.rawSQL:
		return "raw SQL"
	case tp.table != "":
		return tp.table
	default:
		return ""
	}
}

// relatedName returns the name of a tenanted model that a relation of model leads to.
func (tp *topic) relatedName(model types.Type) string {
	n := modelType(model)
	if n == nil {
		return ""
	}
	s := n.Underlying().(*types.Struct)
	for i := range s.NumFields() {
		for _, relation := range tp.relations {
			if first, _, _ := strings.Cut(relation, "."); first == s.Field(i).Name() {
				return tenantedName(s.Field(i).Type())
			}
		}
	}
	return ""
}

var (
	// rowWords occur in SQL that reads or writes rows of a table.
	rowWords = regexp.MustCompile(`(?i)\b(from|into|update|join|table|copy|merge|call)\b`)
	// utilities begin the SQL that needs no tenant: definitions, grants, settings.
	utilities = regexp.MustCompile(`(?is)^\s*(create|alter|drop|comment|grant|revoke|set|reset|show|analyze|vacuum|` +
		`begin|commit|rollback|savepoint|release|listen|notify|discard)\b`)
)

// touchesRows reports whether SQL reads or writes rows of a table. SQL that is put together at run time does,
// unless it begins as a definition.
func touchesRows(sql ssa.Value) bool {
	text, whole := constantText(sql)
	if utilities.MatchString(text) {
		return false
	}
	return !whole || rowWords.MatchString(text)
}

// constantText returns the constant text that a string begins with, and whether that is the whole of it.
func constantText(v ssa.Value) (text string, whole bool) {
	switch v := v.(type) {
	case *ssa.Const:
		if v.Value != nil && v.Value.Kind() == constant.String {
			return constant.StringVal(v.Value), true
		}
	case *ssa.BinOp:
		if v.Op == token.ADD {
			text, _ = constantText(v.X)
			return text, false
		}
	case *ssa.Call:
		if isFunc(callee(v), "fmt", "Sprintf") {
			text, _ = constantText(v.Call.Args[0])
			return text, false
		}
	}
	return "", false
}
