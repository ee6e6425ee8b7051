package web

import (
	"context"
	"strconv"

	"github.com/gin-gonic/gin"

	"tenanted/models"
)

func taskPath(id int64) string { return "/task/" + strconv.FormatInt(id, 10) + "/" }

func taskRecord(t models.Task) record {
	return record{ID: t.ID, Version: t.Version, Label: t.Label(), Name: t.Name, Path: taskPath(t.ID), Above: projectPath(t.ProjectID),
		values: values{models.FieldName: t.Name, models.FieldProject: numText(t.ProjectID)},
		json:   taskDocument{labelJSON{t.ID, t.Label(), t.Name}, t.Version, labelJSON{t.ProjectID, t.Project.Label(), t.Project.Name}}}
}

// taskDocument is one task for programs.
type taskDocument struct {
	labelJSON
	Version int       `json:"version"`
	Project labelJSON `json:"project"`
}

var taskFields = []field{nameField, {Name: models.FieldProject, Label: "Project", kind: rowNumber, Required: true}}

// taskNoun says how tasks are written.
func (s *site) taskNoun() noun {
	tasks := s.Models.Tasks
	recorded := func(t models.Task, err error) (record, error) { return taskRecord(t), err }
	input := func(v values) models.TaskInput {
		return models.TaskInput{Name: v[models.FieldName], Project: v.id(models.FieldProject)}
	}
	return noun{
		name: "task", list: "/projects/", deleting: models.DeleteWork, fields: taskFields,
		choices: func(ctx context.Context, v values) (map[string][]choice, error) {
			rows, more, err := s.someProjects(ctx)
			return offered(nil, models.FieldProject, rows, more), err
		},
		get: func(ctx context.Context, id int64) (record, error) { return recorded(tasks(ctx).Get(id)) },
		create: func(ctx context.Context, v values, key string) (record, error) {
			return recorded(tasks(ctx).Create(input(v), key))
		},
		update: func(ctx context.Context, id int64, version int, v values) (record, error) {
			return recorded(tasks(ctx).Update(id, version, input(v)))
		},
		delete: func(ctx context.Context, id int64, version int, r models.Removal) error {
			return tasks(ctx).Delete(id, version, r)
		},
		dependents: func(ctx context.Context, id int64) (models.Dependents, error) { return tasks(ctx).Dependents(id) },
		others:     s.someTasks,
	}
}

// offered adds what a select offers, unless there are more rows.
func offered(all map[string][]choice, name string, rows []choice, more bool) map[string][]choice {
	if all == nil {
		all = map[string][]choice{}
	}
	if !more {
		all[name] = append([]choice{}, rows...)
	}
	return all
}

// someTasks are the tasks that a select offers.
func (s *site) someTasks(ctx context.Context) (rows []choice, more bool, err error) {
	found, more, err := s.Models.Tasks(ctx).Names(maxChoices)
	for _, t := range found {
		text := t.Label() + ": " + shortName(t.Name, maxOption) + " (" + shortName(t.Project.Name, maxOption/2) + ")"
		rows = append(rows, choice{strconv.FormatInt(t.ID, 10), text, false})
	}
	return rows, more, err
}

// taskView is the page of one task.
type taskView struct {
	record
	Return     string
	Project    pageLink
	NewSubtask string // path of the form
	Rows       []subtaskRow
	Pages      pagination
}

// task shows one task and its subtasks.
func (s *site) task(c *gin.Context) error {
	id, err := idOf(c, "task")
	if err != nil {
		return err
	}
	t, err := s.Models.Tasks(c.Request.Context()).Get(id)
	if err != nil {
		return missing(err, "task", id)
	}
	r := taskRecord(t)
	rows, pages, err := s.subtasksBelow(c, r.Path, models.SubtaskFilter{Task: id})
	if err != nil {
		return err
	}
	page := taskView{record: r, Return: returnTo(c), Project: pageLink{Text: projectText(t.Project), URL: r.Above},
		NewSubtask: "/subtasks/new?task=" + numText(id), Rows: rows, Pages: pages}
	s.respond(c, answer{title: r.Label, page: showTask(page), json: func() any { return r.json }})
	return nil
}
