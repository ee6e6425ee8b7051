package web

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func pageURL(n int) string { return fmt.Sprintf("/%d/", n) }

// numbers writes the links as people see them: the current one in brackets, a gap as dots.
func numbers(p pagination) string {
	var words []string
	for _, link := range p.Links() {
		if link.Gap {
			words = append(words, "…")
		}
		word := fmt.Sprint(link.Number)
		if link.Current {
			word = "[" + word + "]"
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

func TestPageLinks(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		page  int
		count int64
		want  string
	}{
		{1, 0, "[1]"},
		{1, 10, "[1]"},
		{1, 11, "[1] 2"},
		{1, 105, "[1] 2 3 4 5 6 7 8 9 10 11"},
		{1, 1000, "[1] 2 3 4 5 6 7 8 9 10 … 100"},
		{11, 1000, "1 2 3 4 5 6 7 8 9 10 [11] 12 13 14 15 16 17 18 19 20 … 100"},
		{90, 1000, "80 81 82 83 84 85 86 87 88 89 [90] 91 92 93 94 95 96 97 98 99 100"},
		{100, 1000, "90 91 92 93 94 95 96 97 98 99 [100]"},
		{lastPage, 21, "1 2 [3]"},
	} {
		p, err := paginate(c.page, 10, c.count, pageURL)
		require.NoError(t, err)
		require.Equal(t, c.want, numbers(p), "page %d of %d rows", c.page, c.count)
	}
}

func TestPagesCoverEveryRowOnce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		count := rapid.Int64Range(0, 3000).Draw(t, "count")
		size := rapid.SampledFrom(pageSizes).Draw(t, "size")
		rows, pages := int64(0), pagesOf(count, size)
		for n := 1; n <= pages; n++ {
			p, err := paginate(n, size, count, pageURL)
			require.NoError(t, err)
			require.Equal(t, rows, int64(p.Offset()))
			rows += min(int64(size), count-rows)
			require.Equal(t, n == 1, p.Previous() == "")
			require.Equal(t, n == pages, p.Next() == "")
			links := p.Links()
			require.LessOrEqual(t, len(links), windowBefore+windowAfter+2)
			require.Equal(t, pages, links[len(links)-1].Number, "the last page is always there")
		}
		require.Equal(t, count, rows)
		_, err := paginate(pages+1, size, count, pageURL)
		require.Equal(t, 404, describe(err).Status)
	})
}

func TestViewSurvivesItsURL(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		v := subtaskView{
			Size:    rapid.SampledFrom(pageSizes).Draw(t, "size"),
			Search:  strings.TrimSpace(strings.ReplaceAll(rapid.StringN(0, maxSearch, -1).Draw(t, "q"), "\x00", "")),
			Status:  rapid.SampledFrom(statuses).Draw(t, "status"),
			Project: rapid.Int64Range(0, 1<<62).Draw(t, "project"),
			Sort:    rapid.SampledFrom(subtaskSorts).Draw(t, "sort"),
			Page:    rapid.IntRange(1, 1e9).Draw(t, "page"),
			JSON:    rapid.Bool().Draw(t, "json"),
		}
		link, err := url.Parse(v.url(v.Page))
		require.NoError(t, err)
		number := strings.Trim(strings.TrimPrefix(link.Path, "/subtasks"), "/")
		again, err := readSubtaskView(contextFor(link), false, strings.TrimSuffix(number, ".json"))
		require.NoError(t, err)
		require.Equal(t, v, again)
	})
}
