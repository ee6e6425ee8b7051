package web

import (
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/a-h/templ"
	"github.com/gin-gonic/gin"

	"tenanted/models"
)

// formProblem is what is wrong with one field of a form.
type formProblem struct{ Field, Text string }

// attributes mark a field that is wrong, for screen readers.
func (f formProblem) attributes(field string) templ.Attributes {
	if f.Field != field {
		return nil
	}
	return templ.Attributes{"aria-invalid": "true", "aria-describedby": "problem-" + field, "autofocus": true}
}

// problemIn returns what an error says of a form's field. ok is false for an error of another kind.
func problemIn(err error) (p formProblem, ok bool) {
	if wrong, is := errors.AsType[*models.InvalidError](err); is {
		field, problem := wrong.First()
		return formProblem{field, problem}, true
	}
	return formProblem{}, false
}

// person returns who is signed in on the page of a tenant. Programs have no account of their own to look after.
func (s *site) person(c *gin.Context) (*models.Actor, error) {
	if onBareDomain(c) {
		return nil, s.notFound(c)
	}
	actor := signedIn(c)
	switch {
	case actor == nil:
		return nil, models.ErrSignInRequired
	case actor.Program:
		return nil, refuse(http.StatusForbidden, "This page is for people. A program with a token cannot change who may sign in.")
	case actor.Operator != "":
		return nil, refuse(http.StatusForbidden, "This page is for %s alone: an operator who is signed in as somebody does not change who may sign in.", short(clean(actor.Name), maxOption))
	}
	return actor, nil
}

type passwordPage struct {
	Email   string
	Problem formProblem
}

func (s *site) showPassword(c *gin.Context) error {
	actor, err := s.person(c)
	if err == nil {
		s.respond(c, answer{title: "Password", page: passwordView(passwordPage{Email: actor.Email})})
	}
	return err
}

// changePassword sets a new password. It ends all of the user's sessions, and begins another one here.
func (s *site) changePassword(c *gin.Context) error {
	actor, err := s.person(c)
	if err != nil {
		return err
	}
	users, p := s.Models.Users(c.Request.Context()), passwordPage{Email: actor.Email}
	err = users.ChangePassword(c.PostForm("old"), c.PostForm("password"))
	problem, wrong := problemIn(err)
	throttled, tooOften := errors.AsType[*models.ThrottledError](err)
	switch {
	case errors.Is(err, models.ErrWrongPassword):
		p.Problem = formProblem{"old", "This is not your present password."}
	case tooOften:
		p.Problem = formProblem{"old", throttledText(throttled)}
	case wrong:
		p.Problem = problem
	case err != nil:
		return err
	default:
		return s.signInAgain(c, actor.UserID, "/")
	}
	s.respond(c, answer{status: http.StatusUnprocessableEntity, title: "Password", page: passwordView(p)})
	return nil
}

// signInAgain begins a session after a password was set, and leads on.
func (s *site) signInAgain(c *gin.Context, user int64, to string) error {
	u, err := s.Models.Users(c.Request.Context()).Get(user)
	if err == nil {
		err = s.sessions.begin(c, u.Actor(), sessionLasts)
	}
	if err == nil {
		seeOther(c, to)
	}
	return err
}

type resetPage struct {
	Account, Email, Link string
	Problem              formProblem
}

var errLinkUsed = refuse(http.StatusNotFound, "This link was used already, or has ended. Ask an admin of your account for another one.")

// showReset shows the form behind a link. To look at it uses nothing: mail programs look at links too.
func (s *site) showReset(c *gin.Context) error {
	p := resetPage{Account: accountName(c), Link: c.Query("link")}
	return s.resetForm(c, http.StatusOK, p)
}

func (s *site) resetForm(c *gin.Context, status int, p resetPage) error {
	if onBareDomain(c) {
		return s.notFound(c)
	}
	u, err := s.Models.Users(c.Request.Context()).ResetFor(p.Link)
	if errors.Is(err, models.ErrNotFound) {
		return errLinkUsed
	}
	if err != nil {
		return err
	}
	p.Email = u.Email
	c.Header("Referrer-Policy", "no-referrer") // the address lets somebody in
	c.Header("Cache-Control", "no-store")
	s.respond(c, answer{status: status, title: "Choose a password", page: resetView(p)})
	return nil
}

// reset sets the password that a link lets somebody choose, and signs them in.
func (s *site) reset(c *gin.Context) error {
	if onBareDomain(c) {
		return s.notFound(c)
	}
	p := resetPage{Account: accountName(c), Link: c.PostForm("link")}
	u, err := s.Models.Users(c.Request.Context()).Reset(p.Link, c.PostForm("password"))
	if problem, wrong := problemIn(err); wrong {
		p.Problem = problem
		return s.resetForm(c, http.StatusUnprocessableEntity, p)
	}
	if errors.Is(err, models.ErrNotFound) {
		return errLinkUsed
	}
	if err != nil {
		return err
	}
	return s.signInAgain(c, u.ID, "/")
}

type tokensPage struct {
	Tokens  []models.APIToken
	Secret  string // of the one just made
	Name    string
	Problem formProblem
}

func (s *site) showTokens(c *gin.Context) error { return s.tokens(c, http.StatusOK, tokensPage{}) }

func (s *site) tokens(c *gin.Context, status int, p tokensPage) error {
	actor, err := s.person(c)
	if err != nil {
		return err
	}
	if p.Tokens, err = s.Models.APITokens(c.Request.Context()).Of(actor.UserID); err == nil {
		s.respond(c, answer{status: status, title: "Tokens", page: tokensView(p)})
	}
	return err
}

// makeToken shows a new token. It is shown in the answer and nowhere else, so this is the one form that leads to no other page.
func (s *site) makeToken(c *gin.Context) error {
	actor, err := s.person(c)
	if err != nil {
		return err
	}
	secret, err := s.Models.APITokens(c.Request.Context()).Create(actor.UserID, c.PostForm("name"))
	if problem, wrong := problemIn(err); wrong {
		return s.tokens(c, http.StatusUnprocessableEntity, tokensPage{Name: c.PostForm("name"), Problem: problem})
	}
	if err != nil {
		return err
	}
	return s.tokens(c, http.StatusCreated, tokensPage{Secret: secret})
}

func (s *site) revokeToken(c *gin.Context) error {
	actor, err := s.person(c)
	if err != nil {
		return err
	}
	id, err := idOf(c, "token")
	if err == nil {
		err = s.Models.APITokens(c.Request.Context()).Revoke(actor.UserID, id)
	}
	if err == nil || errors.Is(err, models.ErrNotFound) { // it is gone, as was asked
		seeOther(c, tokensPath)
		return nil
	}
	return err
}

// idOf returns the id in a request's path.
func idOf(c *gin.Context, noun string) (int64, error) {
	text := strings.TrimSuffix(c.Param("id"), ".json")
	id, ok := parseID(text)
	if !ok {
		return 0, refuse(http.StatusNotFound, "There is no %s “%s” here.", noun, short(text, maxHead))
	}
	return id, nil
}

func idText(id int64) string { return strconv.FormatInt(id, 10) }
