package config

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
)

// aliases are other names for libpq's keywords that pgx accepts.
var aliases = map[string]string{"database": "dbname", "TimeZone": "timezone"}

// readURL returns the settings of DATABASE_URL by keyword. It may be a URL or keyword=value pairs, as in libpq. PG variables must
// not contradict it or name a server. Errors do not quote it, since it may contain a password.
func readURL(vars map[string]string) (map[string]string, error) {
	text := vars["DATABASE_URL"]
	if text == "" {
		return nil, nil
	}
	read := readKeywordValues
	if scheme, _, ok := strings.Cut(text, "://"); ok && !strings.ContainsAny(scheme, "= ") {
		read = readURI
	}
	settings, err := read(text)
	if err == nil {
		settings, err = knownSettings(settings)
	}
	if err != nil {
		return nil, &Error{Variable: "DATABASE_URL", Reason: err.Error()}
	}
	settings["port"] = cmp.Or(settings["port"], defaultPort)
	return settings, onlyURL(vars, settings)
}

// onlyURL refuses variables that contradict DATABASE_URL, or name a server beside it.
func onlyURL(vars, settings map[string]string) error {
	for _, name := range serverVariables {
		if keyword := keywords[name]; vars[name] != "" && vars[name] != settings[keyword] {
			return &Error{name, vars[name], "is set although DATABASE_URL names the server: unset one of them"}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(keywords)) {
		if inURL := settings[keywords[name]]; inURL != "" && vars[name] != "" && vars[name] != inURL {
			return &Error{name, vars[name], "contradicts DATABASE_URL: unset one of them"}
		}
	}
	if inURL := settings["password"]; inURL != "" && vars["PGPASSWORD"] != "" && vars["PGPASSWORD"] != inURL {
		return &Error{Variable: "PGPASSWORD", Reason: "contradicts DATABASE_URL: unset one of them"}
	}
	return nil
}

// knownSettings returns the settings under the keywords of this package. It refuses unknown ones, which pgx would send to the
// server.
func knownSettings(settings map[string]string) (map[string]string, error) {
	known := map[string]string{}
	for name, value := range settings {
		if alias, ok := aliases[name]; ok {
			name = alias
		}
		if name == "ssl" && value == "true" { // in JDBC URLs, which libpq accepts too
			name, value = "sslmode", "require"
		}
		if name != "password" && !slices.Contains(slices.Collect(maps.Values(keywords)), name) {
			return nil, fmt.Errorf("%q is not supported: leave it out", name)
		}
		if value != "" { // as in libpq, empty means the default
			known[name] = value
		}
	}
	return known, nil
}

var errNoURL = errors.New("is not a connection string: write postgres://user:password@host:port/database, or keywords and values such as host=db1 dbname=app user=app")

// readURI reads postgres://user:password@host:port,host:port/database?keyword=value. url.Parse cannot, since it does not accept
// a list of hosts.
func readURI(text string) (map[string]string, error) {
	scheme, rest, _ := strings.Cut(text, "://")
	if scheme != "postgres" && scheme != "postgresql" {
		return nil, errors.New("is not a PostgreSQL URL: write postgres://user:password@host:port/database")
	}
	settings := map[string]string{}
	rest, query, _ := strings.Cut(rest, "?")
	authority, database, _ := strings.Cut(rest, "/")
	settings["dbname"] = database
	if at := strings.LastIndex(authority, "@"); at >= 0 {
		settings["user"], settings["password"], _ = strings.Cut(authority[:at], ":")
		authority = authority[at+1:]
	}
	settings["host"], settings["port"] = splitHosts(authority)
	for _, pair := range strings.Split(query, "&") {
		if name, value, ok := strings.Cut(pair, "="); ok {
			settings[name] = value
		} else if pair != "" {
			return nil, errNoURL
		}
	}
	for name, value := range settings {
		decoded, err := url.PathUnescape(value)
		if err != nil {
			return nil, errors.New("has an invalid percent-encoding: write %25 for %, as in a password")
		}
		settings[name] = decoded
	}
	return settings, nil
}

// splitHosts splits host:port,host:port into libpq's lists of hosts and of ports.
func splitHosts(authority string) (hosts, ports string) {
	if authority == "" {
		return "", ""
	}
	var names, numbers []string
	given := false
	for host := range strings.SplitSeq(authority, ",") {
		name, port := host, ""
		if colon := strings.LastIndex(host, ":"); colon > strings.LastIndex(host, "]") {
			name, port = host[:colon], host[colon+1:]
		}
		given = given || port != ""
		names = append(names, strings.Trim(name, "[]"))
		numbers = append(numbers, port)
	}
	if !given {
		return strings.Join(names, ","), ""
	}
	return strings.Join(names, ","), strings.Join(numbers, ",")
}

// readKeywordValues reads host=... dbname=... Values may be in single quotes, and \ escapes a character.
func readKeywordValues(text string) (map[string]string, error) {
	settings := map[string]string{}
	for text = strings.TrimSpace(text); text != ""; text = strings.TrimSpace(text) {
		name, rest, ok := strings.Cut(text, "=")
		name = strings.TrimSpace(name)
		if !ok || name == "" || strings.ContainsAny(name, " \t\n'") {
			return nil, errNoURL
		}
		value, after, ok := cutValue(strings.TrimSpace(rest))
		if !ok {
			return nil, errors.New("has an unclosed '")
		}
		settings[name], text = value, after
	}
	return settings, nil
}

// cutValue returns the value at the beginning of text, and the rest.
func cutValue(text string) (value, after string, ok bool) {
	quoted := strings.HasPrefix(text, "'")
	text = strings.TrimPrefix(text, "'")
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\' && i+1 < len(text):
			i++
			b.WriteByte(text[i])
		case quoted && c == '\'':
			return b.String(), text[i+1:], true
		case !quoted && strings.ContainsRune(" \t\n\r", rune(c)):
			return b.String(), text[i:], true
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), "", !quoted
}
