package cli_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"tenanted/app/config"
)

func TestServeShowsItsFigures(t *testing.T) {
	t.Parallel()
	w := newWorld(t, config.MultipleSchemas)
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
	require.Contains(t, figures, `tenanted_db_connections{database="`+w.db.Name+`",state="idle"} 1`)
	// The directory forgets once when it begins to hear of changes, which may be between two of the requests.
	require.Regexp(t, `tenanted_directory_lookups_total{answer="memory"} [12]\n`, figures)
	require.Regexp(t, `tenanted_directory_lookups_total{answer="database"} [12]\n`, figures)
	require.Equal(t, 0, s.end(t))
}
