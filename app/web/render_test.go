package web

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/a-h/templ"
	"github.com/a-h/templ/generator"
	"github.com/a-h/templ/parser/v2"
	"github.com/rivo/uniseg"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// A template that was changed and not generated would serve the old page.
func TestGeneratedTemplatesAreCurrent(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*.templ")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		template, err := parser.Parse(file)
		require.NoError(t, err)
		var want bytes.Buffer
		_, err = generator.Generate(template, &want, generator.WithFileName(file), generator.WithVersion(templ.Version()))
		require.NoError(t, err)
		have, err := os.ReadFile(strings.TrimSuffix(file, ".templ") + "_templ.go")
		require.NoError(t, err)
		require.Equal(t, body(want.String()), body(string(have)), "%s: run go generate ./app/web", file)
	}
}

// body leaves out white space, which the command formats and the package does not.
func body(source string) string { return strings.Join(strings.Fields(source), "") }

func TestLongTextsAreCutAfterAWord(t *testing.T) {
	t.Parallel()
	for _, whole := range []string{"short", strings.Repeat("ab cd ", 16) + "e", strings.Repeat("ab cd ", 17) + "e", strings.Repeat("ü", 200), strings.Repeat("langes Wört ", 40) + "x"} {
		parts := nameText(whole)
		require.Equal(t, whole, parts.Head+parts.Tail)
		if strings.Contains(whole, " ") && parts.Tail != "" {
			require.True(t, strings.HasPrefix(parts.Tail, " "), "%q is cut in a word", parts.Head)
		}
	}
}

// Whatever the database holds, what is shown is bounded, valid and cut between grapheme clusters.
func TestAnyTextIsBounded(t *testing.T) {
	t.Parallel()
	pieces := []string{"a", " ", "é", "e\u0301", "👨‍👩‍👧‍👦", "🇩🇪", "ف", "\u202e", "\n", "\x80", "\u0300", "<b>", "漢"}
	rapid.Check(t, func(t *rapid.T) {
		var s strings.Builder
		for _, piece := range rapid.SliceOfN(rapid.SampledFrom(pieces), 0, 40).Draw(t, "pieces") {
			s.WriteString(strings.Repeat(piece, rapid.IntRange(1, 400).Draw(t, "times")))
		}
		parts := nameText(s.String())
		require.True(t, utf8.ValidString(parts.Head) && utf8.ValidString(parts.Tail))
		require.LessOrEqual(t, uniseg.GraphemeClusterCount(parts.Head), maxHead+maxHead/4)
		require.LessOrEqual(t, len(parts.Head), (maxHead+maxHead/4)*maxCluster)
		require.LessOrEqual(t, len(parts.Tail), maxTail*maxCluster+len("…"))
		require.LessOrEqual(t, len(short(s.String(), maxOption)), maxOption*maxCluster+len("…"))
	})
}
