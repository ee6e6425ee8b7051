package web

import (
	"context"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"

	"tenanted/models"
	"tenanted/scopes"
)

// home leads from / to the first page of this host.
func (s *site) home(c *gin.Context) error {
	if onBareDomain(c) && !s.AllTenants {
		redirect(c, http.StatusFound, "/tenants/")
		return nil
	}
	redirect(c, http.StatusFound, "/subtasks/")
	return nil
}

// subtaskPage is what the template shows.
type subtaskPage struct {
	View     subtaskView
	Rows     []subtaskRow
	Pages    pagination
	Projects []choice
}

// subtaskRow is a subtask with the links that it has in this view.
type subtaskRow struct {
	models.Subtask
	AccountURL  string // the tenant's own list; empty within it
	CompleteURL string // empty where the list is read-only
}

// subtasks shows a page of the list: a tenant's, or everybody's on the bare domain.
func (s *site) subtasks(c *gin.Context) error {
	all := onBareDomain(c)
	if all && !s.AllTenants {
		redirect(c, http.StatusFound, "/tenants/")
		return nil
	}
	view, err := readSubtaskView(c, all, strings.TrimSuffix(c.Param("number"), ".json"))
	if err != nil {
		return err
	}
	page, err := s.loadSubtasks(subtaskContext(c, all), view)
	if err != nil {
		return err
	}
	message, err := s.takeFlash(c, page.View)
	if err != nil {
		return err
	}
	for i := range page.Rows {
		page.Rows[i].link(c, page.View)
	}
	s.respond(c, answer{template: "subtasks", title: "Subtasks", flash: message, body: page, json: page.Pages.json(subtasksJSON(page.Rows))})
	return nil
}

// subtasksPageWithoutSlash serves /subtasks/2.json, and sends /subtasks/2 on to /subtasks/2/.
func (s *site) subtasksPageWithoutSlash(c *gin.Context) error {
	if strings.HasSuffix(c.Param("number"), ".json") {
		return s.subtasks(c)
	}
	if _, err := parsePage(c.Param("number"), ""); err != nil {
		return err
	}
	return addSlash(c)
}

// subtaskContext is the request's; on the bare domain it is for all tenants.
func subtaskContext(c *gin.Context, all bool) context.Context {
	if all {
		return scopes.AllTenants(c.Request.Context(), "the list of subtasks over all tenants, on the bare domain")
	}
	return c.Request.Context()
}

func (r *subtaskRow) link(c *gin.Context, v subtaskView) {
	if v.All {
		r.AccountURL = tenantURL(c, r.Task.Project.Account.Slug)
		return
	}
	r.CompleteURL = v.completeURL(r.ID)
}

// subtaskJSON is a subtask for programs.
type subtaskJSON struct {
	ID       int64     `json:"id"`
	Label    string    `json:"label"`
	Name     string    `json:"name"`
	Complete bool      `json:"complete"`
	Details  string    `json:"details"`
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

func subtasksJSON(rows []subtaskRow) []subtaskJSON {
	out := make([]subtaskJSON, len(rows))
	for i, r := range rows {
		task, project, account := r.Task, r.Task.Project, r.Task.Project.Account
		out[i] = subtaskJSON{
			ID: r.ID, Label: r.Label(), Name: r.Name, Complete: r.Complete, Details: r.Details,
			Account: labelJSON{int64(account.ID), account.Label(), account.Name},
			Project: labelJSON{project.ID, project.Label(), project.Name},
			Task:    labelJSON{task.ID, task.Label(), task.Name},
		}
	}
	return out
}
