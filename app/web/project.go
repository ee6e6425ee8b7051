package web

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"
	"gorm.io/gorm"

	"tenanted/models"
)

// maxProjectChoices bounds the options of the filter by project.
const maxProjectChoices = 200

func projectText(p models.Project) string { return p.Label() + ": " + p.Name }

// noProject explains that a tenant has no such project.
func noProject(err error, id int64) error {
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return refuse(http.StatusNotFound, "There is no project #%d here.", id)
	}
	return err
}

// projectChoices are the options of the filter, at most maxProjectChoices and the chosen one.
func (s *site) projectChoices(db *gorm.DB, v subtaskView) ([]choice, error) {
	var projects []models.Project
	err := db.Select("account_id", "id", "name").Order("name, id").Limit(maxProjectChoices).Find(&projects).Error
	if err != nil {
		return nil, err
	}
	out := []choice{{"", "All projects", v.Project == 0}}
	chosen := v.Project == 0
	for _, p := range projects {
		chosen = chosen || p.ID == v.Project
		out = append(out, choice{strconv.FormatInt(p.ID, 10), projectText(p), p.ID == v.Project})
	}
	if chosen {
		return out, nil
	}
	var p models.Project
	if err := db.Where("id = ?", v.Project).Take(&p).Error; err != nil {
		return nil, noProject(err, v.Project)
	}
	return append(out, choice{strconv.FormatInt(p.ID, 10), projectText(p), true}), nil
}

// projectRow is a project with how far it has come.
type projectRow struct {
	models.Project
	Tasks int64
	Progress
}

// SubtasksURL leads to the project's subtasks.
func (r projectRow) SubtasksURL() string {
	return "/subtasks/?project=" + strconv.FormatInt(r.ID, 10)
}

// Progress is how many subtasks there are, and how many of them are done.
type Progress struct {
	Subtasks int64
	Done     int64
}

func (p Progress) plus(q Progress) Progress {
	return Progress{p.Subtasks + q.Subtasks, p.Done + q.Done}
}

// Open is how many are left to do.
func (p Progress) Open() int64 { return p.Subtasks - p.Done }

// Percent is the share done, from 0 to 100, rounded down, so that 100 means all. Nothing to do is 0.
func (p Progress) Percent() int64 {
	if p.Subtasks == 0 {
		return 0
	}
	return p.Done * 100 / p.Subtasks
}

type projectPage struct {
	View  tableView
	Rows  []projectRow
	Pages pagination
	Total Progress
}

var projectSorts = []string{"name", "open", "done"}

// projects shows how far each project of the tenant has come.
func (s *site) projects(c *gin.Context) error {
	if onBareDomain(c) {
		return refuse(http.StatusNotFound, "Projects are shown on a tenant's own address.")
	}
	view, err := readTableView(c, "/projects", projectSorts)
	if err != nil {
		return err
	}
	rows, err := s.loadProjects(c.Request.Context(), view)
	if err != nil {
		return err
	}
	pages, err := paginate(view.Page, view.Size, int64(len(rows)), view.url)
	if err != nil {
		return err
	}
	page := projectPage{View: view, Pages: pages, Total: totalOf(rows)}
	sortProjects(rows, view.Sort)
	page.Rows = rows[pages.Offset():min(len(rows), pages.Offset()+pages.Size)]
	s.respond(c, answer{template: "projects", title: "Projects", body: page, json: func() any { return pages.json(projectsJSON(page.Rows)) }})
	return nil
}

// loadProjects reads the tenant's projects, and adds up the subtasks of their tasks.
func (s *site) loadProjects(ctx context.Context, v tableView) ([]projectRow, error) {
	db := s.DB.WithContext(ctx)
	named := db.Select("account_id", "id", "name")
	if v.Search != "" {
		named = named.Where("name ILIKE ?", contains(v.Search))
	}
	var projects []models.Project
	if err := named.Find(&projects).Error; err != nil {
		return nil, err
	}
	var tasks []models.Task
	if err := db.Select("account_id", "id", "project_id").Find(&tasks).Error; err != nil {
		return nil, err
	}
	ofTask, err := progressOfTasks(db)
	if err != nil {
		return nil, err
	}
	return addUp(projects, tasks, ofTask), nil
}

// progressOfTasks returns how far each of the tenant's tasks is, by its id.
func progressOfTasks(db *gorm.DB) (map[int64]Progress, error) {
	var counted []struct {
		TaskID int64
		Progress
	}
	err := db.Model(&models.Subtask{}).Group("task_id").
		Select("task_id, count(*) AS subtasks, count(*) FILTER (WHERE complete) AS done").Scan(&counted).Error
	ofTask := make(map[int64]Progress, len(counted))
	for _, c := range counted {
		ofTask[c.TaskID] = c.Progress
	}
	return ofTask, err
}

func addUp(projects []models.Project, tasks []models.Task, ofTask map[int64]Progress) []projectRow {
	rows := make([]projectRow, len(projects))
	byID := make(map[int64]*projectRow, len(projects))
	for i, p := range projects {
		rows[i].Project, byID[p.ID] = p, &rows[i]
	}
	for _, t := range tasks {
		if row := byID[t.ProjectID]; row != nil {
			row.Tasks++
			row.Progress = row.plus(ofTask[t.ID])
		}
	}
	return rows
}

func totalOf(rows []projectRow) (total Progress) {
	for _, r := range rows {
		total = total.plus(r.Progress)
	}
	return total
}

// sortProjects orders by the key, the most first, and then by name and id.
func sortProjects(rows []projectRow, key string) {
	slices.SortFunc(rows, func(a, b projectRow) int {
		byKey := 0
		switch key {
		case "open":
			byKey = cmp.Compare(b.Open(), a.Open())
		case "done":
			byKey = cmp.Compare(b.Percent(), a.Percent())
		}
		return cmp.Or(byKey, strings.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
	})
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

func projectsJSON(rows []projectRow) []projectJSON {
	out := make([]projectJSON, len(rows))
	for i, r := range rows {
		out[i] = projectJSON{labelJSON{r.ID, r.Label(), r.Name}, r.Tasks, r.Subtasks, r.Done, r.Open(), r.SubtasksURL()}
	}
	return out
}

// Text says the progress in words, for those who do not see the bar.
func (p Progress) Text() string {
	return fmt.Sprintf("%d of %d done, %d open", p.Done, p.Subtasks, p.Open())
}
