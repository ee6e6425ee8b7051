package web

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gin-gonic/gin"
	"golang.org/x/sync/errgroup"

	"tenanted/models"
	"tenanted/scopes"
)

const (
	// countWorkers and countTimeout bound how hard, for each server, and how long the tenants' page asks the databases.
	countWorkers = 8
	countTimeout = 3 * time.Second
	// maxCountedForOrder is the most tenants that can be ordered by numbers, since all of them have to be
	// counted for that.
	maxCountedForOrder = 200
)

// seedAdvice says how to make tenants.
func (s *site) seedAdvice() string {
	return "Run " + s.Program + " seed --accounts 5 to add demo tenants."
}

// Label is what the tenant's account is called in lists.
func (r accountRow) Label() string { return accountLabel(models.AccountID(r.Tenant)) }

func accountLabel(id scopes.TenantID) string { return models.Account{ID: id}.Label() }

// accountRow is a tenant on the tenants' page.
type accountRow struct {
	TenantEntry
	URL     string // empty while it is not served
	Counts  *models.AccountCounts
	Problem string // why there are no counts
}

type accountPage struct {
	View   listView
	Rows   []accountRow
	Pages  pagination
	Advice string         // how to make tenants
	New    *newTenantForm // nil: the reader is no operator
}

var accountOffer = offer{path: "/tenants", sorts: []choice{
	{string(TenantsByID), "Number", false}, {string(TenantsBySlug), "Slug", false}, {string(TenantsByName), "Name", false},
	{"users", "Most users", false}, {"projects", "Most projects", false}, {"tasks", "Most tasks", false},
	{"subtasks", "Most subtasks", false}, {"done", "Largest share done", false},
}}

// byCounts reports whether an order needs every tenant's counts.
func byCounts(sort string) bool {
	return !slices.Contains([]TenantOrder{TenantsByID, TenantsBySlug, TenantsByName}, TenantOrder(sort))
}

// accounts shows the tenants on the bare domain. A tenant's own address does not tell of others.
func (s *site) accounts(c *gin.Context) error {
	var form *newTenantForm
	if s.operates(c) == nil {
		form = &newTenantForm{}
	}
	return s.showAccounts(c, http.StatusOK, form)
}

// showAccounts shows the tenants and, to operators, the form for a new one.
func (s *site) showAccounts(c *gin.Context, status int, form *newTenantForm) error {
	if !onBareDomain(c) {
		return s.notFound(c)
	}
	if s.List == nil {
		return refuse(http.StatusNotImplemented, "This server cannot list its tenants, since PGOWNER is not set: only the owner "+
			"may read the directory. A tenant's own address works all the same: its slug before %s.", c.Request.Host)
	}
	view, err := readList(c, accountOffer)
	if err != nil {
		return err
	}
	page, err := s.loadAccounts(c, view)
	if err != nil {
		return err
	}
	page.Advice = s.seedAdvice()
	if page.New = form; form != nil {
		form.Places = s.Operators.Places()
	}
	s.respond(c, answer{status: status, title: page.Pages.title("Tenants"), page: accountList(page), json: func() any { return page.Pages.json(c, accountsJSON(c, page.Rows)) }})
	return nil
}

func (s *site) loadAccounts(c *gin.Context, v listView) (accountPage, error) {
	order := TenantsByID
	if !byCounts(v.Sort) {
		order = TenantOrder(v.Sort)
	}
	entries, err := s.List(c.Request.Context(), order)
	if err != nil {
		return accountPage{}, err
	}
	rows := findAccounts(entries, v.Search)
	at, err := models.NewPage(v.Page, v.Size, int64(len(rows)))
	if err != nil {
		return accountPage{}, noPage(err, v)
	}
	if byCounts(v.Sort) {
		if len(rows) > maxCountedForOrder {
			return accountPage{}, refuse(http.StatusBadRequest, "sort=%s is possible for up to %d tenants, and these are %d: search to narrow them, or use number, slug or name.",
				v.Sort, maxCountedForOrder, len(rows))
		}
		s.count(c.Request.Context(), rows)
		sortByCounts(rows, v.Sort)
	}
	rows = rows[at.Offset():min(len(rows), at.Offset()+at.Size)]
	if !byCounts(v.Sort) {
		s.count(c.Request.Context(), rows)
	}
	for i := range rows {
		if rows[i].State == "active" {
			rows[i].URL = tenantURL(c, rows[i].Slug)
		}
	}
	return accountPage{View: v, Rows: rows, Pages: pagination{at, v, "tenant"}}, nil
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
// database is away or slow says so in its row, and the page comes all the same; each server has its own turn.
func (s *site) count(ctx context.Context, rows []accountRow) {
	ctx, cancel := context.WithTimeout(ctx, countTimeout)
	defer cancel()
	on := map[string][]*accountRow{}
	for i := range rows {
		row := &rows[i]
		if row.State != "active" {
			row.Problem = row.State
			continue
		}
		on[row.Server] = append(on[row.Server], row)
	}
	var servers sync.WaitGroup
	for _, rows := range on {
		servers.Go(func() { s.countOn(ctx, rows) })
	}
	servers.Wait()
}

// countOn counts for the tenants of one server.
func (s *site) countOn(ctx context.Context, rows []*accountRow) {
	var group errgroup.Group
	group.SetLimit(countWorkers)
	for _, row := range rows {
		group.Go(func() error {
			found, err := s.Models.Accounts(scopes.WithTenant(ctx, row.Tenant)).Counts()
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

// countProblem says in a word why a tenant could not be counted. What is our own fault is logged.
func (s *site) countProblem(ctx context.Context, tenant scopes.Tenant, err error) string {
	switch {
	case errors.Is(err, scopes.ErrUnavailable):
		return "can't be reached"
	case ctx.Err() != nil:
		return "no answer in time"
	}
	s.Logger.ErrorContext(ctx, "count a tenant's rows", "tenant", tenant.Slug, "error", err)
	return "can't be read"
}

// sortByCounts orders by a number, from the largest, and else as the rows are; tenants without counts come last.
func sortByCounts(rows []accountRow, key string) {
	slices.SortStableFunc(rows, func(a, b accountRow) int { return cmp.Compare(b.number(key), a.number(key)) })
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
	Server   string      `json:"server,omitempty"` // the default one has no name
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

func accountsJSON(c *gin.Context, rows []accountRow) []accountJSON {
	out := make([]accountJSON, len(rows))
	for i, r := range rows {
		out[i] = accountJSON{ID: int64(models.AccountID(r.Tenant)), Slug: r.Slug, Name: r.Name, Server: r.Server, Database: r.Database, Schema: r.Schema,
			State: r.State, URL: absolute(c, r.URL), Problem: r.Problem}
		if n := r.Counts; n != nil {
			out[i].Counts = &countsJSON{n.Users, n.Projects, n.Tasks, n.Subtasks, n.Done}
		}
	}
	return out
}
