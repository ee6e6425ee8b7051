package scopes

import (
	"database/sql/driver"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/schema"
)

// GORM writes a list of composite keys, as for a preload or a delete of many rows, as (tenant, id) IN ((1,2),(1,3),…).
// PostgreSQL expands that into an OR of ANDs: 7,000 keys take seconds, and 8,000 overflow its stack. The tenant is the
// same in all keys, so the list is one of ids, and is sent as one array.

// rewriteKeys has the lists of keys in each WHERE, and in the ON of each join, rewritten when GORM builds it. Only then
// are all conditions there: GORM adds the keys of a delete or update at the last moment.
func rewriteKeys(db *gorm.DB) {
	extendBuilder(db, "WHERE", func(e clause.Expression, stmt *gorm.Statement) clause.Expression {
		if where, ok := e.(clause.Where); ok && slices.ContainsFunc(where.Exprs, rewritable) {
			return clause.Where{Exprs: rewritten(where.Exprs, stmt)}
		}
		return e
	})
	extendBuilder(db, "FROM", func(e clause.Expression, stmt *gorm.Statement) clause.Expression {
		from, ok := e.(clause.From)
		if !ok || len(from.Joins) == 0 {
			return e
		}
		from.Joins = slices.Clone(from.Joins)
		for i := range from.Joins {
			from.Joins[i].ON.Exprs = rewritten(from.Joins[i].ON.Exprs, stmt)
		}
		return from
	})
}

// extendBuilder changes what GORM builds a clause from.
func extendBuilder(db *gorm.DB, name string, change func(clause.Expression, *gorm.Statement) clause.Expression) {
	build, ok := db.ClauseBuilders[name]
	if !ok {
		build = func(c clause.Clause, b clause.Builder) { c.Build(b) }
	}
	db.ClauseBuilders[name] = func(c clause.Clause, b clause.Builder) {
		if stmt, ok := b.(*gorm.Statement); ok {
			c.Expression = change(c.Expression, stmt)
		}
		build(c, b)
	}
}

// rewritten returns conditions with their lists of keys and their negations rewritten.
func rewritten(exprs []clause.Expression, stmt *gorm.Statement) []clause.Expression {
	who, known := lookup(stmt.Context)
	if !known {
		return exprs
	}
	r := rewriter{stmt: stmt, tenant: who.confines()}
	for _, e := range exprs {
		own, ok := e.(condition)
		if !ok {
			break
		}
		r.own = append(r.own, own)
	}
	return r.all(exprs)
}

func rewritable(e clause.Expression) bool {
	switch e := e.(type) {
	case clause.IN:
		_, composite := e.Column.([]clause.Column)
		return composite && len(e.Values) > 0
	case clause.NotConditions:
		return true
	case clause.AndConditions:
		return slices.ContainsFunc(e.Exprs, rewritable)
	case clause.OrConditions:
		return slices.ContainsFunc(e.Exprs, rewritable)
	case parenthesised:
		return rewritable(e.Expression)
	default:
		return false
	}
}

// rewriter rewrites the conditions of a statement.
type rewriter struct {
	stmt   *gorm.Statement
	tenant tenantID    // or nobody for all
	own    []condition // on the tenant, which all rows fulfil
}

func (r rewriter) all(exprs []clause.Expression) []clause.Expression {
	exprs = slices.Clone(exprs)
	for i := range exprs {
		exprs[i] = r.one(exprs[i])
	}
	return exprs
}

func (r rewriter) one(e clause.Expression) clause.Expression {
	switch e := e.(type) {
	case clause.IN:
		if columns, ok := e.Column.([]clause.Column); ok && len(e.Values) > 0 {
			return r.list(columns, e)
		}
	case clause.NotConditions:
		return clause.NotConditions{Exprs: r.all(r.withoutOwn(e.Exprs))}
	case clause.AndConditions:
		return clause.And(r.all(r.withoutOwn(e.Exprs))...)
	case clause.OrConditions:
		return clause.OrConditions{Exprs: r.all(e.Exprs)}
	case parenthesised:
		return parenthesised{r.one(e.Expression)}
	}
	return e
}

// withoutOwn leaves the own tenant out of conditions beside it, which it adds nothing to. GORM negates each column of an
// example, Not(&Task{AccountID: 1, ID: 2}), and would look for rows of any tenant but the own one.
func (r rewriter) withoutOwn(exprs []clause.Expression) []clause.Expression {
	others := slices.DeleteFunc(slices.Clone(exprs), func(e clause.Expression) bool {
		eq, ok := e.(clause.Eq)
		return ok && r.isOwn(eq.Column, eq.Value)
	})
	if len(others) == 0 {
		return exprs
	}
	return others
}

// isOwn reports whether "column = value" is true of all rows of the statement.
func (r rewriter) isOwn(column, value any) bool {
	return slices.ContainsFunc(r.own, func(own condition) bool {
		return isTenantColumn(column, own.field) && own.id.judge(own.field, value) == ownTenant
	})
}

// list rewrites "(column, …) IN ((value, …), …)".
func (r rewriter) list(columns []clause.Column, in clause.IN) clause.Expression {
	keys, ok := r.keys(in.Values, columns)
	if !ok {
		return in
	}
	list := keyList{in: clause.IN{Column: in.Column, Values: keys}}
	for i, column := range columns {
		id, same := r.sameTenant(keys, column, i)
		if !same || len(columns) == 1 {
			continue
		}
		if !r.isOwn(column, id.value) {
			list.tenant = []clause.Expression{clause.Eq{Column: column, Value: id.value}}
		}
		list.in = without(i, columns, keys)
		break
	}
	return list
}

// keys returns the values of a list of keys, with the tenant where it is missing.
func (r rewriter) keys(values []any, columns []clause.Column) (keys []any, ok bool) {
	keys = make([]any, len(values))
	for i, v := range values {
		key, ok := v.([]any)
		if !ok || len(key) != len(columns) {
			return nil, false
		}
		keys[i] = r.key(key, columns)
	}
	return keys, true
}

// key returns a key with the tenant where it is missing, and refuses one of another tenant.
func (r rewriter) key(key []any, columns []clause.Column) []any {
	for i, part := range key {
		id, ok := r.tenantOf(part, columns[i])
		switch {
		case !ok || !id.nobody() && (r.tenant.nobody() || id.is(r.canonical(columns[i]))):
		case !id.nobody():
			fail(r.stmt.DB, &TenantMismatchError{Model: describe(r.stmt), Value: id.key, Want: r.tenant.key})
		case r.tenant.nobody():
			fail(r.stmt.DB, &TenantMissingError{Model: describe(r.stmt), Operation: "key", InValue: true})
		default:
			key = slices.Clone(key)
			key[i] = r.tenant.value
		}
	}
	return key
}

// tenantOf returns the tenant that a part of a key is: by its type, or by the column that it stands for.
func (r rewriter) tenantOf(part any, column clause.Column) (id tenantID, ok bool) {
	switch part := part.(type) {
	case TenantID:
		return idOf(part), true
	case *TenantID:
		return idOf(part), part != nil
	}
	f := r.field(column)
	if f == nil {
		return tenantID{}, false
	}
	switch (tenantID{}).judge(f, part) {
	case unknown:
		return tenantID{}, false
	case unset:
		return tenantID{}, true
	}
	return idOf(part).in(f), true
}

// field returns the tenant field that a column of the statement's table means, or nil.
func (r rewriter) field(column clause.Column) *schema.Field {
	if r.stmt.Schema == nil {
		return nil
	}
	for _, f := range tenantFields(r.stmt.Schema) {
		if isTenantColumn(column, f) {
			return f
		}
	}
	return nil
}

// canonical returns the statement's tenant in the form that a column has for it.
func (r rewriter) canonical(column clause.Column) tenantID {
	if f := r.field(column); f != nil {
		return r.tenant.in(f)
	}
	return r.tenant
}

// sameTenant returns the tenant that is the i-th part of all keys.
func (r rewriter) sameTenant(keys []any, column clause.Column, i int) (id tenantID, same bool) {
	for n, key := range keys {
		this, ok := r.tenantOf(key.([]any)[i], column)
		if !ok || n > 0 && this.key != id.key {
			return tenantID{}, false
		}
		id = this
	}
	return id, true
}

// without returns a list of keys without the i-th column.
func without(i int, columns []clause.Column, keys []any) clause.IN {
	rest := make([]any, len(keys))
	if len(columns) == 2 {
		for n, key := range keys {
			rest[n] = key.([]any)[1-i]
		}
		return clause.IN{Column: columns[1-i], Values: rest}
	}
	for n, key := range keys {
		rest[n] = slices.Delete(slices.Clone(key.([]any)), i, i+1)
	}
	return clause.IN{Column: slices.Delete(slices.Clone(columns), i, i+1), Values: rest}
}

// keyList is a list of keys, and the tenant that all of them have, unless the statement's own condition says so.
type keyList struct {
	tenant []clause.Expression
	in     clause.IN
}

// Build implements clause.Expression.
func (l keyList) Build(b clause.Builder) {
	_ = b.WriteByte('(')
	for _, e := range l.tenant {
		e.Build(b)
		_, _ = b.WriteString(clause.AndWithSpace)
	}
	l.buildList(b)
	_ = b.WriteByte(')')
}

// NegationBuild implements clause.NegationExpressionBuilder.
func (l keyList) NegationBuild(b clause.Builder) {
	_, _ = b.WriteString("NOT ")
	l.Build(b)
}

// buildList writes the list with an array for each column, if the values have a form that fits columns of their type.
func (l keyList) buildList(b clause.Builder) {
	if len(l.in.Values) == 1 {
		l.in.Build(b)
		return
	}
	if columns, ok := l.in.Column.([]clause.Column); ok {
		l.buildTuples(b, columns)
		return
	}
	array, _, ok := arrayOf(l.in.Values)
	if !ok {
		l.in.Build(b)
		return
	}
	b.WriteQuoted(l.in.Column)
	_, _ = b.WriteString(" = ANY(")
	b.AddVar(b, array)
	_ = b.WriteByte(')')
}

// fewKeys is the number of keys up to which PostgreSQL plans an OR as quickly as anything.
const fewKeys = 100

// buildTuples writes a list of several columns. An array of several needs a type, which only integers tell for sure.
func (l keyList) buildTuples(b clause.Builder, columns []clause.Column) {
	arrays := make([]string, len(columns))
	for i := range columns {
		array, integers, _ := arrayOf(part(l.in.Values, i))
		if !integers || len(l.in.Values) <= fewKeys {
			l.in.Build(b)
			return
		}
		arrays[i] = array
	}
	b.WriteQuoted(columns)
	_, _ = b.WriteString(" IN (SELECT * FROM unnest(")
	for i, array := range arrays {
		if i > 0 {
			_ = b.WriteByte(',')
		}
		b.AddVar(b, array)
		_, _ = b.WriteString("::bigint[]")
	}
	_, _ = b.WriteString("))")
}

func part(keys []any, i int) []any {
	parts := make([]any, len(keys))
	for n, key := range keys {
		parts[n] = key.([]any)[i]
	}
	return parts
}

// arrayOf returns values as the text of a PostgreSQL array, which the server reads as the column's type, and whether all
// are integers. Only integers, strings and what a driver gets as one of these are written as text without doubt.
func arrayOf(values []any) (text string, integers, ok bool) {
	var b strings.Builder
	_ = b.WriteByte('{')
	integers = true
	for i, v := range values {
		if i > 0 {
			_ = b.WriteByte(',')
		}
		integer, ok := writeElement(&b, v)
		if !ok {
			return "", false, false
		}
		integers = integers && integer
	}
	_ = b.WriteByte('}')
	return b.String(), integers, true
}

var inQuotes = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

func writeElement(b *strings.Builder, v any) (integer, ok bool) {
	rv := reflect.ValueOf(v)
	for rv.Kind() == reflect.Pointer {
		rv = rv.Elem()
	}
	if valuer, ok := v.(driver.Valuer); ok && rv.IsValid() {
		value, err := valuer.Value()
		if err != nil || !isValue(v) {
			return false, false
		}
		rv = reflect.ValueOf(value)
	}
	switch {
	case !rv.IsValid():
		_, _ = b.WriteString("NULL")
		return true, true
	case rv.CanInt():
		_, _ = b.WriteString(strconv.FormatInt(rv.Int(), 10))
		return true, true
	case rv.CanUint():
		_, _ = b.WriteString(strconv.FormatUint(rv.Uint(), 10))
		return true, true
	case rv.Kind() == reflect.String:
		_, _ = fmt.Fprintf(b, `"%s"`, inQuotes.Replace(rv.String()))
		return false, true
	default:
		return false, false
	}
}
