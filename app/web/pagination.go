package web

import (
	"net/http"
	"slices"
	"strconv"
)

// lastPage stands for the last page, whatever its number.
const lastPage = 0

// windowBefore and windowAfter say which page links show around the current page: twenty, itself
// included.
const windowBefore, windowAfter = 10, 9

// pageSizes are those on offer; the first is the default.
var pageSizes = []int{10, 25, 50, 100}

// parsePage reads a page's number as it stands in a path or a query: a number from 1, "last", or nothing
// for the first page. In a path only numbers count.
func parsePage(inPath, inQuery string) (int, error) {
	switch {
	case inPath != "":
		return pageNumber(inPath)
	case inQuery == "":
		return 1, nil
	case inQuery == "last":
		return lastPage, nil
	}
	return pageNumber(inQuery)
}

func pageNumber(text string) (int, error) {
	page, err := strconv.ParseUint(text, 10, 31)
	if err != nil || page == 0 {
		return 0, refuse(http.StatusNotFound, "There is no page “%s”: pages are numbered from 1, and ?page=last is the last one.", text)
	}
	return int(page), nil
}

// pagination says where a page stands in a list.
type pagination struct {
	Page, Pages int // from 1; an empty list has one page
	Size        int // rows on a full page
	Count       int64
	url         func(page int) string
}

// paginate places a page in a list of count rows, or says that the list has no such page.
func paginate(page, size int, count int64, url func(int) string) (pagination, error) {
	p := pagination{Page: page, Pages: pagesOf(count, size), Size: size, Count: count, url: url}
	if page == lastPage {
		p.Page = p.Pages
	}
	if p.Page > p.Pages {
		return p, refuse(http.StatusNotFound, "There is no page %d: the last one is page %d.", page, p.Pages)
	}
	return p, nil
}

func pagesOf(count int64, size int) int {
	return max(1, int((count+int64(size)-1)/int64(size)))
}

// Offset is how many rows come before the page.
func (p pagination) Offset() int { return (p.Page - 1) * p.Size }

// pageLink leads to a page of the list.
type pageLink struct {
	Number  int
	URL     string
	Current bool
	Gap     bool // pages are left out before this one
}

// Links returns the pages around the current one, and the last.
func (p pagination) Links() []pageLink {
	from, to := max(1, p.Page-windowBefore), min(p.Pages, p.Page+windowAfter)
	var links []pageLink
	for n := from; n <= to; n++ {
		links = append(links, pageLink{Number: n, URL: p.url(n), Current: n == p.Page})
	}
	if to < p.Pages {
		links = append(links, pageLink{Number: p.Pages, URL: p.url(p.Pages), Gap: to+1 < p.Pages})
	}
	return links
}

// First, Previous, Next and Last are URLs; empty where the page is that one already.
func (p pagination) First() string    { return p.to(1, p.Page > 1) }
func (p pagination) Previous() string { return p.to(p.Page-1, p.Page > 1) }
func (p pagination) Next() string     { return p.to(p.Page+1, p.Page < p.Pages) }
func (p pagination) Last() string     { return p.to(p.Pages, p.Page < p.Pages) }

func (p pagination) to(page int, there bool) string {
	if !there {
		return ""
	}
	return p.url(page)
}

// listJSON is a page of a list for programs.
type listJSON struct {
	Count   int64     `json:"count"`
	Page    int       `json:"page"`
	Pages   int       `json:"pages"`
	Size    int       `json:"size"`
	Links   linksJSON `json:"links"`
	Results any       `json:"results"`
}

type linksJSON struct {
	Self     string `json:"self"`
	First    string `json:"first"`
	Previous string `json:"previous,omitempty"`
	Next     string `json:"next,omitempty"`
	Last     string `json:"last"`
}

func (p pagination) json(results any) listJSON {
	return listJSON{Count: p.Count, Page: p.Page, Pages: p.Pages, Size: p.Size, Results: results, Links: linksJSON{
		Self: p.url(p.Page), First: p.url(1), Previous: p.Previous(), Next: p.Next(), Last: p.url(p.Pages),
	}}
}

// Sizes returns the page sizes on offer, for a form.
func (p pagination) Sizes() []choice {
	out := make([]choice, 0, len(pageSizes))
	for _, size := range pageSizes {
		n := strconv.Itoa(size)
		out = append(out, choice{n, n + " rows", size == p.Size})
	}
	return out
}

// parseSize reads a page size.
func parseSize(text string) (int, error) {
	if text == "" {
		return pageSizes[0], nil
	}
	size, err := strconv.Atoi(text)
	if err != nil || !slices.Contains(pageSizes, size) {
		return 0, refuse(http.StatusBadRequest, "size=%s is not a page size: 10, 25, 50 and 100 are.", text)
	}
	return size, nil
}
