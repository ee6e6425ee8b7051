package web

import (
	"net/url"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"tenanted/models"
)

// place returns where a page of the tenants' list stands.
func place(t require.TestingT, number, size int, total int64) pagination {
	page, err := models.NewPage(number, size, total)
	require.NoError(t, err)
	return pagination{page, listView{offer: accountOffer, Sort: "number", Size: size}, "tenant"}
}

// numbers writes the links as people see them: the current one in brackets, a gap as dots.
func numbers(p pagination) string {
	var words []string
	for _, link := range p.Links() {
		if link.Gap {
			words = append(words, "…")
		}
		if link.Current {
			link.Text = "[" + link.Text + "]"
		}
		words = append(words, link.Text)
	}
	return strings.Join(words, " ")
}

func TestPageLinks(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		page                   int
		count                  int64
		position, total, links string
	}{
		{1, 0, "Page 1 of 1", "0 tenants", "[1]"},
		{1, 1, "Page 1 of 1", "1 tenant", "[1]"},
		{1, 11, "Page 1 of 2", "11 tenants", "[1] 2"},
		{1, 105, "Page 1 of 11", "105 tenants", "[1] 2 3 4 5 6 7 8 9 10 11"},
		{1, 1000, "Page 1 of 100", "1,000 tenants", "[1] 2 3 4 5 6 7 8 9 10 … 100"},
		{11, 1000, "Page 11 of 100", "1,000 tenants", "1 2 3 4 5 6 7 8 9 10 [11] 12 13 14 15 16 17 18 19 20 … 100"},
		{90, 1000, "Page 90 of 100", "1,000 tenants", "80 81 82 83 84 85 86 87 88 89 [90] 91 92 93 94 95 96 97 98 99 100"},
		{models.LastPage, 21, "Page 3 of 3", "21 tenants", "1 2 [3]"},
		{2, 100_000, "Page 2 of 10,000", "100,000 tenants", "1 [2] 3 4 5 6 7 8 9 10 11 … 10,000"},
		{2, 100_001, "Page 2", "more than 100,000 tenants", "1 [2] 3 4 5 6 7 8 9 10 11 … last"},
		{10_000, 100_001, "Page 10,000", "more than 100,000 tenants", "9,990 9,991 9,992 9,993 9,994 9,995 9,996 9,997 9,998 9,999 [10,000] … last"},
		{models.LastPage, 100_001, "Last page", "more than 100,000 tenants", "9,991 9,992 9,993 9,994 9,995 9,996 9,997 9,998 9,999 10,000 … [last]"},
	} {
		p := place(t, c.page, 10, c.count)
		require.Equal(t, []string{c.position, c.total, c.links}, []string{p.Position(), p.Total(), numbers(p)})
	}
}

// Beyond the numbered pages there is one page more, which only ?page=last reaches.
func TestWaysAroundTheEndOfTheNumberedPages(t *testing.T) {
	t.Parallel()
	numbered, last := place(t, 10_000, 10, 100_001), place(t, models.LastPage, 10, 100_001)
	require.Equal(t, []string{"/tenants/?page=9999", "", "/tenants/?page=last"}, []string{numbered.Previous(), numbered.Next(), numbered.Last()})
	require.Equal(t, []string{"/tenants/", "", "", ""}, []string{last.First(), last.Previous(), last.Next(), last.Last()})
}

func TestPagesCoverEveryRowOnce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		count := rapid.Int64Range(0, 3000).Draw(t, "count")
		size := rapid.SampledFrom(pageSizes).Draw(t, "size")
		rows, pages := int64(0), place(t, 1, size, count).Pages
		for n := 1; n <= pages; n++ {
			p := place(t, n, size, count)
			require.Equal(t, rows, int64(p.Offset()))
			rows += min(int64(size), count-rows)
			require.Equal(t, n == 1, p.Previous() == "")
			require.Equal(t, n == pages, p.Next() == "")
			links := p.Links()
			require.LessOrEqual(t, len(links), windowBefore+windowAfter+2)
			require.Equal(t, thousands(int64(pages)), links[len(links)-1].Text, "the last page has a link")
		}
		require.Equal(t, count, rows)
		_, err := models.NewPage(pages+1, size, count)
		require.Equal(t, 404, describe(noPage(err, listView{offer: accountOffer})).Status)
	})
}

func TestThousands(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 123456: "123,456", 1234567: "1,234,567", -1000: "-1,000", -100: "-100"} {
		require.Equal(t, want, thousands(n))
	}
}

func TestViewSurvivesItsURL(t *testing.T) {
	t.Parallel()
	for _, o := range []offer{subtaskOffer(false), subtaskOffer(true), projectOffer, accountOffer} {
		rapid.Check(t, func(t *rapid.T) {
			v := listView{
				offer:  o,
				Size:   rapid.SampledFrom(pageSizes).Draw(t, "size"),
				Search: strings.TrimSpace(strings.ReplaceAll(rapid.StringN(0, maxSearch, -1).Draw(t, "q"), "\x00", "")),
				Sort:   rapid.SampledFrom(o.sorts).Draw(t, "sort").Value,
				Page:   rapid.IntRange(models.LastPage, 1e9).Draw(t, "page"),
				JSON:   rapid.Bool().Draw(t, "json"),
			}
			if o.statuses != nil {
				v.Status = models.Status(rapid.SampledFrom(o.statuses).Draw(t, "status").Value)
			}
			if o.projects {
				v.Project = rapid.Int64Range(0, 1<<62).Draw(t, "project")
			}
			link, err := url.Parse(v.url(v.Page))
			require.NoError(t, err)
			c := contextFor(link)
			if number := strings.Trim(strings.TrimPrefix(link.Path, o.path), "/"); o.pageInPath && number != "" && number != ".json" {
				c.Params = gin.Params{{Key: "number", Value: number}}
			}
			again, err := readList(c, o)
			require.NoError(t, err)
			require.Equal(t, v, again)
		})
	}
}
