package web

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"
)

// choice is an option of a form's select.
type choice struct {
	Value, Text string
	Selected    bool
}

const maxSearch = 100 // letters

// query reads parameters of a URL, and remembers the first thing wrong with them.
type query struct {
	values url.Values
	err    error
}

// readQuery returns the parameters, for a page that knows those named. Others are let be, as the
// original does.
func readQuery(raw string, names ...string) *query {
	values, err := url.ParseQuery(raw)
	q := &query{values: values}
	if err != nil {
		q.fail("The part of the address after “?” cannot be read.")
		return q
	}
	for _, name := range names {
		if len(values[name]) > 1 {
			q.fail("%s is given %d times: give it once.", name, len(values[name]))
		}
	}
	return q
}

func (q *query) fail(format string, args ...any) {
	if q.err == nil {
		q.err = refuse(http.StatusBadRequest, format, args...)
	}
}

func (q *query) text(name string) string { return q.values.Get(name) }

// oneOf returns a parameter that must be one of those allowed; the first is the default.
func (q *query) oneOf(name string, allowed []string) string {
	value := q.text(name)
	if value == "" {
		return allowed[0]
	}
	for _, a := range allowed {
		if value == a {
			return value
		}
	}
	var named []string
	for _, a := range allowed {
		if a != "" {
			named = append(named, a)
		}
	}
	q.fail("%s=%s is not possible: %s are.", name, value, strings.Join(named, ", "))
	return allowed[0]
}

// id returns a parameter that must be a row's number, or 0 when it is not there.
func (q *query) id(name string) int64 {
	value := q.text(name)
	if value == "" {
		return 0
	}
	id, err := strconv.ParseInt(value, 10, 64)
	if err != nil || id < 1 {
		q.fail("%s=%s is not possible: it must be a number from 1.", name, value)
		return 0
	}
	return id
}

// search returns a text to look for, without blanks around it. PostgreSQL takes neither NUL nor broken
// UTF-8.
func (q *query) search(name string) string {
	value := strings.TrimSpace(q.text(name))
	switch {
	case !utf8.ValidString(value) || strings.ContainsRune(value, 0):
		q.fail("%s is not a text to look for: it must be UTF-8 without NUL.", name)
	case utf8.RuneCountInString(value) > maxSearch:
		q.fail("%s is too long: %d letters are the most.", name, maxSearch)
	default:
		return value
	}
	return ""
}

// contains returns the LIKE pattern of what contains text.
func contains(text string) string {
	return "%" + strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(text) + "%"
}
