package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/gin-gonic/gin"

	"tenanted/models"
)

// maxProjectChoices bounds the options of the filter by project.
const maxProjectChoices = 200

func projectText(p models.Project) string { return p.Label() + ": " + shortName(p.Name, maxOption) }

// projectChoices are the options of the filter, at most maxProjectChoices and the chosen one.
func (s *site) projectChoices(ctx context.Context, v listView) (choices []choice, more bool, err error) {
	projects, more, err := s.Models.Projects(ctx).Names(maxProjectChoices)
	if err != nil {
		return nil, false, err
	}
	out := []choice{{"", "All projects", v.Project == 0}}
	chosen := v.Project == 0
	for _, p := range projects {
		chosen = chosen || p.ID == v.Project
		out = append(out, choice{strconv.FormatInt(p.ID, 10), projectText(p), p.ID == v.Project})
	}
	if chosen {
		return out, more, nil
	}
	p, err := s.Models.Projects(ctx).Get(v.Project)
	if errors.Is(err, models.ErrNotFound) {
		return nil, false, refuse(http.StatusNotFound, "There is no project #%d here.", v.Project)
	}
	return append(out, choice{strconv.FormatInt(v.Project, 10), projectText(p), true}), more, err
}

// projectRow is a project with its progress, as the template shows it.
type projectRow struct{ models.ProjectRow }

// URL leads to the project's page.
func (r projectRow) URL() string { return projectPath(r.ID) }

// SubtasksURL leads to the project's subtasks.
func (r projectRow) SubtasksURL() string {
	return "/subtasks/?project=" + strconv.FormatInt(r.ID, 10)
}

type projectPage struct {
	View  listView
	Rows  []projectRow
	Pages pagination
	Total models.Progress
}

var projectOffer = offer{path: "/projects", sorts: []choice{
	{string(models.ProjectsByName), "Name", false},
	{string(models.ProjectsByOpen), "Most open", false},
	{string(models.ProjectsByDone), "Largest share done", false},
}}

// projects shows the progress of each of the tenant's projects.
func (s *site) projects(c *gin.Context) error {
	if onBareDomain(c) {
		return refuse(http.StatusNotFound, "Projects are shown on a tenant's own address.")
	}
	view, err := readList(c, projectOffer)
	if err != nil {
		return err
	}
	found, at, err := s.Models.Projects(c.Request.Context()).Search(view.Search).Page(models.ProjectOrder(view.Sort), view.Page, view.Size)
	if err != nil {
		return noPage(err, view)
	}
	page := projectPage{View: view, Pages: pagination{at, view, "project"}}
	for _, row := range found {
		page.Rows, page.Total = append(page.Rows, projectRow{row}), row.Total
	}
	s.respond(c, answer{title: page.Pages.title("Projects"), page: projectList(page), json: func() any { return page.Pages.json(c, projectsJSON(c, page.Rows)) }})
	return nil
}

// projectJSON is a project for programs.
type projectJSON struct {
	labelJSON
	Tasks       int64  `json:"tasks"`
	Subtasks    int64  `json:"subtasks"`
	Done        int64  `json:"done"`
	Open        int64  `json:"open"`
	SubtasksURL string `json:"subtasks_url"`
}

func projectsJSON(c *gin.Context, rows []projectRow) []projectJSON {
	out := make([]projectJSON, len(rows))
	for i, r := range rows {
		out[i] = projectJSON{labelJSON{r.ID, r.Label(), r.Name}, r.Tasks, r.Subtasks, r.Done, r.Open(), absolute(c, r.SubtasksURL())}
	}
	return out
}

// progressText says the progress in words.
func progressText(p models.Progress) string {
	return fmt.Sprintf("%s of %s done, %s open", thousands(p.Done), thousands(p.Subtasks), thousands(p.Open()))
}
