package web

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	"github.com/gin-gonic/gin"

	"tenanted/models"
)

// Mailer sends what people are to get.
type Mailer interface {
	// Send sends a mail. It must not log the text, which may let its reader in.
	Send(ctx context.Context, to, subject, text string) error
}

type userPage struct {
	View    listView
	Rows    []models.User
	Pages   pagination
	Manages bool  // the reader may change users
	Self    int64 // the reader's id
	Invite  inviteForm
	Link    *userLink
	As      []models.Session // of operators who are signed in as users, for those who manage them
	Problem string
}

// inviteForm is who is to be invited, as it was written.
type inviteForm struct {
	models.NewUser
	Problem formProblem
}

// userLink lets a user choose a password.
type userLink struct{ Email, URL string }

var userOffer = offer{path: "/users", sorts: []choice{{"email", "Email", false}}}

// users shows the account's people to each other.
func (s *site) users(c *gin.Context) error {
	return s.showUsers(c, http.StatusOK, userPage{Invite: inviteForm{NewUser: models.NewUser{Role: models.Member}}})
}

func (s *site) showUsers(c *gin.Context, status int, p userPage) (err error) {
	actor := signedIn(c)
	switch {
	case onBareDomain(c):
		return s.notFound(c)
	case actor == nil:
		return models.ErrSignInRequired
	}
	if p.View, err = readList(c, userOffer); err != nil {
		return err
	}
	found, at, err := s.Models.Users(c.Request.Context()).Page(p.View.Search, p.View.Page, p.View.Size)
	if err != nil {
		return noPage(err, p.View)
	}
	p.Rows, p.Pages, p.Self = found, pagination{at, p.View, "user"}, actor.UserID
	p.Manages = actor.May(models.ManageUsers)
	if p.Manages {
		if p.As, err = s.Models.Sessions(c.Request.Context()).OfOperators(); err != nil {
			return err
		}
	}
	if p.Invite.Role == "" {
		p.Invite.Role = models.Member
	}
	s.respond(c, answer{status: status, title: p.Pages.title("Users"), page: userList(p)})
	return nil
}

// invite adds a user, and shows the link that lets them choose a password.
func (s *site) invite(c *gin.Context) error {
	if _, err := s.person(c); err != nil {
		return err
	}
	n := models.NewUser{Email: c.PostForm("email"), FirstName: c.PostForm("first_name"), LastName: c.PostForm("last_name"), Role: models.Role(c.PostForm("role"))}
	u, secret, err := s.Models.Users(c.Request.Context()).Invite(n)
	if problem, wrong := problemIn(err); wrong {
		return s.showUsers(c, http.StatusUnprocessableEntity, userPage{Invite: inviteForm{n, problem}})
	}
	if err != nil {
		return err
	}
	return s.showLink(c, u, secret, "You were invited to "+accountName(c))
}

// newLink lets a user choose a new password.
func (s *site) newLink(c *gin.Context) error {
	id, err := s.managed(c)
	if err != nil {
		return err
	}
	u, secret, err := s.Models.Users(c.Request.Context()).NewReset(id)
	if err != nil {
		return s.notChanged(c, err)
	}
	return s.showLink(c, u, secret, "A new password for "+accountName(c))
}

// showLink shows a link to the admin who asked for it, and sends it to the user.
func (s *site) showLink(c *gin.Context, u models.User, secret, subject string) error {
	link := userLink{u.Email, absolute(c, ResetPath(secret))}
	if s.Mail != nil {
		if err := s.Mail.Send(c.Request.Context(), u.Email, subject, "Choose your password, once, at "+link.URL); err != nil {
			return err
		}
	}
	return s.showUsers(c, http.StatusCreated, userPage{Link: &link})
}

// ResetPath returns where, at a tenant's address, the secret of a link lets a user choose a password.
func ResetPath(secret string) string { return withQuery(resetPath, url.Values{"link": {secret}}) }

// setRole makes a user an admin or a member.
func (s *site) setRole(c *gin.Context) error {
	id, err := s.managed(c)
	if err == nil {
		err = s.Models.Users(c.Request.Context()).SetRole(id, models.Role(c.PostForm("role")))
	}
	return s.changed(c, err)
}

// setActive lets a user sign in, or no longer.
func (s *site) setActive(c *gin.Context) error {
	id, err := s.managed(c)
	active := c.PostForm("active")
	if err == nil && active != "true" && active != "false" {
		err = refuse(http.StatusBadRequest, "The request must say active=true or active=false.")
	}
	if err == nil {
		err = s.Models.Users(c.Request.Context()).SetActive(id, active == "true")
	}
	return s.changed(c, err)
}

// managed returns the id of the user whom a person wants to change.
func (s *site) managed(c *gin.Context) (int64, error) {
	if _, err := s.person(c); err != nil {
		return 0, err
	}
	return idOf(c, "user")
}

func (s *site) changed(c *gin.Context, err error) error {
	if err != nil {
		return s.notChanged(c, err)
	}
	seeOther(c, usersPath)
	return nil
}

// notChanged says on the page why a user was not changed, where that is the reader's to know.
func (s *site) notChanged(c *gin.Context, err error) error {
	problem, wrong := problemIn(err)
	switch {
	case errors.Is(err, models.ErrLastAdmin):
		return s.showUsers(c, http.StatusConflict, userPage{Problem: "This is the account’s only active admin. Make somebody else an admin first."})
	case errors.Is(err, models.ErrNotFound):
		return refuse(http.StatusNotFound, "There is no user #%s here.", c.Param("id"))
	case wrong:
		return s.showUsers(c, http.StatusUnprocessableEntity, userPage{Problem: problem.Text})
	}
	return err
}
