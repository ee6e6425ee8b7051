package catalog

import (
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// at returns a name in the schema that is to be mended.
func (c comparison) at(name string) string { return pgx.Identifier{c.has.Name, name}.Sanitize() }

// here returns a definition of the schema that is as it should be, for the other one.
func (c comparison) here(definition string) string {
	return qualified(definition, c.want.Name, pgx.Identifier{c.has.Name}.Sanitize()+".")
}

func quoted(name string) string { return pgx.Identifier{name}.Sanitize() }

// create returns the statements that make an object that is missing.
func (c comparison) create(o object) string {
	value := func(property string) string { return c.here(o.value(property)) }
	switch o.kind {
	case "column":
		return c.addColumn(o)
	case "constraint":
		return c.addConstraint(o)
	case "index":
		return concurrently(value("definition")) + ";"
	case "trigger", "rule", "statistics":
		return strings.TrimSuffix(value("definition"), ";") + ";"
	case "policy":
		return c.createPolicy(o)
	case "view":
		kind, query, _ := strings.Cut(value("definition"), " as ")
		name := c.at(o.name)
		if options := value("options"); options != "" {
			name += " with (" + options + ")"
		}
		return fmt.Sprintf("create %s %s as %s", kind, name, strings.TrimSpace(query))
	case "function":
		if o.value("definition") != "aggregate" {
			return strings.TrimSpace(value("definition")) + ";"
		}
	case "right":
		return c.right("grant", "to", o.key)
	}
	return "" // what held rows is not made whole by an empty table
}

// drop returns the statement that removes an object that has no rows.
func (c comparison) drop(k key) string {
	switch k.kind {
	case "constraint":
		return fmt.Sprintf("alter table %s drop constraint %s;", c.at(k.of), quoted(k.name))
	case "index":
		return fmt.Sprintf("drop index concurrently %s;", c.at(k.name))
	case "trigger", "rule", "policy":
		return fmt.Sprintf("drop %s %s on %s;", k.kind, quoted(k.name), c.at(k.of))
	case "statistics":
		return fmt.Sprintf("drop statistics %s;", c.at(k.name))
	case "right":
		return c.right("revoke", "from", k)
	}
	return "" // it may hold rows, or others may use it
}

// alter returns the statements that give an object the property that it should have.
func (c comparison) alter(want object, property string) string {
	table, value := c.at(want.of), c.here(want.value(property))
	switch want.kind + " " + property {
	case "schema owner":
		return fmt.Sprintf("alter schema %s owner to %s;", quoted(c.has.Name), quoted(value))
	case "table owner", "view owner", "sequence owner", "type owner", "collation owner":
		return fmt.Sprintf("alter %s %s owner to %s;", want.kind, c.at(want.name), quoted(value))
	case "function owner":
		return fmt.Sprintf("alter routine %s.%s owner to %s;", quoted(c.has.Name), want.name, quoted(value))
	case "table row level security":
		if value == "true" {
			return fmt.Sprintf("alter table %s enable row level security;", c.at(want.name))
		}
	case "table forced row level security":
		return fmt.Sprintf("alter table %s %s row level security;", c.at(want.name), either(value, "force", "no force"))
	case "column not null":
		return fmt.Sprintf("alter table %s alter column %s %s not null;", table, quoted(want.name), either(value, "set", "drop"))
	case "column default":
		if want.value("generated") != "" {
			return ""
		}
		change := "drop default"
		if value != "" {
			change = "set default " + value
		}
		return fmt.Sprintf("alter table %s alter column %s %s;", table, quoted(want.name), change)
	case "trigger state":
		state := strings.TrimSuffix(strings.Replace(strings.Replace(value, "enabled", "enable", 1), "disabled", "disable", 1), " ")
		return fmt.Sprintf("alter table %s %s trigger %s;", table, state, quoted(want.name))
	case "function definition":
		return c.create(want)
	case "index state":
		return fmt.Sprintf("reindex index concurrently %s;", c.at(want.name))
	}
	return c.replace(want)
}

// replace returns the statements that make an object again that has no rows.
func (c comparison) replace(want object) string {
	switch want.kind {
	case "index":
		return c.drop(want.key) + "\n" + c.create(want)
	case "constraint", "trigger", "rule", "policy":
		return "begin;\n" + c.drop(want.key) + "\n" + c.create(want) + "\ncommit;"
	}
	return "" // a type, a view that others use, or what is too many
}

func (o object) value(property string) string {
	for i, name := range properties[o.kind] {
		if name == property {
			return o.values[i]
		}
	}
	return ""
}

func either(value, ifTrue, ifFalse string) string {
	if value == "true" {
		return ifTrue
	}
	return ifFalse
}

func concurrently(definition string) string {
	return strings.Replace(definition, "INDEX ", "INDEX CONCURRENTLY ", 1)
}

// addColumn makes a column, where the rows that there are may have it.
func (c comparison) addColumn(o object) string {
	value := func(property string) string { return c.here(o.value(property)) }
	definition := fmt.Sprintf("%s %s", quoted(o.name), value("type"))
	if collation := value("collation"); collation != "" {
		definition += " collate " + collation
	}
	switch {
	case value("generated") != "":
		definition += fmt.Sprintf(" generated always as (%s) stored", value("default"))
	case value("default") != "":
		definition += " default " + value("default")
	case value("identity") == "a":
		definition += " generated always as identity"
	case value("identity") == "d":
		definition += " generated by default as identity"
	case value("not null") == "true":
		return "" // nobody knows what it was
	}
	if value("not null") == "true" {
		definition += " not null"
	}
	return fmt.Sprintf("alter table %s add column %s;", c.at(o.of), definition)
}

// addConstraint makes a constraint, in two steps where the first need not look at the rows.
func (c comparison) addConstraint(o object) string {
	definition := c.here(o.value("definition"))
	add := fmt.Sprintf("alter table %s add constraint %s %s", c.at(o.of), quoted(o.name), definition)
	if strings.HasPrefix(definition, "CHECK") || strings.HasPrefix(definition, "FOREIGN KEY") {
		if !strings.HasSuffix(definition, "NOT VALID") {
			return fmt.Sprintf("%s not valid;\nalter table %s validate constraint %s;", add, c.at(o.of), quoted(o.name))
		}
	}
	return add + ";"
}

func (c comparison) createPolicy(o object) string {
	value := func(property string) string { return c.here(o.value(property)) }
	text := fmt.Sprintf("create policy %s on %s as %s for %s to %s", quoted(o.name), c.at(o.of), value("mode"), value("command"), value("roles"))
	if using := value("using"); using != "" {
		text += fmt.Sprintf(" using (%s)", using)
	}
	if check := value("check"); check != "" {
		text += fmt.Sprintf(" with check (%s)", check)
	}
	return text + ";"
}

// right returns the statement that gives a right or takes it away.
func (c comparison) right(verb, preposition string, k key) string {
	privilege, role, _ := strings.Cut(k.name, " to ")
	kind, name, _ := strings.Cut(k.of, " ")
	on := kind + " " + quoted(c.has.Name)
	switch kind {
	case "schema":
	case "column":
		table, column, _ := strings.Cut(name, ".")
		privilege, on = fmt.Sprintf("%s (%s)", privilege, column), "table "+quoted(c.has.Name)+"."+table
	default:
		on += "." + name
	}
	return fmt.Sprintf("%s %s on %s %s %s;", verb, privilege, on, preposition, role)
}
