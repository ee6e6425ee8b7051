package web

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFragmentsAreKeptByTheirWholeValue(t *testing.T) {
	t.Parallel()
	f := newFragments()
	write := func(value any) string {
		html, err := f.once("option", value)
		require.NoError(t, err)
		return string(html)
	}
	require.Equal(t, `<option value="1">a&lt;b</option>`, write(choice{"1", "a<b", false}))
	require.Equal(t, `<option value="1" selected>a&lt;b</option>`, write(choice{"1", "a<b", true}))
	require.Equal(t, 2, f.kept.Len())
	require.Equal(t, `<option value="1">a&lt;b</option>`, write(choice{"1", "a<b", false}))
	require.Equal(t, 2, f.kept.Len())

	_, err := f.once("option", struct{ Value string }{"no such text"})
	require.Error(t, err)
	require.Equal(t, 2, f.kept.Len(), "what failed is not kept")
}

func TestFragmentsAreBounded(t *testing.T) {
	t.Parallel()
	f := newFragments()
	for n := range maxFragments + 10 {
		_, err := f.once("page", pageLink{Number: n, URL: "/"})
		require.NoError(t, err)
	}
	require.Equal(t, maxFragments, f.kept.Len())
}
