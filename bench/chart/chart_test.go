package chart

import (
	"encoding/xml"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// wellFormed fails unless the picture is XML, and returns its texts.
func wellFormed(t *testing.T, svg string) (texts []string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(svg))
	for {
		token, err := d.Token()
		if err == io.EOF {
			return texts
		}
		require.NoError(t, err, svg)
		if data, ok := token.(xml.CharData); ok {
			texts = append(texts, strings.TrimSpace(string(data)))
		}
	}
}

func TestChart(t *testing.T) {
	t.Parallel()
	c := Chart{Title: "a < b", X: "rows", Y: "ms", Series: []Series{{Name: "one", Points: []Point{{10, 1}, {1000, 4}}}, {Name: "none"}}}
	texts := wellFormed(t, c.SVG())
	require.Subset(t, texts, []string{"a < b", "rows", "ms", "one", "none", "10", "100", "1k", "0", "1", "4"})
	require.Contains(t, c.SVG(), `d="M70.0 247.5L700.0 60.0"`, "from the left edge to the right upper corner")
}

func TestChartOfNothing(t *testing.T) {
	t.Parallel()
	wellFormed(t, Chart{LogY: true, Series: []Series{{Name: "zero", Points: []Point{{0, 0}}}}}.SVG())
}

func TestHistogram(t *testing.T) {
	t.Parallel()
	s := Histogram("x", []time.Duration{time.Millisecond, time.Millisecond, 10 * time.Millisecond, 100 * time.Millisecond})
	share := 0.0
	for _, p := range s.Points {
		share += p.Y
	}
	require.InDelta(t, 100, share, 1e-9)
	require.InDelta(t, 50, s.Points[0].Y, 1e-9)
	require.Len(t, s.Points, 42, "two decades of twenty steps, the last one and its end")
	wellFormed(t, Chart{Bars: true, Series: []Series{s}}.SVG())
	require.Empty(t, Histogram("x", nil).Points)
}
