package web

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/gin-gonic/gin"

	"tenanted/models"
	"tenanted/scopes"
	"tenanted/scopes/tenanthttp"
)

const tenantsPath = "/tenants/"

const (
	// operatorWork is how long an operator's work on a tenant may take: longer than a page, since it may make a database. What has begun
	// goes on when the browser leaves.
	operatorWork = 25 * time.Second
	// shownLog is how many lines of the audit log a tenant's page has.
	shownLog = 20
)

// LogLine is a line of the audit log.
type LogLine struct {
	At                                time.Time
	Operator, Action, Outcome, Detail string
}

// Places says where a new tenant may be.
type Places struct {
	Kinds   []string // of PlaceShared and so on, the default first; none: there is no choice
	Servers []string // further ones, for a database of its own
}

// The kinds of places.
const (
	PlaceShared   = "shared"
	PlaceSchema   = "schema"
	PlaceDatabase = "database"
)

var placeTexts = map[string]string{PlaceShared: "in the shared tables", PlaceSchema: "a schema of its own", PlaceDatabase: "a database of its own"}

// NewTenant is a tenant to be created.
type NewTenant struct {
	Slug, Name string
	Place      string // a kind of place; empty: what the configuration gives each tenant
	Server     string // empty: the default one
}

// newTenantForm is a tenant to be created, as it was written.
type newTenantForm struct {
	NewTenant
	Places  Places
	Problem formProblem
}

// PlaceChoices and ServerChoices are the options of the form's selects.
func (f newTenantForm) PlaceChoices() (choices []choice) {
	for _, kind := range f.Places.Kinds {
		choices = append(choices, choice{kind, placeTexts[kind], kind == f.Place})
	}
	return choices
}

// ServerChoices begin with the default server, which has no name.
func (f newTenantForm) ServerChoices() []choice {
	choices := []choice{{"", "the default one", f.Server == ""}}
	for _, server := range f.Places.Servers {
		choices = append(choices, choice{server, server, server == f.Server})
	}
	return choices
}

// operatorContext is for what an operator does to a tenant.
func operatorContext(c *gin.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(context.WithoutCancel(c.Request.Context()), operatorWork, errTimeout)
}

// createTenant makes a tenant and leads to its page.
func (s *site) createTenant(c *gin.Context) error {
	if err := s.operates(c); err != nil {
		return err
	}
	n := NewTenant{Slug: strings.TrimSpace(c.PostForm("slug")), Name: strings.TrimSpace(c.PostForm("name")), Place: c.PostForm("place"), Server: c.PostForm("server")}
	ctx, cancel := operatorContext(c)
	defer cancel()
	err := s.Operators.Create(ctx, n)
	if problem, wrong := invalidField(err); wrong {
		return s.showAccounts(c, http.StatusUnprocessableEntity, &newTenantForm{NewTenant: n, Problem: problem})
	}
	if err != nil {
		return s.workFailed(c, err)
	}
	seeOther(c, tenantPath(n.Slug))
	return nil
}

// invalidField returns the problem with one field of a form.
func invalidField(err error) (p formProblem, ok bool) {
	wrong, ok := errors.AsType[*models.InvalidError](err)
	if !ok {
		return p, false
	}
	for field, text := range wrong.Fields {
		p = formProblem{field, sentence(text)}
	}
	return p, true
}

// sentence makes a sentence of an error's text.
func sentence(text string) string {
	r, size := utf8.DecodeRuneInString(text)
	return strings.TrimSuffix(string(unicode.ToUpper(r))+text[size:], ".") + "."
}

// workFailed tells an operator why something failed. It is in the log too.
func (s *site) workFailed(c *gin.Context, err error) error {
	if errors.As(err, new(*scopes.TenantUnknownError)) || errors.Is(err, scopes.ErrUnavailable) {
		return err
	}
	s.Logger.ErrorContext(c.Request.Context(), "an operator's work failed", "error", err, "path", c.Request.URL.Path)
	return refuse(http.StatusInternalServerError, "It failed: %s. Doing it again goes on where it stopped.", strings.ReplaceAll(err.Error(), "\n", "; "))
}

func tenantPath(slug string) string { return tenantsPath + slug + "/" }

// tenantPage is what an operator sees of one tenant.
type tenantPage struct {
	Tenant  accountRow
	Log     []LogLine
	Problem string

	View  listView
	Users []models.User // to be signed in as
	Pages pagination
	As    signInAsForm
	Link  *signInLink
}

// showTenant shows one tenant to operators.
func (s *site) showTenant(c *gin.Context) error { return s.tenantPage(c, http.StatusOK, tenantPage{}) }

func (s *site) tenantPage(c *gin.Context, status int, p tenantPage) (err error) {
	if p.Tenant, err = s.operated(c); err != nil {
		return err
	}
	ctx := c.Request.Context()
	if p.Log, err = s.Operators.Log(ctx, p.Tenant.Slug, shownLog); err != nil {
		return err
	}
	offered := offer{path: strings.TrimSuffix(tenantPath(p.Tenant.Slug), "/"), sorts: []choice{{"email", "Email", false}}}
	if p.View, err = readList(c, offered); err != nil {
		return err
	}
	if p.Tenant.State == "active" {
		p.Tenant.URL = tenantURL(c, p.Tenant.Slug)
		if err := s.usersOf(ctx, &p); err != nil {
			return err
		}
	}
	s.respond(c, answer{status: status, title: "Tenant " + p.Tenant.Slug, page: tenantView(p)})
	return nil
}

// usersOf reads users of a tenant, as that tenant. One whose database is away has a page all the same.
func (s *site) usersOf(ctx context.Context, p *tenantPage) (err error) {
	var at models.Page
	p.Users, at, err = s.Models.Users(scopes.WithTenant(ctx, p.Tenant.Tenant)).Page(p.View.Search, p.View.Page, p.View.Size)
	if errors.Is(err, scopes.ErrUnavailable) {
		p.Tenant.Problem = s.countProblem(ctx, p.Tenant.Tenant, err)
		return nil
	}
	p.Pages = pagination{at, p.View, "user"}
	return noPage(err, p.View)
}

// operated returns the tenant of the request's path, for somebody who may look after it.
func (s *site) operated(c *gin.Context) (accountRow, error) {
	if err := s.operates(c); err != nil {
		return accountRow{}, err
	}
	var entry TenantEntry
	var err error = &scopes.TenantUnknownError{Slug: c.Param("slug")}
	if tenanthttp.ValidSlug(c.Param("slug")) { // what else is sent the database may not take for a text
		entry, err = s.Operators.Find(c.Request.Context(), c.Param("slug"))
	}
	if errors.As(err, new(*scopes.TenantUnknownError)) {
		err = refuse(http.StatusNotFound, "There is no tenant “%s”.", short(clean(c.Param("slug")), maxOption))
	}
	return accountRow{TenantEntry: entry}, err
}

func (s *site) suspend(c *gin.Context) error { return s.changeTenant(c, Operators.Suspend) }

func (s *site) resume(c *gin.Context) error { return s.changeTenant(c, Operators.Resume) }

// changeTenant does something to the tenant of the request's path, and leads back to its page.
func (s *site) changeTenant(c *gin.Context, change func(Operators, context.Context, string) error) error {
	t, err := s.operated(c)
	if err != nil {
		return err
	}
	ctx, cancel := operatorContext(c)
	defer cancel()
	err = change(s.Operators, ctx, t.Slug)
	if problem, wrong := invalidField(err); wrong {
		return s.tenantPage(c, http.StatusConflict, tenantPage{Problem: problem.Text})
	}
	if err != nil {
		return s.workFailed(c, err)
	}
	seeOther(c, tenantPath(t.Slug))
	return nil
}

// timeText is a time to the minute, in the server's zone.
func timeText(at time.Time) string { return at.Local().Format("2006-01-02 15:04") }

// clockText is a time of the day, with the zone.
func clockText(at time.Time) string { return at.Local().Format("15:04 MST") }
