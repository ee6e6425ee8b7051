package web

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"

	"tenanted/models"
	"tenanted/scopes"
	"tenanted/scopes/tenanthttp"
)

// subtaskPage is what the template shows.
type subtaskPage struct {
	View         listView
	All          bool // over all tenants, read-only
	SomeApart    bool // tenants, who are not in it
	Rows         []subtaskRow
	Pages        pagination
	Projects     []choice
	MoreProjects bool   // than Projects offers
	Advice       string // how to make subtasks, where that is possible
	subtasks     []models.Subtask
	tenants      map[scopes.TenantID]TenantEntry // those of the rows, as far as the directory knows them
}

// subtaskRow is a subtask as the template shows it.
type subtaskRow struct {
	Account, Project, Task, Label            string // labels
	AccountName, ProjectName, TaskName, Name text
	Details                                  text
	Complete                                 bool
	AccountURL                               string // the tenant's own list; empty within it
	ProjectURL, TaskURL, URL                 string // their pages
	CompleteURL                              string // empty where the list is read-only
	Anchor                                   string // of the button that marks it done
}

// Heading says whose subtasks are listed.
func (p subtaskPage) Heading() string {
	switch {
	case p.View.Mine:
		return "My subtasks"
	case p.View.Assignee != 0:
		return "Subtasks of user #" + numText(p.View.Assignee)
	case p.View.Task != 0:
		return "Subtasks of task #" + numText(p.View.Task)
	}
	return "Subtasks"
}

// tab leads to the same list with another status.
type tab struct {
	Text, Count, URL string // no count: it is not known
	Current          bool
}

// Tabs are the statuses, each with its number of subtasks.
func (p subtaskPage) Tabs() []tab {
	counts := map[models.Status]string{p.View.Status: thousands(p.Pages.Count)}
	if p.Pages.More {
		counts[p.View.Status] += "+"
	}
	if of := p.Pages.Of; of != nil {
		counts = map[models.Status]string{models.Open: thousands(of.Open()), models.Done: thousands(of.Done), models.AnyStatus: thousands(of.Subtasks)}
	}
	var tabs []tab
	for _, status := range []models.Status{models.Open, models.Done, models.AnyStatus} {
		v := p.View
		v.Status = status
		text := map[models.Status]string{models.Open: "Open", models.Done: "Done", models.AnyStatus: "All"}[status]
		tabs = append(tabs, tab{text, counts[status], v.url(1), status == p.View.Status})
	}
	return tabs
}

var subtaskStatuses = []choice{{string(models.AnyStatus), "All", false}, {string(models.Open), "Open", false}, {string(models.Done), "Done", false}}

// subtaskOffer returns what may be asked of a list of subtasks: over all tenants less, where an order or a filter would
// read every row.
func subtaskOffer(all bool) offer {
	sorts := []choice{{string(models.ByName), "Name", false}, {string(models.ByTask), "Task", false}}
	if !all {
		sorts = append(sorts, choice{string(models.Newest), "Newest first", false})
	}
	return offer{path: "/subtasks", sorts: sorts, statuses: subtaskStatuses, projects: !all, pageInPath: true}
}

func subtaskFilter(v listView) models.SubtaskFilter {
	return models.SubtaskFilter{Search: v.Search, Status: v.Status, Project: v.Project, Task: v.Task, Assignee: v.Assignee}
}

// subtasks shows a page of the list: a tenant's, or on the bare domain that over all tenants.
func (s *site) subtasks(c *gin.Context) error {
	all := onBareDomain(c)
	switch {
	case all && !s.AllTenants && (s.List == nil || wantsJSON(c.Request)):
		return refuse(http.StatusNotFound, "Subtasks are shown on a tenant's own address.")
	case all && !s.AllTenants:
		redirect(c, http.StatusFound, "/tenants/")
		return nil
	}
	view, err := readList(c, subtaskOffer(all))
	if err != nil {
		return err
	}
	ctx, err := s.subtaskContext(c, all)
	if err != nil {
		return err
	}
	page, err := s.loadSubtasks(ctx, view)
	if err != nil {
		return err
	}
	if page.tenants, err = s.tenantsOf(c.Request.Context(), page.subtasks); err != nil {
		return err
	}
	message, err := s.takeFlash(c, page)
	if err != nil {
		return err
	}
	page.Rows = subtaskRows(c, page)
	page.Advice, page.SomeApart = s.seedAdvice(), s.SomeApart
	s.respond(c, answer{title: page.Pages.title(page.Heading()), flash: message, page: subtaskList(page),
		json: func() any { return page.Pages.json(c, subtasksJSON(page)) }})
	return nil
}

// loadSubtasks reads the page that the view names.
func (s *site) loadSubtasks(ctx context.Context, v listView) (p subtaskPage, err error) {
	subtasks, at, err := s.Models.Subtasks(ctx).Filter(subtaskFilter(v)).Page(models.SubtaskOrder(v.Sort), v.Page, v.Size)
	if err != nil {
		return p, noPage(err, v)
	}
	v.Page = at.Number
	p = subtaskPage{View: v, All: scopes.IsAllTenants(ctx), Pages: pagination{at, v, "subtask"}, subtasks: subtasks}
	if v.offer.projects {
		p.Projects, p.MoreProjects, err = s.projectChoices(ctx, v)
	}
	return p, err
}

// tenantsOf returns the tenants whose subtasks these are: the request's own, or on the bare domain what the directory says
// of them.
func (s *site) tenantsOf(ctx context.Context, subtasks []models.Subtask) (map[scopes.TenantID]TenantEntry, error) {
	tenants := map[scopes.TenantID]TenantEntry{}
	if own, err := scopes.FromContext(ctx); err == nil {
		tenants[models.AccountID(own)] = TenantEntry{own, "active"}
		return tenants, nil
	}
	for _, subtask := range subtasks {
		tenants[subtask.AccountID] = TenantEntry{}
	}
	entries, err := s.WithIDs(ctx, slices.Collect(maps.Keys(tenants)))
	for _, entry := range entries {
		tenants[models.AccountID(entry.Tenant)] = entry
	}
	return tenants, err
}

// subtasksPage serves /subtasks/2/.
func (s *site) subtasksPage(c *gin.Context) error {
	if _, err := pageNumber(c.Param("number")); err != nil {
		return err
	}
	return s.subtasks(c)
}

// subtasksPageWithoutSlash serves /subtasks/2.json, and sends /subtasks/2 on to /subtasks/2/.
func (s *site) subtasksPageWithoutSlash(c *gin.Context) error {
	number, json := strings.CutSuffix(c.Param("number"), ".json")
	if _, err := pageNumber(number); err != nil {
		return err
	}
	if json {
		return s.subtasks(c)
	}
	return addSlash(c)
}

// subtaskContext is the request's; on the bare domain it is for all tenants.
func (s *site) subtaskContext(c *gin.Context, all bool) (context.Context, error) {
	const reason = "the list of subtasks over all tenants, on the bare domain"
	ctx := c.Request.Context()
	if !all {
		return ctx, nil
	}
	if s.OnAllTenants != nil {
		if err := s.OnAllTenants(ctx, fmt.Sprintf("%s; request %s", reason, c.Writer.Header().Get(requestIDHeader))); err != nil {
			return ctx, err
		}
	}
	return scopes.AllTenants(ctx, reason), nil
}

func subtaskRows(c *gin.Context, page subtaskPage) []subtaskRow {
	rows, here := make([]subtaskRow, len(page.subtasks)), page.View.url(page.View.Page)
	for i, s := range page.subtasks {
		task, project, tenant := s.Task, s.Task.Project, page.tenants[s.AccountID]
		rows[i] = subtaskRow{
			Account: accountLabel(s.AccountID), Project: project.Label(), Task: task.Label(), Label: s.Label(),
			AccountName: nameText(tenant.Name), ProjectName: nameText(project.Name), TaskName: nameText(task.Name), Name: nameText(s.Name),
			Details: detailsText(s.Details), Complete: s.Complete,
		}
		switch {
		case page.All && tenant.State == "active":
			rows[i].AccountURL = tenantURL(c, tenant.Slug)
			rows[i].linkTo(strings.TrimSuffix(rows[i].AccountURL, "/"), s)
		case !page.All:
			rows[i].CompleteURL, rows[i].Anchor = completeURL(page.View, s.ID, i+1), anchor(i+1)
			rows[i].linkTo("", s)
			rows[i].URL = withReturn(rows[i].URL, here+"#"+rows[i].Anchor)
		}
	}
	return rows
}

// linkTo leads to the pages of a subtask and of what it belongs to, below a host.
func (r *subtaskRow) linkTo(host string, s models.Subtask) {
	r.ProjectURL, r.TaskURL, r.URL = host+projectPath(s.Task.ProjectID), host+taskPath(s.TaskID), host+subtaskPath(s.ID)
}

// anchor is the id of the button of a page's nth row. It counts rows and names no subtask, so that the reader's place is
// found again where a filter took the subtask out of the list.
func anchor(row int) string { return "row-" + strconv.Itoa(row) }

// completeURL is where a subtask, in a row of a view, is marked done or open.
func completeURL(v listView, id int64, row int) string {
	values := v.values()
	values.Set("row", strconv.Itoa(row))
	if v.Page > 1 {
		values.Set("page", strconv.Itoa(v.Page))
	}
	return withQuery("/subtask/"+strconv.FormatInt(id, 10)+"/complete", values)
}

// tenantURL returns where a tenant is, on the base domain and port that this request came to.
func tenantURL(c *gin.Context, slug string) string {
	host, port, _ := tenanthttp.SplitHost(c.Request.Host) // it has passed the middleware
	if port != "" {
		host += ":" + port
	}
	return (&url.URL{Host: slug + "." + host, Path: "/"}).String()
}

// subtaskJSON is a subtask for programs.
type subtaskJSON struct {
	ID       int64     `json:"id"`
	Label    string    `json:"label"`
	Name     string    `json:"name"`
	Complete bool      `json:"complete"`
	Details  string    `json:"details"`
	Version  int       `json:"version"`
	Assignee *int64    `json:"assignee"` // a user's number
	Account  labelJSON `json:"account"`
	Project  labelJSON `json:"project"`
	Task     labelJSON `json:"task"`
}

// labelJSON is what a subtask belongs to.
type labelJSON struct {
	ID    int64  `json:"id"`
	Label string `json:"label"`
	Name  string `json:"name"`
}

func subtasksJSON(page subtaskPage) []subtaskJSON {
	out := make([]subtaskJSON, len(page.subtasks))
	for i, r := range page.subtasks {
		out[i] = subtaskDocument(r)
		out[i].Account.Name = page.tenants[r.AccountID].Name
	}
	return out
}
