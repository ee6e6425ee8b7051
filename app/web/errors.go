package web

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"

	"tenanted/models"
	"tenanted/scopes"
	"tenanted/scopes/tenanthttp"
)

// refusal is an answer other than success that the client brought about, with what to do about it.
type refusal struct {
	status int
	detail string
	links  []pageLink // where to go instead
}

func (e *refusal) Error() string { return fmt.Sprintf("%d: %s", e.status, e.detail) }

// refuse returns an error that becomes an answer with this status and detail.
func refuse(status int, format string, args ...any) error {
	return &refusal{status: status, detail: fmt.Sprintf(format, args...)}
}

// problem is an error as the client sees it, with the fields of RFC 9457.
type problem struct {
	Type      string `json:"type"`
	Title     string `json:"title"`
	Status    int    `json:"status"`
	Detail    string `json:"detail"`
	RequestID string `json:"request_id,omitempty"` // where the log knows more

	Errors  map[string]string `json:"errors,omitempty"`  // by field
	Current any               `json:"current,omitempty"` // what was changed meanwhile
	Has     *dependentsJSON   `json:"has,omitempty"`     // what belongs to what cannot be deleted for it

	links      []pageLink
	retryAfter int // seconds; 0: nothing to wait for
}

// unavailableStates say why a tenant is not served. They name no detail of the tenant.
var unavailableStates = map[string]string{
	"creating":  "This account is being set up. Try again in a moment.",
	"suspended": "This account is suspended.",
	"dropping":  "This account is being deleted.",
	"outdated":  "This account is being upgraded. Try again in a moment.",
	"newer":     "This account is being upgraded. Try again in a moment.",

	models.StateMoving: "This account is being moved. Try again in a moment.",
}

const unreachable = "The database can't be reached. Try again in a moment."

// describe is the one table from error to answer.
func describe(err error) problem {
	p := problem{Type: "about:blank", Status: http.StatusInternalServerError,
		Detail: "Something went wrong on our side. If it happens again, give support this request ID."}
	var (
		refused     *refusal
		host        *tenanthttp.HostError
		unknown     *scopes.TenantUnknownError
		unavailable *scopes.TenantUnavailableError
		away        *scopes.DatabaseAwayError
		tooLarge    *http.MaxBytesError
		notAllowed  *models.NotAllowedError
	)
	switch {
	case errors.As(err, &refused):
		p.Status, p.Detail, p.links = refused.status, refused.detail, refused.links
	case errors.As(err, &host):
		p.Status, p.Detail = tenanthttp.Status(err), "The "+host.Error()+"."
	case errors.As(err, &unknown):
		p.Status, p.Detail = tenanthttp.Status(err), fmt.Sprintf("No account has the address “%s”. Check it for mistakes.", short(unknown.Slug, 63))
	case errors.As(err, &unavailable):
		p.Status, p.Detail, p.retryAfter = tenanthttp.Status(err), unavailableStates[unavailable.State], 60
		if p.Detail == "" {
			p.Detail = "This account is not available now. Try again in a moment."
		}
		if unavailable.State == models.StateMoving {
			p.retryAfter = 1
		}
	case errors.Is(err, scopes.ErrTimeout):
		p.Status, p.Detail, p.retryAfter = tenanthttp.Status(err), "The data of this account answers too slowly now. Try again in a moment.", 5
	case errors.As(err, &away):
		p.Status, p.Detail, p.retryAfter = tenanthttp.Status(err), unreachable, max(1, int(math.Ceil(time.Until(away.RetryAt).Seconds())))
	case errors.Is(err, scopes.ErrUnavailable):
		p.Status, p.Detail, p.retryAfter = tenanthttp.Status(err), unreachable, 5
	case errors.Is(err, tenanthttp.ErrBusy):
		p.Status, p.Detail, p.retryAfter = http.StatusServiceUnavailable, "Too many requests at once. Try again in a moment.", 1
	case errors.Is(err, errTimeout), errors.Is(err, context.DeadlineExceeded):
		p.Status, p.Detail, p.retryAfter = http.StatusServiceUnavailable, "The request took too long. Try again in a moment.", 5
	case errors.Is(err, errNoOperator):
		p.Status, p.Detail = http.StatusUnauthorized, "This is for operators. One signs in at "+signInPath+"."
	case errors.Is(err, models.ErrSignInRequired):
		p.Status, p.Detail = http.StatusUnauthorized, "Nobody is signed in. A program sends an API token: Authorization: Bearer, and the token."
	case errors.As(err, &notAllowed):
		p.Status, p.Detail = http.StatusForbidden, fmt.Sprintf("You may not %s here. An admin of your account may.", notAllowed.Operation)
	case p.describeWriting(err):
	case errors.Is(err, models.ErrNotFound):
		p.Status, p.Detail = http.StatusNotFound, "There is nothing at this address."
	case errors.As(err, &tooLarge):
		p.Status, p.Detail = http.StatusRequestEntityTooLarge, fmt.Sprintf("The request's body is longer than %s bytes.", thousands(tooLarge.Limit))
	}
	p.Title = http.StatusText(p.Status)
	return p
}

// dependentsJSON is what belongs to a row.
type dependentsJSON struct {
	Tasks    int64 `json:"tasks"`
	Subtasks int64 `json:"subtasks"`
}

// describeWriting describes why nothing was written, if that is what an error says.
func (p *problem) describeWriting(err error) bool {
	var (
		invalid  *models.InvalidError
		conflict *models.ConflictError
		has      *models.DependentsError
	)
	switch {
	case errors.As(err, &invalid):
		p.Status, p.Detail, p.Errors = http.StatusUnprocessableEntity, "Nothing was written: see the errors of the fields.", invalid.Fields
	case errors.As(err, &conflict):
		p.Status, p.Detail, p.Current = http.StatusConflict, "It has been changed since that version. Nothing was written.", documentOf(conflict.Now)
	case errors.As(err, &has):
		p.Status, p.Has = http.StatusConflict, &dependentsJSON{has.Tasks, has.Subtasks}
		p.Detail = dependentsText(has.Dependents) + " " + belong(has.Dependents) + " to it. Move them with move_to, or delete as many with tasks and subtasks."
	case errors.Is(err, models.ErrKeyUsed):
		p.Status, p.Detail = http.StatusUnprocessableEntity, "This Idempotency-Key was used for another request. Nothing was written."
	default:
		return false
	}
	return true
}

// documentOf returns a row for programs.
func documentOf(row any) any {
	switch row := row.(type) {
	case models.Project:
		return projectRecord(row).json
	case models.Task:
		return taskRecord(row).json
	case models.Subtask:
		return subtaskDocument(row)
	}
	return nil
}

// statusClientGone is for the log: the client has closed the connection.
const statusClientGone = 499

// fail answers a request with the error's page or problem document, and ends it.
func (s *site) fail(c *gin.Context, err error) {
	c.Abort()
	if cause := context.Cause(c.Request.Context()); cause != nil && errors.Is(cause, context.Canceled) {
		c.Status(statusClientGone)
		return
	}
	if c.Writer.Written() {
		s.log(c, http.StatusInternalServerError, err) // too late for another answer
		return
	}
	if errors.Is(err, models.ErrSignInRequired) && !wantsJSON(c.Request) {
		s.askToSignIn(c)
		return
	}
	p := describe(s.withCause(c, err))
	s.log(c, p.Status, err)
	if p.Status == http.StatusUnauthorized {
		c.Header("WWW-Authenticate", "Bearer")
	}
	if p.Status != http.StatusMethodNotAllowed {
		c.Writer.Header().Del("Allow") // the router has set it before it knew the host
	}
	if p.retryAfter > 0 {
		c.Header("Retry-After", strconv.Itoa(p.retryAfter))
	}
	if p.Status >= http.StatusInternalServerError {
		p.RequestID = c.Writer.Header().Get(requestIDHeader)
	}
	if s.ours(c) {
		p.links = append(p.links, pageLink{Text: "Go to the first page", URL: "/"})
	} else if base := s.base(c); base != "" {
		p.links = append(p.links, pageLink{Text: "Go to " + absolute(c, base), URL: base})
	}
	s.respond(c, answer{status: p.Status, title: p.Title, page: errorPage(p), json: func() any { return p }})
}

// withCause adds why the context ended, since a driver may report its own words for it.
func (s *site) withCause(c *gin.Context, err error) error {
	if cause := context.Cause(c.Request.Context()); cause != nil {
		return errors.Join(err, cause)
	}
	return err
}

// log writes what a 500 or 503 hides from the client. What the client gets in full, and a panic, which has
// been logged with its stack, is left out.
func (s *site) log(c *gin.Context, status int, err error) {
	if errors.As(err, new(*scopes.TenantMissingError)) {
		s.metrics.violation()
	}
	answered := errors.As(err, new(*refusal)) || errors.As(err, new(*scopes.TenantUnavailableError)) || errors.Is(err, tenanthttp.ErrBusy)
	if status < http.StatusInternalServerError || answered || errors.As(err, new(*panicError)) {
		return
	}
	s.Logger.ErrorContext(c.Request.Context(), "request failed", "error", err, "status", status,
		"path", c.Request.URL.Path)
}

func (s *site) notFound(c *gin.Context) error {
	return refuse(http.StatusNotFound, "There is no page at %s.", short(c.Request.URL.Path, maxHead))
}

func (s *site) methodNotAllowed(c *gin.Context) error {
	return refuse(http.StatusMethodNotAllowed, "%s is not possible here. This page takes %s.",
		c.Request.Method, c.Writer.Header().Get("Allow"))
}
