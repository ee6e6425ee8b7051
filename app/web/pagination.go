package web

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"

	"tenanted/models"
)

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
		return models.LastPage, nil
	}
	return pageNumber(inQuery)
}

func pageNumber(text string) (int, error) {
	page, err := strconv.ParseUint(text, 10, 31)
	if err != nil || page == 0 {
		return 0, refuse(http.StatusNotFound, "There is no page “%s”. Pages are numbered from 1, and ?page=last is the last one.", text)
	}
	return int(page), nil
}

// noPage explains that a view has no page of that number, and leads to those that it has.
func noPage(err error, v listView) error {
	wrong, ok := errors.AsType[*models.PageError](err)
	if !ok {
		return err
	}
	detail := "There is no page %s. The last one is page %s."
	if wrong.More {
		detail = "There is no page %s. Pages are numbered up to %s: narrow the list by a search or a filter."
	}
	return &refusal{
		status: http.StatusNotFound,
		detail: fmt.Sprintf(detail, thousands(int64(wrong.Asked)), thousands(int64(wrong.Pages))),
		links: []pageLink{
			{Text: "First page of this list", URL: v.html().url(1)},
			{Text: "Last page of this list", URL: v.html().url(models.LastPage)},
		},
	}
}

// pagination is where a page stands in a list, with the way to other pages.
type pagination struct {
	models.Page
	view listView
	noun string // what is listed: "subtask"
}

// pageLink leads to a page of the list.
type pageLink struct {
	Text    string
	Label   string // for those who do not see where it stands
	URL     string
	Current bool
	Gap     bool // pages are left out before this one
}

// title is the title of the page, with what tells it from the list's other pages.
func (p pagination) title(list string) string {
	title := list
	if p.view.Status != models.AnyStatus {
		title += ", " + string(p.view.Status)
	}
	if p.view.Search != "" {
		title += ", “" + p.view.Search + "”"
	}
	if p.view.Project != 0 {
		title += ", project #" + strconv.FormatInt(p.view.Project, 10)
	}
	if p.Number != 1 {
		title += ", " + strings.ToLower(p.Position())
	}
	return title
}

// Position says where the page stands.
func (p pagination) Position() string {
	if p.Number == models.LastPage {
		return "Last page"
	}
	if p.More {
		return "Page " + thousands(int64(p.Number))
	}
	return fmt.Sprintf("Page %s of %s", thousands(int64(p.Number)), thousands(int64(p.Pages)))
}

// Total says how long the list is.
func (p pagination) Total() string {
	switch {
	case p.More:
		return "more than " + thousands(p.Count) + " " + p.noun + "s"
	case p.Count == 1:
		return "1 " + p.noun
	default:
		return thousands(p.Count) + " " + p.noun + "s"
	}
}

// Links returns the pages around the current one, and the last.
func (p pagination) Links() []pageLink {
	at := p.Number
	if at == models.LastPage {
		at = p.Pages + 1
	}
	from, to := max(1, at-windowBefore), min(p.Pages, at+windowAfter)
	var links []pageLink
	for n := from; n <= to; n++ {
		links = append(links, p.link(n))
	}
	switch {
	case p.More:
		links = append(links, pageLink{Text: "last", Label: "Last page", URL: p.view.url(models.LastPage),
			Current: p.Number == models.LastPage, Gap: true})
	case to < p.Pages:
		last := p.link(p.Pages)
		last.Gap = to+1 < p.Pages
		links = append(links, last)
	}
	return links
}

func (p pagination) link(n int) pageLink {
	text := thousands(int64(n))
	return pageLink{Text: text, Label: "Page " + text, URL: p.view.url(n), Current: n == p.Number}
}

// Sizes are the page sizes on offer: another one leads to the first page.
func (p pagination) Sizes() (links []pageLink) {
	for _, size := range pageSizes {
		v := p.view
		v.Size = size
		text := strconv.Itoa(size)
		links = append(links, pageLink{Text: text, Label: text + " rows on a page", URL: v.url(1), Current: size == p.view.Size})
	}
	return links
}

// First, Previous, Next and Last are URLs; empty where there is no such page, or the page is that one.
func (p pagination) First() string { return p.to(1, p.Number != 1) }

// Previous is empty on the last page of a list that is longer than what is numbered.
func (p pagination) Previous() string { return p.to(p.Number-1, p.Number > 1) }

// Next is empty on the last numbered page too.
func (p pagination) Next() string {
	return p.to(p.Number+1, p.Number != models.LastPage && p.Number < p.Pages)
}

// Last is the last page, numbered or not.
func (p pagination) Last() string {
	if p.More {
		return p.to(models.LastPage, p.Number != models.LastPage)
	}
	return p.to(p.Pages, p.Number < p.Pages)
}

func (p pagination) to(page int, there bool) string {
	if !there {
		return ""
	}
	return p.view.url(page)
}

// listJSON is a page of a list for programs.
type listJSON struct {
	Count   int64     `json:"count"` // at most models.CountLimit, of a search for subtasks models.SearchLimit
	More    bool      `json:"more"`  // there are more than count
	Page    int       `json:"page"`  // 0: the last page of a list with more
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

func (p pagination) json(c *gin.Context, results any) listJSON {
	last := p.Pages
	if p.More {
		last = models.LastPage
	}
	return listJSON{Count: p.Count, More: p.More, Page: p.Number, Pages: p.Pages, Size: p.Size, Results: results, Links: linksJSON{
		Self: absolute(c, p.view.url(p.Number)), First: absolute(c, p.view.url(1)), Last: absolute(c, p.view.url(last)),
		Previous: absolute(c, p.Previous()), Next: absolute(c, p.Next()),
	}}
}

// thousands writes a number with separators: 1,234,567.
func thousands(n int64) string {
	text := strconv.FormatInt(n, 10)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
