package web

import (
	"strconv"

	"github.com/gin-gonic/gin"

	"tenanted/models"
)

func userPath(id int64) string { return "/user/" + strconv.FormatInt(id, 10) + "/" }

func userText(u models.User) string { return shortName(u.Name(), maxOption) }

// userView is the page of one user, for colleagues.
type userView struct {
	Name  text
	Label string
	All   string // path of the list of the user's subtasks
	Rows  []subtaskRow
	Pages pagination
}

// user shows one user and the subtasks that are assigned to them.
func (s *site) user(c *gin.Context) error {
	id, err := idOf(c, "user")
	if err != nil {
		return err
	}
	u, err := s.Models.Users(c.Request.Context()).Get(id)
	if err != nil {
		return missing(err, "user", id)
	}
	rows, pages, err := s.subtasksBelow(c, userPath(id), models.SubtaskFilter{Assignee: id})
	if err != nil {
		return err
	}
	label := "User #" + strconv.FormatInt(id, 10)
	page := userView{Name: nameText(u.Name()), Label: label, All: "/subtasks/?assignee=" + numText(id), Rows: rows, Pages: pages}
	s.respond(c, answer{title: label, page: showUser(page), json: func() any { return labelJSON{u.ID, label, u.Name()} }})
	return nil
}
