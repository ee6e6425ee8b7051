package catalog

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// What is what two schemas are compared in.
type What int

// Everything is compared, or all but the rights.
const (
	Everything What = iota
	WithoutRights
)

// Difference is how an object of a schema is not as it should be.
type Difference struct {
	Object  string `json:"object"`        // as "index notes_text on notes"
	Problem string `json:"problem"`       // as "is missing"
	SQL     string `json:"sql,omitempty"` // that mends it, to be read before it is run; empty: none is safe
}

// String returns the object and the problem.
func (d Difference) String() string { return d.Object + " " + d.Problem }

// public is the schema that PostgreSQL makes, with an owner and rights that depend on its version.
const public = "public"

// Compare returns how has differs from want, ordered by kind and name. Of an object that one of them lacks, its parts are not mentioned.
func Compare(want, has Schema, what What) []Difference {
	c := comparison{want, has}
	var found []Difference
	for _, k := range c.keys() {
		if k.kind == "right" && what == WithoutRights || c.ofAnother(k) {
			continue
		}
		wanted, isWanted := want.objects[k]
		there, isThere := has.objects[k]
		switch {
		case k.kind == "schema" && has.Name == public:
		case !isThere:
			found = append(found, Difference{k.String(), "is missing", c.create(wanted)})
		case !isWanted && k.kind == "right" && k.of == "schema " && has.Name == public:
		case !isWanted:
			found = append(found, Difference{k.String(), "is not of the migrations", c.drop(k)})
		default:
			found = append(found, c.properties(wanted, there)...)
		}
	}
	return found
}

type comparison struct{ want, has Schema }

// keys returns all objects, in the order of the kinds.
func (c comparison) keys() []key {
	all := maps.Clone(c.want.objects)
	if all == nil {
		all = map[key]object{}
	}
	maps.Copy(all, c.has.objects)
	return slices.SortedFunc(maps.Keys(all), func(a, b key) int {
		return cmp.Or(cmp.Compare(slices.Index(kinds, a.kind), slices.Index(kinds, b.kind)), cmp.Compare(a.of, b.of), cmp.Compare(a.name, b.name))
	})
}

// ofAnother reports whether an object is a part of one that is missing or too many.
func (c comparison) ofAnother(k key) bool {
	if k.of == "" {
		return false
	}
	wholes := []key{{"table", "", k.of}, {"view", "", k.of}}
	if k.kind == "right" {
		wholes = wholesOf(k)
	}
	for _, whole := range wholes {
		_, wanted := c.want.objects[whole]
		_, there := c.has.objects[whole]
		if wanted != there {
			return true
		}
	}
	return false
}

// wholesOf returns what a right may be on.
func wholesOf(right key) []key {
	kind, name, _ := strings.Cut(right.of, " ")
	switch kind {
	case "procedure":
		kind = "function"
	case "column":
		kind = "table"
		name, _, _ = strings.Cut(name, ".")
	}
	if kind != "function" {
		name = strings.Trim(name, `"`)
	}
	return []key{{kind, "", name}, {"view", "", name}}
}

// String names an object for people.
func (k key) String() string {
	switch {
	case k.kind == "right":
		privilege, role, _ := strings.Cut(k.name, " to ")
		return fmt.Sprintf("right of %s to %s on %s", role, privilege, strings.TrimSpace(k.of))
	case k.of != "":
		return fmt.Sprintf("%s %s on %s", k.kind, k.name, k.of)
	}
	return strings.TrimSpace(k.kind + " " + k.name)
}

// properties compares an object that both have.
func (c comparison) properties(want, has object) (found []Difference) {
	for i, name := range properties[want.kind] {
		w, h := unqualified(unqualified(want.values[i], c.want.Name), c.has.Name), unqualified(has.values[i], c.has.Name)
		if w == h {
			continue
		}
		d := Difference{want.key.String(), fmt.Sprintf("has %s %s, not %s", name, shown(h), shown(w)), c.alter(want, name)}
		if strings.Contains(w+h, "\n") || len(w)+len(h) > 2*shownMax {
			d.Problem = "has another " + name
		}
		found = append(found, d)
	}
	return found
}

const shownMax = 200

func shown(value string) string {
	if value == "" {
		return "none"
	}
	return value
}

// unqualified returns text without a schema's name before other names.
func unqualified(text, schema string) string { return qualified(text, schema, "") }

// qualified replaces a schema's name before other names by another prefix.
func qualified(text, schema, prefix string) string {
	old := pgx.Identifier{schema}.Sanitize() + "."
	bare := schema + "." // as PostgreSQL prints what needs no quotes
	var b strings.Builder
	for {
		at, length := strings.Index(text, old), len(old)
		if i := strings.Index(text, bare); i >= 0 && (at < 0 || i < at) {
			at, length = i, len(bare)
		}
		if at < 0 {
			b.WriteString(text)
			return b.String()
		}
		b.WriteString(text[:at])
		if at > 0 && partOfName(text[at-1]) {
			b.WriteString(text[at : at+length])
		} else {
			b.WriteString(prefix)
		}
		text = text[at+length:]
	}
}

func partOfName(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '$' || c == '"' || c == '.' || c >= 0x80
}
