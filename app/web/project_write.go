package web

import (
	"context"
	"strconv"

	"github.com/gin-gonic/gin"

	"tenanted/models"
)

var nameField = field{Name: models.FieldName, Label: "Name", max: models.MaxName, Required: true}

func projectPath(id int64) string { return "/project/" + strconv.FormatInt(id, 10) + "/" }

func projectRecord(p models.Project) record {
	return record{ID: p.ID, Version: p.Version, Label: p.Label(), Name: p.Name, Path: projectPath(p.ID), Above: "/projects/",
		values: values{models.FieldName: p.Name}, json: projectDocument{labelJSON{p.ID, p.Label(), p.Name}, p.Version}}
}

// projectDocument is one project for programs.
type projectDocument struct {
	labelJSON
	Version int `json:"version"`
}

// projectNoun says how projects are written.
func (s *site) projectNoun() noun {
	projects := s.Models.Projects
	recorded := func(p models.Project, err error) (record, error) { return projectRecord(p), err }
	input := func(v values) models.ProjectInput { return models.ProjectInput{Name: v[models.FieldName]} }
	return noun{
		name: "project", list: "/projects/", deleting: models.DeleteProjects, fields: []field{nameField},
		choices: func(context.Context, values) (map[string][]choice, error) { return nil, nil },
		get:     func(ctx context.Context, id int64) (record, error) { return recorded(projects(ctx).Get(id)) },
		create: func(ctx context.Context, v values, key string) (record, error) {
			return recorded(projects(ctx).Create(input(v), key))
		},
		update: func(ctx context.Context, id int64, version int, v values) (record, error) {
			return recorded(projects(ctx).Update(id, version, input(v)))
		},
		delete: func(ctx context.Context, id int64, version int, r models.Removal) error {
			return projects(ctx).Delete(id, version, r)
		},
		dependents: func(ctx context.Context, id int64) (models.Dependents, error) { return projects(ctx).Dependents(id) },
		others:     s.someProjects,
	}
}

// someProjects are the projects that a select offers.
func (s *site) someProjects(ctx context.Context) (rows []choice, more bool, err error) {
	found, more, err := s.Models.Projects(ctx).Names(maxChoices)
	for _, p := range found {
		rows = append(rows, choice{strconv.FormatInt(p.ID, 10), projectText(p), false})
	}
	return rows, more, err
}

// projectView is the page of one project.
type projectView struct {
	record
	Return  string
	NewTask string // path of the form
	All     string // path of the list of its subtasks
	Rows    []taskRow
	Pages   pagination
}

// taskRow is a task as the template shows it.
type taskRow struct {
	models.TaskRow
	URL string
}

// project shows one project and its tasks.
func (s *site) project(c *gin.Context) error {
	n := s.projectNoun()
	r, err := n.record(c)
	if err != nil {
		return err
	}
	view, err := readPages(c, r.Path)
	if err != nil {
		return err
	}
	rows, at, err := s.Models.Tasks(c.Request.Context()).Page(r.ID, view.Page, view.Size)
	if err != nil {
		return noPage(err, view)
	}
	here := view.url(at.Number)
	page := projectView{record: r, Return: returnTo(c), Pages: pagination{at, view, "task"},
		NewTask: "/tasks/new?project=" + numText(r.ID), All: "/subtasks/?project=" + numText(r.ID)}
	for _, row := range rows {
		page.Rows = append(page.Rows, taskRow{row, withReturn(taskPath(row.ID), here)})
	}
	s.respond(c, answer{title: r.Label, page: showProject(page), json: func() any { return r.json }})
	return nil
}

// readPages reads which page of the rows is shown that belong to a row, at whose page they are.
func readPages(c *gin.Context, path string) (listView, error) {
	o := offer{path: path[:len(path)-1], sorts: []choice{{"name", "Name", false}}}
	v := listView{offer: o, Sort: "name"}
	q := readQuery(c.Request.URL.RawQuery, "page", "size")
	v.Size = q.size("size")
	if q.err != nil {
		return v, q.err
	}
	var err error
	v.Page, err = parsePage("", q.text("page"))
	return v, err
}
