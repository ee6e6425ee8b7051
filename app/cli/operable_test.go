package cli_test

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tenanted/app/config"
)

// documented fails unless docs/operations.md has each name that the pattern finds in text.
func documented(t *testing.T, pattern, text string) {
	t.Helper()
	document, err := os.ReadFile("../../docs/operations.md")
	require.NoError(t, err)
	found := regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1)
	require.NotEmpty(t, found)
	for _, match := range found {
		require.Contains(t, string(document), "`"+match[1])
	}
}

func TestFlagsAndSettingsAreDocumented(t *testing.T) {
	t.Parallel()
	w := &fixture{dir: t.TempDir()}
	document, err := os.ReadFile("../../docs/operations.md")
	require.NoError(t, err)
	for _, command := range commands {
		_, row, found := strings.Cut(string(document), "\n| `"+command+"` |")
		require.True(t, found, command)
		row, _, _ = strings.Cut(row, "\n")
		_, flags, _ := strings.Cut(w.ok(t, append(strings.Fields(command), "--help")...), "\nFlags:\n")
		has := regexp.MustCompile(`(?m)^ +(?:-\w, )?(--[a-z-]+)`).FindAllString(flags, -1)
		for i := range has {
			has[i] = has[i][strings.Index(has[i], "--"):]
		}
		has = slices.DeleteFunc(has, func(flag string) bool { return flag == "--help" })
		require.ElementsMatch(t, has, regexp.MustCompile(`--[a-z-]+`).FindAllString(row, -1), command)
	}
	settings, err := os.ReadFile("../../.env.example")
	require.NoError(t, err)
	documented(t, `(?m)^#([A-Z_]+)=`, string(settings))
}

func TestServeShowsItsFigures(t *testing.T) {
	t.Parallel()
	w := newFixture(t, config.MultipleSchemas)
	w.ok(t, "migrate")
	w.ok(t, "seed")
	w.fails(t, 2, "--access-log xml is unknown: choose off, text or json", "serve", "--access-log", "xml")
	s := w.serve(t, "--metrics", "--access-log", "json")
	for range 3 {
		status, _ := s.get(t, "tenant-0.localhost", "/subtasks/")
		require.Equal(t, 200, status)
	}
	status, figures := s.get(t, "localhost", "/metrics")
	require.Equal(t, 200, status)
	documented(t, `(?m)^# TYPE (tenanted_\w+) `, figures)
	require.Contains(t, figures, `tenanted_db_connections{database="`+w.db.Name+`",server="",state="idle"} 1`)
	// Three requests and serve's own look. The directory forgets once, when it begins to listen for changes.
	require.Regexp(t, `tenanted_directory_lookups_total{answer="memory"} [1-3]\n`, figures)
	require.Regexp(t, `tenanted_directory_lookups_total{answer="database"} [1-3]\n`, figures)
	require.Equal(t, 0, s.end(t))
}

// Not parallel: what is logged by the default logger belongs to the process.
func TestTheWholeLogIsInOneFormat(t *testing.T) {
	w := newFixture(t, config.SingleSchema)
	w.ok(t, "migrate")
	s := w.serve(t, "--access-log", "json")
	status, _ := s.get(t, "localhost", "/subtasks/")
	require.Equal(t, 200, status)
	require.Equal(t, 0, s.end(t))
	require.Contains(t, s.errs.String(), "cross-tenant work")
	for line := range strings.Lines(s.errs.String()) {
		require.True(t, json.Valid([]byte(line)), line)
	}
}
