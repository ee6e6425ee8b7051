package scopes

import (
	"reflect"
	"slices"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/schema"
)

// checkQuery looks at the row that GORM finds by its key.
func checkQuery(_ *gorm.DB, s statement) {
	if s.id.nobody() && s.ReflectValue.Kind() == reflect.Struct {
		s.requireTenant("query", s.Dest)
	}
}

// confine restricts the statement to its tenant's rows.
func confine(_ *gorm.DB, s statement) {
	if s.id.nobody() || s.SQL.Len() > 0 {
		return
	}
	for _, f := range s.fields {
		addCondition(s.Statement, condition{field: f, id: s.id})
	}
}

// addCondition puts the condition on the tenant before all others, and the others into parentheses of their
// own, so that no OR among them reaches around it. Doing it again changes nothing, unless conditions
// were added in between. A statement that carries another tenant's condition was built under that tenant: it
// fails.
func addCondition(stmt *gorm.Statement, own condition) {
	if confinedInside(stmt, own.id) {
		return
	}
	c := stmt.Clauses["WHERE"]
	if c.Builder != nil {
		fail(stmt.DB, errUnknownWhere)
		return
	}
	var rest []clause.Expression
	if where, ok := c.Expression.(clause.Where); ok {
		rest = where.Exprs
	} else if c.Expression != nil {
		rest = []clause.Expression{c.Expression}
	}
	if named, found := otherTenant(rest, own.field, own.id); found {
		fail(stmt.DB, &TenantMismatchError{Model: own.field.Schema.Name, Value: named, Want: own.id.key})
		return
	}
	if len(rest) > 0 && rest[0] == own && (len(rest) == 1 || len(rest) == 2 && grouped(rest[1])) {
		return
	}
	exprs := append(make([]clause.Expression, 0, 2), own)
	for ; len(rest) > 0; rest = rest[1:] {
		earlier, ok := rest[0].(condition)
		if !ok {
			exprs = append(exprs, group(rest))
			break
		}
		if earlier.field != own.field {
			exprs = append(exprs, earlier)
		}
	}
	c.Name, c.Expression = "WHERE", clause.Where{Exprs: exprs}
	stmt.Clauses["WHERE"] = c
}

// condition is "column = tenant", on the statement's table or its alias.
type condition struct {
	field   *schema.Field
	id      tenantID
	literal bool // the tenant is part of the text, and not a variable
}

func (c condition) Build(b clause.Builder) {
	b.WriteQuoted(clause.Column{Table: clause.CurrentTable, Name: c.field.DBName})
	_, _ = b.WriteString(" = ")
	if c.literal {
		_, _ = b.WriteString(c.id.literal())
		return
	}
	b.AddVar(b, c.id.value)
}

// group returns conditions as one that is always in parentheses, or cannot need them. It keeps GORM's own types
// where it can, since FirstOrCreate reads the values of a new row from them.
func group(exprs []clause.Expression) clause.Expression {
	if len(exprs) != 1 {
		return clause.AndConditions{Exprs: andFirst(exprs)}
	}
	if grouped(exprs[0]) {
		return exprs[0]
	}
	if and, ok := exprs[0].(clause.AndConditions); ok {
		return group(and.Exprs)
	}
	return parenthesised{exprs[0]}
}

// andFirst puts a condition first that is not an Or, as GORM does where it builds a WHERE: Or(a).Where(b) means b or a.
func andFirst(exprs []clause.Expression) []clause.Expression {
	first := slices.IndexFunc(exprs, func(e clause.Expression) bool {
		or, ok := e.(clause.OrConditions)
		return !ok || len(or.Exprs) > 1
	})
	if first > 0 {
		exprs = slices.Clone(exprs)
		exprs[0], exprs[first] = exprs[first], exprs[0]
	}
	return exprs
}

// grouped reports whether group has nothing to do.
func grouped(e clause.Expression) bool {
	switch e := e.(type) {
	case parenthesised:
		return true
	case clause.AndConditions:
		return len(e.Exprs) != 1
	case clause.Eq:
		return isValue(e.Value)
	case clause.IN:
		return !slices.ContainsFunc(e.Values, func(v any) bool { return !isValue(v) })
	default:
		return false
	}
}

// isValue reports whether v goes to the server as a variable. Anything else is text, and may contain an OR.
func isValue(v any) bool {
	switch v.(type) {
	case clause.Expression, clause.Interface, gorm.Valuer, *gorm.DB:
		return false
	default:
		return true
	}
}

// parenthesised writes its expression in parentheses. GORM does so only where it finds " OR " in the text,
// which a line break around the word defeats.
type parenthesised struct{ clause.Expression }

func (p parenthesised) Build(b clause.Builder) {
	_ = b.WriteByte('(')
	clause.Where{Exprs: []clause.Expression{p.Expression}}.Build(b)
	_ = b.WriteByte(')')
}

// groupJoinConditions puts the caller's conditions of each joined relation into parentheses. GORM writes them
// behind the condition on the tenant, where an OR would reach around it.
func groupJoinConditions(stmt *gorm.Statement) {
	for i := range stmt.Joins {
		if on := stmt.Joins[i].On; on != nil && len(on.Exprs) > 0 {
			stmt.Joins[i].On = &clause.Where{Exprs: []clause.Expression{group(on.Exprs)}}
		}
	}
}

// otherTenant looks for a condition that demands another tenant than id: one left from an earlier use of the
// statement, or an equality of the caller's, also within a composite key.
func otherTenant(exprs []clause.Expression, f *schema.Field, id tenantID) (named string, found bool) {
	for _, e := range exprs {
		switch e := e.(type) {
		case condition:
			if e.field.Schema == f.Schema && !e.id.is(id) {
				return e.id.key, true
			}
		case clause.AndConditions:
			named, found = otherTenant(e.Exprs, f, id)
		case parenthesised:
			named, found = otherTenant([]clause.Expression{e.Expression}, f, id)
		case clause.Eq:
			if isTenantColumn(e.Column, f) {
				named, found = keyText(e.Value), id.differs(f, e.Value)
			}
		case clause.IN:
			named, found = otherTenantIn(e, f, id)
		}
		if found {
			return named, true
		}
	}
	return "", false
}

// otherTenantIn is otherTenant for "column IN (…)" and "(column, …) IN ((…), …)". The first is a demand for another
// tenant when no value names id. The second is GORM's for the keys of rows, none of which may be another tenant's; a
// row that was read without its tenant has none.
func otherTenantIn(in clause.IN, f *schema.Field, id tenantID) (named string, found bool) {
	if columns, composite := in.Column.([]clause.Column); composite {
		at := slices.IndexFunc(columns, func(c clause.Column) bool { return isTenantColumn(c, f) })
		return otherTenantInKeys(in.Values, at, f, id)
	}
	if !isTenantColumn(in.Column, f) {
		return "", false
	}
	for _, v := range in.Values {
		if !id.differs(f, v) {
			return "", false
		}
		named, found = keyText(v), true
	}
	return named, found
}

func otherTenantInKeys(keys []any, at int, f *schema.Field, id tenantID) (named string, found bool) {
	for _, v := range keys {
		if key, ok := v.([]any); ok && at >= 0 && at < len(key) && id.judge(f, key[at]) == otherTenants {
			return keyText(key[at]), true
		}
	}
	return "", false
}

// isTenantColumn reports whether a condition's column is the tenant column of the field's own table.
func isTenantColumn(column any, f *schema.Field) bool {
	switch c := column.(type) {
	case string:
		return c == f.DBName || c == f.Schema.Table+"."+f.DBName
	case clause.Column:
		return c.Name == f.DBName && (c.Table == "" || c.Table == clause.CurrentTable || c.Table == f.Schema.Table)
	default:
		return false
	}
}
