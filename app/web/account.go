package web

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"golang.org/x/sync/errgroup"
	"gorm.io/gorm"

	"tenanted/models"
	"tenanted/scopes"
)

const (
	// countWorkers and countTimeout bound how hard and how long the tenants' page asks the databases.
	countWorkers = 8
	countTimeout = 3 * time.Second
	// maxCountedForOrder is the most tenants that can be ordered by numbers, since all of them have to be
	// counted for that.
	maxCountedForOrder = 200
)

// accountRow is a tenant on the tenants' page.
type accountRow struct {
	TenantEntry
	URL     string // empty while it is not served
	Counts  *counts
	Problem string // why there are no counts
}

// counts are what a tenant has.
type counts struct {
	Users, Projects, Tasks int64
	Progress
}

type accountPage struct {
	View  tableView
	Rows  []accountRow
	Pages pagination
}

var accountSorts = []string{"number", "slug", "name", "users", "projects", "tasks", "subtasks", "done"}

// byNumbers reports whether an order needs every tenant's counts.
func byNumbers(sort string) bool {
	return slices.Index(accountSorts, sort) >= slices.Index(accountSorts, "users")
}

// accounts shows the tenants on the bare domain. A tenant's own address does not tell of others.
func (s *site) accounts(c *gin.Context) error {
	if !onBareDomain(c) {
		return s.notFound(c)
	}
	if s.List == nil {
		return refuse(http.StatusNotImplemented, "This server cannot list its tenants, since PGOWNER is not set: only the owner "+
			"may read the directory. A tenant's own address works all the same: its slug before %s.", c.Request.Host)
	}
	view, err := readTableView(c, "/tenants", accountSorts)
	if err != nil {
		return err
	}
	page, err := s.loadAccounts(c, view)
	if err != nil {
		return err
	}
	s.respond(c, answer{template: "tenants", title: "Tenants", body: page, json: func() any { return page.Pages.json(accountsJSON(page.Rows)) }})
	return nil
}

func (s *site) loadAccounts(c *gin.Context, v tableView) (accountPage, error) {
	entries, err := s.List(c.Request.Context())
	if err != nil {
		return accountPage{}, err
	}
	rows := findAccounts(entries, v.Search)
	pages, err := paginate(v.Page, v.Size, int64(len(rows)), v.url)
	if err != nil {
		return accountPage{}, err
	}
	if byNumbers(v.Sort) {
		if len(rows) > maxCountedForOrder {
			return accountPage{}, refuse(http.StatusBadRequest, "sort=%s is possible for up to %d tenants, and these are %d: search to narrow them, or use number, slug or name.",
				v.Sort, maxCountedForOrder, len(rows))
		}
		s.count(c.Request.Context(), rows)
	}
	sortAccounts(rows, v.Sort)
	rows = rows[pages.Offset():min(len(rows), pages.Offset()+pages.Size)]
	if !byNumbers(v.Sort) {
		s.count(c.Request.Context(), rows)
	}
	for i := range rows {
		if rows[i].State == "active" {
			rows[i].URL = tenantURL(c, rows[i].Slug)
		}
	}
	return accountPage{View: v, Rows: rows, Pages: pages}, nil
}

// findAccounts returns the tenants whose slug or name contains the text, in whatever case.
func findAccounts(entries []TenantEntry, text string) []accountRow {
	text = strings.ToLower(text)
	rows := make([]accountRow, 0, len(entries))
	for _, e := range entries {
		if strings.Contains(e.Slug, text) || strings.Contains(strings.ToLower(e.Name), text) {
			rows = append(rows, accountRow{TenantEntry: e})
		}
	}
	return rows
}

// count asks for each tenant's counts, as that tenant: nothing here sees across tenants. One whose
// database is away or slow says so in its row, and the page comes all the same.
func (s *site) count(ctx context.Context, rows []accountRow) {
	ctx, cancel := context.WithTimeout(ctx, countTimeout)
	defer cancel()
	var group errgroup.Group
	group.SetLimit(countWorkers)
	for i := range rows {
		row := &rows[i]
		if row.State != "active" {
			row.Problem = row.State
			continue
		}
		group.Go(func() error {
			found, err := countsOf(s.DB.WithContext(scopes.WithTenant(ctx, row.Tenant)))
			if err != nil {
				row.Problem = s.countProblem(ctx, row.Tenant, err)
				return nil
			}
			row.Counts = &found
			return nil
		})
	}
	_ = group.Wait() // what failed is in the rows
}

// countProblem says in a word why a tenant could not be counted. What is nobody's fault but ours is logged.
func (s *site) countProblem(ctx context.Context, tenant scopes.Tenant, err error) string {
	switch {
	case errors.Is(err, scopes.ErrUnavailable):
		return "database away"
	case ctx.Err() != nil:
		return "no answer in time"
	}
	s.Logger.ErrorContext(ctx, "count a tenant's rows", "tenant", tenant.Slug, "error", err)
	return "cannot be read"
}

// countsOf counts what the tenant in db's context has, in one statement.
func countsOf(db *gorm.DB) (found counts, err error) {
	number := func(model any) *gorm.DB { return db.Model(model).Select("count(*)") }
	err = db.Model(&models.Account{}).Select("(?) AS users, (?) AS projects, (?) AS tasks, (?) AS subtasks, (?) AS done",
		number(&models.User{}), number(&models.Project{}), number(&models.Task{}), number(&models.Subtask{}),
		number(&models.Subtask{}).Where("complete")).Take(&found).Error
	return found, err
}

// sortAccounts orders by the key, numbers from the largest; tenants without counts come last.
func sortAccounts(rows []accountRow, key string) {
	slices.SortFunc(rows, func(a, b accountRow) int {
		return cmp.Or(compareAccounts(a, b, key), cmp.Compare(a.ID, b.ID))
	})
}

func compareAccounts(a, b accountRow, key string) int {
	switch key {
	case "slug":
		return strings.Compare(a.Slug, b.Slug)
	case "name":
		return strings.Compare(a.Name, b.Name)
	}
	return cmp.Compare(b.number(key), a.number(key))
}

// number is what a row is ordered by: below zero when it is not known.
func (r accountRow) number(key string) int64 {
	if r.Counts == nil {
		return -1
	}
	switch key {
	case "users":
		return r.Counts.Users
	case "projects":
		return r.Counts.Projects
	case "tasks":
		return r.Counts.Tasks
	case "subtasks":
		return r.Counts.Subtasks
	case "done":
		return r.Counts.Percent()
	}
	return 0
}

// accountJSON is a tenant for programs.
type accountJSON struct {
	ID       int64       `json:"id"`
	Slug     string      `json:"slug"`
	Name     string      `json:"name"`
	Database string      `json:"database"`
	Schema   string      `json:"schema"`
	State    string      `json:"state"`
	URL      string      `json:"url,omitempty"`
	Counts   *countsJSON `json:"counts"` // null: see problem
	Problem  string      `json:"problem,omitempty"`
}

type countsJSON struct {
	Users    int64 `json:"users"`
	Projects int64 `json:"projects"`
	Tasks    int64 `json:"tasks"`
	Subtasks int64 `json:"subtasks"`
	Done     int64 `json:"done"`
}

func accountsJSON(rows []accountRow) []accountJSON {
	out := make([]accountJSON, len(rows))
	for i, r := range rows {
		out[i] = accountJSON{ID: int64(r.ID), Slug: r.Slug, Name: r.Name, Database: r.Database, Schema: r.Schema,
			State: r.State, URL: r.URL, Problem: r.Problem}
		if n := r.Counts; n != nil {
			out[i].Counts = &countsJSON{n.Users, n.Projects, n.Tasks, n.Subtasks, n.Done}
		}
	}
	return out
}
