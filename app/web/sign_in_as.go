package web

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"tenanted/models"
	"tenanted/scopes"
)

const (
	signInAsPath = "/sign-in-as/"
	// signInAsLasts is how long an operator is signed in as a user.
	signInAsLasts = 30 * time.Minute
	maxReason     = 200 // letters
)

// signInAsForm is as whom an operator wants to be signed in, and why, as it was written.
type signInAsForm struct {
	User    int64
	Reason  string
	Problem formProblem
}

// signInLink leads an operator to the tenant's address: the operator's own cookie is never sent there.
type signInLink struct{ Name, URL string }

// query is that of the page, which shows the same users when a form comes back.
func (p tenantPage) query() string {
	if q := strings.TrimPrefix(p.View.url(p.Pages.Number), tenantPath(p.Tenant.Slug)); strings.HasPrefix(q, "?") {
		return q
	}
	return ""
}

// linkSignInAs makes a link by which the operator is signed in as a user of the tenant, and shows it. A redirect would be refused by
// browsers, since forms may not lead to another host.
func (s *site) linkSignInAs(c *gin.Context) error {
	t, err := s.operated(c)
	if err != nil {
		return err
	}
	form := signInAsForm{Reason: strings.TrimSpace(c.PostForm("reason"))}
	form.User, _ = strconv.ParseInt(c.PostForm("user"), 10, 64)
	if t.State != "active" {
		return s.tenantPage(c, http.StatusConflict, tenantPage{Problem: "Nobody is signed in at a tenant that is not served."})
	}
	ctx := c.Request.Context()
	u, err := s.Models.Users(scopes.WithTenant(ctx, t.Tenant)).Get(form.User)
	switch {
	case errors.Is(err, models.ErrNotFound):
		form.Problem = formProblem{"user", "Choose a user."}
	case err != nil:
		return err
	case u.DeactivatedAt != nil:
		form.Problem = formProblem{"user", "This user is deactivated, and nobody is signed in as them."}
	default:
		form.Problem = reasonProblem(form.Reason)
	}
	if form.Problem.Text != "" {
		return s.tenantPage(c, http.StatusUnprocessableEntity, tenantPage{As: form})
	}
	secret, err := s.Operators.NewSignInLink(ctx, t.Tenant, u.ID, u.Email, form.Reason)
	if err != nil {
		return err
	}
	link := signInLink{u.Name(), strings.TrimSuffix(tenantURL(c, t.Slug), "/") + withQuery(signInAsPath, url.Values{"link": {secret}})}
	return s.tenantPage(c, http.StatusCreated, tenantPage{Link: &link})
}

func reasonProblem(reason string) formProblem {
	if problem := models.LineProblem("A reason", reason, maxReason); problem != "" {
		return formProblem{"reason", problem}
	}
	return formProblem{}
}

// signInAsPage asks whether to begin.
type signInAsPage struct {
	Link     string
	As       models.SignInAs
	User     models.User
	Account  string
	Duration string
}

var errSignInLink = refuse(http.StatusNotFound, "This link was used already, or has ended. An operator can make another one.")

// showSignInAs shows what a link is for. It uses nothing up: programs follow links before people do.
func (s *site) showSignInAs(c *gin.Context) error {
	p, err := s.readSignInLink(c, c.Query("link"))
	if err != nil {
		return err
	}
	s.respond(c, answer{title: "Sign in as a user", page: signInAsView(p)})
	return nil
}

// readSignInLink returns what a link is for, at the request's tenant.
func (s *site) readSignInLink(c *gin.Context, secret string) (p signInAsPage, err error) {
	if onBareDomain(c) || s.Operators == nil {
		return p, s.notFound(c)
	}
	ctx := c.Request.Context()
	p = signInAsPage{Link: secret, Account: accountName(c), Duration: fmt.Sprintf("%.0f minutes", signInAsLasts.Minutes())}
	p.As, err = s.Operators.SignInLink(ctx, currentTenant(c), secret)
	if err == nil {
		err = s.stillOperator(c, p.As.Operator)
	}
	if err == nil {
		p.User, err = s.Models.Users(ctx).Get(p.As.UserID)
	}
	if errors.Is(err, models.ErrNotFound) || err == nil && p.User.DeactivatedAt != nil {
		err = errSignInLink
	}
	return p, err
}

// stillOperator returns models.ErrNotFound if an operator may sign in no longer.
func (s *site) stillOperator(c *gin.Context, name string) error {
	if s.Operators == nil {
		return models.ErrNotFound
	}
	if s.OperatorsOpen {
		return nil
	}
	exists, err := s.Operators.Exists(c.Request.Context(), name)
	if err == nil && !exists {
		err = models.ErrNotFound
	}
	return err
}

// signInAs uses a link up: it signs its operator in as the user, for a while.
func (s *site) signInAs(c *gin.Context) error {
	p, err := s.readSignInLink(c, c.PostForm("link"))
	if err != nil {
		return err
	}
	until := time.Now().Add(signInAsLasts).UTC().Format("15:04 MST")
	err = s.Operators.TakeSignInLink(c.Request.Context(), currentTenant(c), p.Link, fmt.Sprintf("%s until %s: %s", p.User.Email, until, p.As.Reason))
	if errors.Is(err, models.ErrNotFound) {
		return errSignInLink
	}
	if err != nil {
		return err
	}
	actor := p.User.Actor()
	actor.Operator, actor.Reason = p.As.Operator, p.As.Reason
	if err := s.sessions.begin(c, actor, signInAsLasts); err != nil {
		return err
	}
	seeOther(c, "/")
	return nil
}

// signedInAs is what every page says while an operator is signed in as a user.
type signedInAs struct{ Operator, Name, Until string }

// banner returns that, or nil.
func (s *site) banner(c *gin.Context, reader *models.Actor) *signedInAs {
	if reader == nil || reader.Operator == "" {
		return nil
	}
	ctx := c.Request.Context()
	return &signedInAs{reader.Operator, reader.Name, clockText(s.sessions.of(c.Request).Deadline(ctx))}
}
