package web

import (
	"context"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"

	"tenanted/models"
	"tenanted/scopes"
)

// subtaskPage is what the template shows.
type subtaskPage struct {
	View     subtaskView
	Rows     []subtaskRow
	Pages    pagination
	Projects []choice
	subtasks []models.Subtask
}

// subtaskRow is a subtask as the template shows it, ready to be written: templates are slow to go from one value to
// the next, and slower to call methods.
type subtaskRow struct {
	Account, Project, Task, Label            string // labels
	AccountName, ProjectName, TaskName, Name text
	Details                                  text
	Complete                                 bool
	AccountURL                               string // the tenant's own list; empty within it
	CompleteURL                              string // empty where the list is read-only
}

// subtasks shows a page of the list: a tenant's, or everybody's on the bare domain.
func (s *site) subtasks(c *gin.Context) error {
	all := onBareDomain(c)
	switch {
	case all && !s.AllTenants && s.List == nil:
		return refuse(http.StatusNotFound, "Subtasks are shown on a tenant's own address.")
	case all && !s.AllTenants:
		redirect(c, http.StatusFound, "/tenants/")
		return nil
	}
	view, err := readSubtaskView(c, all, strings.TrimSuffix(c.Param("number"), ".json"))
	if err != nil {
		return err
	}
	ctx := subtaskContext(c, all)
	page, err := s.loadSubtasks(ctx, view)
	if err != nil {
		return err
	}
	message, err := s.takeFlash(c, page.View)
	if err != nil {
		return err
	}
	page.Rows = subtaskRows(c, page)
	s.respond(c, answer{template: "subtasks", title: "Subtasks", flash: message, body: page,
		json: func() any { return page.Pages.json(subtasksJSON(page.subtasks)) }})
	return nil
}

// subtasksPage serves /subtasks/2/.
func (s *site) subtasksPage(c *gin.Context) error {
	if _, err := pageNumber(c.Param("number")); err != nil {
		return err
	}
	return s.subtasks(c)
}

// subtasksPageWithoutSlash serves /subtasks/2.json, and sends /subtasks/2 on to /subtasks/2/.
func (s *site) subtasksPageWithoutSlash(c *gin.Context) error {
	number, json := strings.CutSuffix(c.Param("number"), ".json")
	if _, err := pageNumber(number); err != nil {
		return err
	}
	if json {
		return s.subtasks(c)
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

func subtaskRows(c *gin.Context, page subtaskPage) []subtaskRow {
	rows := make([]subtaskRow, len(page.subtasks))
	for i, s := range page.subtasks {
		task, project, account := s.Task, s.Task.Project, s.Task.Project.Account
		rows[i] = subtaskRow{
			Account: account.Label(), Project: project.Label(), Task: task.Label(), Label: s.Label(),
			AccountName: cut(account.Name), ProjectName: cut(project.Name), TaskName: cut(task.Name), Name: cut(s.Name),
			Details: cut(s.Details), Complete: s.Complete,
		}
		if page.View.All {
			rows[i].AccountURL = tenantURL(c, account.Slug)
		} else {
			rows[i].CompleteURL = page.View.completeURL(s.ID)
		}
	}
	return rows
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

func subtasksJSON(subtasks []models.Subtask) []subtaskJSON {
	out := make([]subtaskJSON, len(subtasks))
	for i, r := range subtasks {
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
