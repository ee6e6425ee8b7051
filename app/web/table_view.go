package web

import (
	"net/url"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"
)

// tableView is which rows of a table with a search, an order and pages are shown, as the URL says it.
type tableView struct {
	Path   string // without a slash at its end
	JSON   bool
	Page   int
	Size   int
	Search string
	Sort   string
	sorts  []string
}

// readTableView reads the view of the table at path; the first of sorts is the default.
func readTableView(c *gin.Context, path string, sorts []string) (tableView, error) {
	v := tableView{Path: path, JSON: strings.HasSuffix(c.Request.URL.Path, ".json"), sorts: sorts}
	q := readQuery(c.Request.URL.RawQuery, "page", "size", "q", "sort")
	v.Search = q.search("q")
	v.Sort = q.oneOf("sort", sorts)
	if q.err != nil {
		return v, q.err
	}
	var err error
	if v.Size, err = parseSize(q.text("size")); err != nil {
		return v, err
	}
	v.Page, err = parsePage("", q.text("page"))
	return v, err
}

// url returns where a page of the view is.
func (v tableView) url(page int) string {
	values := url.Values{}
	if page > 1 {
		values.Set("page", strconv.Itoa(page))
	}
	if v.Search != "" {
		values.Set("q", v.Search)
	}
	if v.Sort != v.sorts[0] {
		values.Set("sort", v.Sort)
	}
	if v.Size != pageSizes[0] {
		values.Set("size", strconv.Itoa(v.Size))
	}
	if v.JSON {
		return withQuery(v.Path+".json", values)
	}
	return withQuery(v.Path+"/", values)
}

// TenantSorts and ProjectSorts are the choices of the tables' forms.
func (v tableView) TenantSorts() []choice {
	return choices(v.Sort, "number", "By number", "slug", "By slug", "name", "By name", "users", "Most users",
		"projects", "Most projects", "tasks", "Most tasks", "subtasks", "Most subtasks", "done", "Largest share done")
}

func (v tableView) ProjectSorts() []choice {
	return choices(v.Sort, "name", "By name", "open", "Most open", "done", "Largest share done")
}
