package web

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/gin-gonic/gin"

	"tenanted/models"
)

// listView is which rows of a list are shown and how, as its URL says it. Lists differ in what they offer; what a list
// does not offer has its zero value.
type listView struct {
	offer    offer
	JSON     bool // asked for by the path's ending
	Page     int  // from 1, or models.LastPage
	Size     int
	Search   string
	Status   models.Status
	Project  int64 // 0: of all projects
	Task     int64 // 0: of all tasks
	Assignee int64 // 0: whoever
	Mine     bool  // Assignee is the reader
	Sort     string
}

// offer is what may be asked of a list.
type offer struct {
	path       string   // without a slash at its end
	sorts      []choice // the first is the default
	statuses   []choice // nil: not filtered by status
	projects   bool     // filtered by project
	pageInPath bool     // /subtasks/2/ rather than ?page=2
}

// choice is an option of a form's select.
type choice struct {
	Value, Text string
	Selected    bool
}

// readList reads the view of a list from the request. A page's number in the path, if there is one, wins over the query's.
func readList(c *gin.Context, o offer) (listView, error) {
	v := listView{offer: o, JSON: strings.HasSuffix(c.Request.URL.Path, ".json")}
	q := readQuery(c.Request.URL.RawQuery, "page", "size", "q", "status", "project", "task", "assignee", "sort")
	v.Search = q.search("q")
	v.Sort = q.oneOf("sort", o.sorts)
	if o.statuses != nil {
		v.Status = models.Status(q.oneOf("status", o.statuses))
	}
	if v.Project = q.id("project"); v.Project != 0 && !o.projects {
		q.fail("This list cannot be filtered by project.")
	}
	v.Task = q.id("task")
	if v.Mine = q.text("assignee") == me; !v.Mine {
		v.Assignee = q.id("assignee")
	}
	if !o.projects && (v.Task != 0 || v.Assignee != 0 || v.Mine) {
		q.fail("This list cannot be filtered by task or assignee.")
	}
	v.Size = q.size("size")
	if q.err != nil {
		return v, q.err
	}
	var err error
	if v.Mine {
		if v.Assignee, err = reader(c); err != nil {
			return v, err
		}
	}
	v.Page, err = parsePage(strings.TrimSuffix(c.Param("number"), ".json"), q.text("page"))
	return v, err
}

// url returns where a page of the view is.
func (v listView) url(page int) string {
	values := v.values()
	path, ending := v.offer.path, "/"
	if v.JSON {
		ending = ".json"
	}
	switch {
	case page == 1:
	case page == models.LastPage:
		values.Set("page", "last")
	case v.offer.pageInPath:
		path += "/" + strconv.Itoa(page)
	default:
		values.Set("page", strconv.Itoa(page))
	}
	return withQuery(path+ending, values)
}

// html is the same view as a page.
func (v listView) html() listView {
	v.JSON = false
	return v
}

// values are the view's parameters, without those that have their default, and without the page.
func (v listView) values() url.Values {
	values := url.Values{}
	set := func(name, value, byDefault string) {
		if value != byDefault {
			values.Set(name, value)
		}
	}
	set("q", v.Search, "")
	set("status", string(v.Status), "")
	set("project", strconv.FormatInt(v.Project, 10), "0")
	set("task", numText(v.Task), "")
	set("assignee", v.assignee(), "")
	set("sort", v.Sort, v.offer.sorts[0].Value)
	set("size", strconv.Itoa(v.Size), strconv.Itoa(pageSizes[0]))
	return values
}

// me stands for the reader, where a user's id may stand.
const (
	me         = "me"
	mySubtasks = "/subtasks/?assignee=" + me
)

// reader returns the id of who is signed in.
func reader(c *gin.Context) (int64, error) {
	actor, ok := models.ActorOf(c.Request.Context())
	if !ok || actor.UserID == 0 {
		return 0, models.ErrSignInRequired
	}
	return actor.UserID, nil
}

func (v listView) assignee() string {
	if v.Mine {
		return me
	}
	return numText(v.Assignee)
}

func withQuery(path string, values url.Values) string {
	if len(values) == 0 {
		return path
	}
	return path + "?" + values.Encode()
}

// Filtered reports whether the view leaves rows out.
func (v listView) Filtered() bool {
	return v.Search != "" || v.Status != "" || v.Project != 0 || v.Task != 0 || v.Assignee != 0
}

// Sorts are the orders that the list offers.
func (v listView) Sorts() []choice { return selected(v.offer.sorts, v.Sort) }

// Kept are the parameters that the form of filters has no field for, and keeps.
func (v listView) Kept() (kept []choice) {
	values := v.values()
	for _, name := range []string{"status", "task", "assignee", "size"} {
		if values.Has(name) {
			kept = append(kept, choice{Text: name, Value: values.Get(name)})
		}
	}
	return kept
}

// offers reports whether a list has an order.
func (v listView) offers(sort string) bool {
	return slices.ContainsFunc(v.offer.sorts, func(c choice) bool { return c.Value == sort })
}

// sorted is where the view is in another order.
func (v listView) sorted(sort string) string {
	v.Sort = sort
	return v.url(1)
}

func sortTitle(label, direction string) string {
	return "Sort by " + strings.ToLower(label) + ", " + direction
}

// selected returns the choices with that of value selected.
func selected(choices []choice, value string) []choice {
	out := slices.Clone(choices)
	for i := range out {
		out[i].Selected = out[i].Value == value
	}
	return out
}

const maxSearch = 100 // letters

// query reads parameters of a URL, and remembers the first thing wrong with them.
type query struct {
	values url.Values
	err    error
}

// readQuery returns the parameters, for a page that knows those named. Others are ignored.
func readQuery(raw string, names ...string) *query {
	values, err := url.ParseQuery(raw)
	q := &query{values: values}
	if err != nil {
		q.fail("The part of the address after “?” cannot be read.")
		return q
	}
	for _, name := range names {
		if len(values[name]) > 1 {
			q.fail("%s is given %d times: give it once.", name, len(values[name]))
		}
	}
	return q
}

func (q *query) fail(format string, args ...any) {
	if q.err == nil {
		q.err = refuse(http.StatusBadRequest, format, args...)
	}
}

func (q *query) text(name string) string { return q.values.Get(name) }

// oneOf returns a parameter that must be one of those allowed; the first is the default.
func (q *query) oneOf(name string, allowed []choice) string {
	value := q.text(name)
	if value == "" {
		return allowed[0].Value
	}
	var values []string
	for _, a := range allowed {
		if value == a.Value {
			return value
		}
		if a.Value != "" {
			values = append(values, a.Value)
		}
	}
	q.fail("%s=%s is unknown. Choose one of: %s.", name, value, strings.Join(values, ", "))
	return allowed[0].Value
}

// id returns a parameter that must be a row's id, or 0 when it is missing.
func (q *query) id(name string) int64 {
	value := q.text(name)
	if value == "" {
		return 0
	}
	id, err := strconv.ParseInt(value, 10, 64)
	if err != nil || id < 1 {
		q.fail("%s=%s is not a number from 1.", name, value)
		return 0
	}
	return id
}

// size returns a parameter that must be a page size.
func (q *query) size(name string) int {
	value := q.text(name)
	if value == "" {
		return pageSizes[0]
	}
	size, err := strconv.Atoi(value)
	if err != nil || !slices.Contains(pageSizes, size) {
		q.fail("Page size must be 10, 25, 50 or 100.")
		return pageSizes[0]
	}
	return size
}

// search returns a text to look for, without blanks around it. PostgreSQL takes neither NUL nor broken
// UTF-8.
func (q *query) search(name string) string {
	value := strings.TrimSpace(q.text(name))
	switch {
	case !utf8.ValidString(value) || strings.ContainsRune(value, 0):
		q.fail("%s must be UTF-8 text without NUL.", name)
	case utf8.RuneCountInString(value) > maxSearch:
		q.fail("%s has more than %d letters.", name, maxSearch)
	default:
		return value
	}
	return ""
}
