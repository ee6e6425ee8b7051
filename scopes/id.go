package scopes

import (
	"database/sql"
	"database/sql/driver"
	"encoding"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/schema"
)

// tenantID is a tenant's id of whatever type, as the database gets it. The zero value is nobody.
type tenantID struct {
	key   string // its text
	value any    // int64 or string
}

func (id tenantID) nobody() bool { return id.key == "" }

// is reports whether both are the same tenant, and somebody.
func (id tenantID) is(other tenantID) bool { return id.key == other.key && !id.nobody() }

func (id tenantID) String() string { return id.key }

// idOf returns the id that a value is: see [Tenant.Key] for what counts.
func idOf(v any) tenantID {
	if id, ok := v.(TenantID); ok { // as in most programs, and for each statement
		return numbered(int64(id))
	}
	rv := reflect.ValueOf(v)
	for rv.Kind() == reflect.Pointer && !rv.IsNil() {
		rv = rv.Elem()
	}
	if !rv.IsValid() || !rv.Comparable() || rv.IsZero() {
		return tenantID{}
	}
	switch v := rv.Interface().(type) {
	case clause.Expression, gorm.Valuer:
		return tenantID{}
	case driver.Valuer:
		value, err := v.Value()
		if text, ok := value.([]byte); ok {
			value = string(text)
		}
		if _, again := value.(driver.Valuer); err != nil || again {
			return tenantID{}
		}
		return idOf(value)
	case encoding.TextMarshaler:
		text, err := v.MarshalText()
		if err != nil {
			return tenantID{}
		}
		return named(string(text))
	}
	switch {
	case rv.CanInt():
		return numbered(rv.Int())
	case rv.CanUint():
		if rv.Uint() > 1<<63-1 {
			return tenantID{}
		}
		return numbered(int64(rv.Uint()))
	case rv.Kind() == reflect.String:
		return named(rv.String())
	default:
		return tenantID{}
	}
}

func numbered(n int64) tenantID {
	if n < 1 {
		return tenantID{}
	}
	return tenantID{strconv.FormatInt(n, 10), n}
}

func named(text string) tenantID {
	if !utf8.ValidString(text) || strings.IndexByte(text, 0) >= 0 {
		return tenantID{}
	}
	return tenantID{text, text}
}

// as returns the id as a value of a field's type; ok is false when the field cannot hold it.
func (id tenantID) as(f *schema.Field) (value any, ok bool) {
	if n, is := id.value.(int64); is && f.IndirectFieldType == reflect.TypeFor[TenantID]() {
		return TenantID(n), true
	}
	into := reflect.New(f.IndirectFieldType)
	if scanner, is := into.Interface().(sql.Scanner); is {
		err := scanner.Scan(id.value)
		return into.Elem().Interface(), err == nil
	}
	switch v := id.value.(type) {
	case int64:
		switch {
		case into.Elem().CanInt() && !into.Elem().OverflowInt(v):
			into.Elem().SetInt(v)
		case into.Elem().CanUint() && !into.Elem().OverflowUint(uint64(v)):
			into.Elem().SetUint(uint64(v))
		case into.Elem().Kind() == reflect.String:
			into.Elem().SetString(id.key)
		default:
			return nil, false
		}
	case string:
		n, err := strconv.ParseInt(v, 10, 64)
		switch {
		case into.Elem().Kind() == reflect.String:
			into.Elem().SetString(v)
		case err == nil && n > 0 && isInteger(into.Elem()):
			return numbered(n).as(f)
		default:
			return nil, false
		}
	}
	return into.Elem().Interface(), true
}

// in returns the id in the one form that a column has for it: a UUID may be written in several ways.
func (id tenantID) in(f *schema.Field) tenantID {
	if _, integer := id.value.(int64); integer || f.IndirectFieldType.Kind() == reflect.String {
		return id
	}
	if value, ok := id.as(f); ok {
		return idOf(value)
	}
	return tenantID{}
}

// verdict says what a value is for a tenant.
type verdict int

const (
	unknown verdict = iota // a subquery, an expression, a column: the condition on the tenant stands beside it
	ownTenant
	otherTenants
	unset // a zero value
)

// judge says whose a value for the column of f is.
func (id tenantID) judge(f *schema.Field, v any) verdict {
	rv := reflect.ValueOf(v)
	for rv.Kind() == reflect.Pointer {
		rv = rv.Elem()
	}
	if !rv.IsValid() || !isValue(v) {
		return unknown
	}
	integers := isInteger(reflect.Zero(f.IndirectFieldType))
	var this tenantID
	switch {
	case integers && !isInteger(rv):
		return unknown
	case rv.IsZero():
		return unset
	case integers, rv.Type() == f.IndirectFieldType:
		this = idOf(rv.Interface())
	default:
		if this = idOf(rv.Interface()); this.nobody() {
			return unknown
		}
		this = this.in(f)
	}
	if this.is(id.in(f)) {
		return ownTenant
	}
	return otherTenants
}

func isInteger(v reflect.Value) bool { return v.CanInt() || v.CanUint() }

// differs reports whether a value for the column of f is certainly another tenant's than id.
func (id tenantID) differs(f *schema.Field, v any) bool {
	is := id.judge(f, v)
	return is == otherTenants || is == unset
}

// literal is the id as part of a statement's text.
func (id tenantID) literal() string {
	if _, ok := id.value.(int64); ok {
		return id.key
	}
	quoted := "'" + strings.ReplaceAll(id.key, "'", "''") + "'"
	if strings.Contains(id.key, `\`) {
		return " E" + strings.ReplaceAll(quoted, `\`, `\\`)
	}
	return quoted
}

// keyText is what an error says of a value: the key of the tenant that it is, or what it looks like.
func keyText(v any) string {
	if id := idOf(v); !id.nobody() {
		return id.key
	}
	return fmt.Sprint(v)
}
