package web

import (
	"net/url"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"

	"tenanted/scopes/tenanthttp"
)

// subtaskView is which subtasks are shown and how, as the URL says it.
type subtaskView struct {
	All     bool // over all tenants
	JSON    bool // asked for by the path's ending
	Page    int
	Size    int
	Search  string
	Status  string // "", "open" or "done"
	Project int64  // 0: of all projects
	Sort    string
}

var (
	statuses     = []string{"", "open", "done"}
	subtaskSorts = []string{"name", "task", "newest"}
)

// readSubtaskView reads the view from the request. A page's number in the path, if there is one, wins over
// the query's.
func readSubtaskView(c *gin.Context, all bool, pageInPath string) (subtaskView, error) {
	v := subtaskView{All: all, JSON: strings.HasSuffix(c.Request.URL.Path, ".json")}
	q := readQuery(c.Request.URL.RawQuery, "page", "size", "q", "status", "project", "sort")
	v.readFilters(q)
	if q.err != nil {
		return v, q.err
	}
	var err error
	if v.Size, err = parseSize(q.text("size")); err != nil {
		return v, err
	}
	v.Page, err = parsePage(pageInPath, q.text("page"))
	return v, err
}

func (v *subtaskView) readFilters(q *query) {
	v.Search = q.search("q")
	v.Status = q.oneOf("status", statuses)
	v.Sort = q.oneOf("sort", subtaskSorts)
	v.Project = q.id("project")
	if v.All && v.Project != 0 {
		q.fail("The list over all tenants cannot be narrowed to a project: numbers of projects are a tenant's own.")
	}
}

// url returns where a page of the view is.
func (v subtaskView) url(page int) string {
	path := "/subtasks/"
	switch {
	case v.JSON && page > 1:
		path = "/subtasks/" + strconv.Itoa(page) + ".json"
	case v.JSON:
		path = "/subtasks.json"
	case page > 1:
		path = "/subtasks/" + strconv.Itoa(page) + "/"
	}
	return withQuery(path, v.values())
}

// values are the view's parameters, less those with their default and the page.
func (v subtaskView) values() url.Values {
	values := url.Values{}
	set := func(name, value, byDefault string) {
		if value != byDefault {
			values.Set(name, value)
		}
	}
	set("q", v.Search, "")
	set("status", v.Status, "")
	set("project", strconv.FormatInt(v.Project, 10), "0")
	set("sort", v.Sort, subtaskSorts[0])
	set("size", strconv.Itoa(v.Size), strconv.Itoa(pageSizes[0]))
	return values
}

func withQuery(path string, values url.Values) string {
	if len(values) == 0 {
		return path
	}
	return path + "?" + values.Encode()
}

// Filtered reports whether the view leaves rows out.
func (v subtaskView) Filtered() bool { return v.Search != "" || v.Status != "" || v.Project != 0 }

// Numbered reports whether landmarks say where the view's pages are.
func (v subtaskView) Numbered() bool { return v.All && !v.Filtered() && v.Sort == subtaskSorts[0] }

// Statuses and Sorts are the choices of the form.
func (v subtaskView) Statuses() []choice {
	return choices(v.Status, "", "All", "open", "Open", "done", "Done")
}

func (v subtaskView) Sorts() []choice {
	return choices(v.Sort, "name", "By name", "task", "By task", "newest", "Newest first")
}

// choices makes options of pairs of value and text.
func choices(selected string, pairs ...string) []choice {
	var out []choice
	for i := 0; i < len(pairs); i += 2 {
		out = append(out, choice{pairs[i], pairs[i+1], pairs[i] == selected})
	}
	return out
}

// completeURL is where a subtask is marked done or open from this view.
func (v subtaskView) completeURL(id int64) string {
	values := v.values()
	if v.Page > 1 {
		values.Set("page", strconv.Itoa(v.Page))
	}
	return withQuery("/subtasks/"+strconv.FormatInt(id, 10)+"/complete", values)
}

// tenantURL returns where a tenant is, on the base domain and port that this request came to.
func tenantURL(c *gin.Context, slug string) string {
	host, port, _ := tenanthttp.SplitHost(c.Request.Host) // it has passed the middleware
	if port != "" {
		host += ":" + port
	}
	return "//" + slug + "." + host + "/"
}
