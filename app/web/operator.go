package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"tenanted/models"
	"tenanted/scopes"
)

// operatorLasts is how long an operator's browser stays signed in at the bare domain.
const operatorLasts = 12 * time.Hour

// Operators are who looks after the tenants at the bare domain, and what they do. What changes something is done for the
// context's operator, models.OperatorOf, whose name is in the audit log.
type Operators interface {
	// SignIn returns the name of the operator with that name and password. The address is whom the attempt comes from. Its
	// errors are models.ErrWrongPassword and *models.ThrottledError.
	SignIn(ctx context.Context, name, password, address string) (string, error)
	// Exists reports whether an operator may still sign in.
	Exists(ctx context.Context, name string) (bool, error)
	// FindSession, SaveSession and DeleteSession keep operators' sessions by the hashes of their tokens.
	FindSession(ctx context.Context, hash []byte) (name string, expires time.Time, err error)
	SaveSession(ctx context.Context, hash []byte, name string, expires time.Time) error
	DeleteSession(ctx context.Context, hash []byte) error

	// Find returns the tenant of a slug in whatever state, or a *scopes.TenantUnknownError.
	Find(ctx context.Context, slug string) (TenantEntry, error)
	// Log returns the newest lines of the audit log about a tenant, the newest first.
	Log(ctx context.Context, slug string, limit int) ([]LogLine, error)
	// Suspend ends the serving of a tenant, and Resume begins it again. What is wrong is a *models.InvalidError.
	Suspend(ctx context.Context, slug string) error
	Resume(ctx context.Context, slug string) error
	// Places says where new tenants may be, and Create makes one. What is wrong with what was chosen is a *models.InvalidError, with
	// the fields "slug", "name", "place" and "server".
	Places() Places
	Create(ctx context.Context, n NewTenant) error

	// NewSignInLink returns the secret of a link by which the operator is signed in as a tenant's user, once.
	NewSignInLink(ctx context.Context, t scopes.Tenant, user int64, email, reason string) (secret string, err error)
	// SignInLink returns what a link is for, at that tenant, and TakeSignInLink uses it up. They return models.ErrNotFound.
	SignInLink(ctx context.Context, t scopes.Tenant, secret string) (models.SignInAs, error)
	TakeSignInLink(ctx context.Context, t scopes.Tenant, secret, detail string) error
	// EndSignInAs says in the audit log that the operator is no longer signed in as somebody.
	EndSignInAs(ctx context.Context, t scopes.Tenant, detail string) error
}

// operatorSessions are those of operators, which no tenant's request asks for.
type operatorSessions struct{ operators Operators }

// Find implements sessionKeeper.
func (s operatorSessions) Find(ctx context.Context, hash []byte) (string, time.Time, error) {
	return s.operators.FindSession(ctx, hash)
}

// Save implements sessionKeeper.
func (s operatorSessions) Save(ctx context.Context, hash []byte, name string, expires time.Time) error {
	return s.operators.SaveSession(ctx, hash, name, expires)
}

// Delete implements sessionKeeper.
func (s operatorSessions) Delete(ctx context.Context, hash []byte) error {
	return s.operators.DeleteSession(ctx, hash)
}

// identifyOperator puts the operator who is signed in into the context of a request to the bare domain.
func (s *site) identifyOperator(c *gin.Context) {
	if s.Operators == nil {
		return
	}
	name, ok, err := s.operators.who(c)
	switch {
	case err != nil:
		s.fail(c, err)
	case ok:
		actAsOperator(c, name)
	}
}

// actAsOperator has the request's work done in an operator's name.
func actAsOperator(c *gin.Context, name string) {
	c.Request = c.Request.WithContext(models.WithOperator(c.Request.Context(), name))
	c.Set(operatorOfRequest, name)
}

// operatorOfRequest is Gin's key for the operator: the access log is written when the request has its first context again.
const operatorOfRequest = "operator"

// errNoOperator says that a page is for operators.
var errNoOperator = fmt.Errorf("%w as an operator", models.ErrSignInRequired)

// requireOperator refuses requests of nobody to what the bare domain shows of tenants, where reading needs somebody.
func (s *site) requireOperator(c *gin.Context) {
	shows := s.List != nil || s.AllTenants
	if s.SignInRequired && shows && models.OperatorOf(c.Request.Context()) == "" {
		s.fail(c, errNoOperator)
	}
}

// operates returns nil if the request may look after tenants: of an operator or, in the demo, of anybody.
func (s *site) operates(c *gin.Context) error {
	switch {
	case !onBareDomain(c) || s.List == nil:
		return s.notFound(c)
	case s.Operators == nil:
		return refuse(http.StatusNotImplemented, "This server cannot look after its tenants.")
	case !s.OperatorsOpen && models.OperatorOf(c.Request.Context()) == "":
		return errNoOperator
	}
	return nil
}

// operatorSignInPage is what the template shows.
type operatorSignInPage struct {
	Name    string
	Next    string
	Problem string
	Advice  string
}

// showOperatorSignIn shows the form, or leads on who is signed in already.
func (s *site) showOperatorSignIn(c *gin.Context) error {
	if s.Operators == nil {
		return s.notFound(c)
	}
	next := localPath(c.Query("next"))
	if models.OperatorOf(c.Request.Context()) != "" {
		redirect(c, http.StatusSeeOther, next)
		return nil
	}
	return s.operatorForm(c, http.StatusOK, operatorSignInPage{Next: next})
}

func (s *site) operatorForm(c *gin.Context, status int, p operatorSignInPage) error {
	p.Advice = s.Program + " operators add"
	s.respond(c, answer{status: status, title: "Sign in", page: operatorSignInView(p)})
	return nil
}

// signInOperator signs an operator in and leads back to where they were.
func (s *site) signInOperator(c *gin.Context) error {
	if s.Operators == nil {
		return s.notFound(c)
	}
	p := operatorSignInPage{Name: c.PostForm("name"), Next: localPath(c.PostForm("next"))}
	name, err := s.Operators.SignIn(c.Request.Context(), p.Name, c.PostForm("password"), clientAddress(c.Request, s.TrustedProxies))
	if throttled, ok := errors.AsType[*models.ThrottledError](err); ok {
		p.Problem = throttledText(throttled)
		return s.operatorForm(c, http.StatusTooManyRequests, p)
	}
	if errors.Is(err, models.ErrWrongPassword) {
		p.Problem = "The name or the password is wrong."
		return s.operatorForm(c, http.StatusUnprocessableEntity, p)
	}
	if err == nil {
		err = s.operators.begin(c, name, operatorLasts)
	}
	if err == nil {
		seeOther(c, p.Next)
	}
	return err
}

// signOutOperator ends the session.
func (s *site) signOutOperator(c *gin.Context) error {
	if s.Operators == nil {
		return s.notFound(c)
	}
	if err := s.operators.end(c); err != nil {
		return err
	}
	c.Header("Clear-Site-Data", `"cache"`) // so that going back shows nothing
	seeOther(c, "/")
	return nil
}
