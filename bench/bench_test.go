package main

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMedians(t *testing.T) {
	t.Parallel()
	m := medianOf([]Page{{Name: "x", Rate: 3, P50: 1}, {Rate: 1, P50: 9}, {Rate: 2, P50: 2}})
	require.Equal(t, Page{Name: "x", Rate: 2, P50: 2}, m)
}

// The document is written from the figures and by nothing else.
func TestDocumentIsMadeOfItsFigures(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/benchmarks.json")
	require.NoError(t, err)
	var f Figures
	require.NoError(t, json.Unmarshal(text, &f))
	var document strings.Builder
	require.NoError(t, f.write(&document))
	have, err := os.ReadFile("../docs/benchmarks.md")
	require.NoError(t, err)
	require.Equal(t, document.String(), string(have))
}
