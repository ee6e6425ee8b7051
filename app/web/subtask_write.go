package web

import (
	"context"
	"errors"
	"net/url"
	"strconv"

	"github.com/gin-gonic/gin"

	"tenanted/models"
)

func subtaskPath(id int64) string { return "/subtask/" + strconv.FormatInt(id, 10) + "/" }

func subtaskRecord(st models.Subtask) record {
	assignee := ""
	if st.AssigneeID != nil {
		assignee = numText(*st.AssigneeID)
	}
	return record{ID: st.ID, Version: st.Version, Label: st.Label(), Name: st.Name, Path: subtaskPath(st.ID), Above: taskPath(st.TaskID),
		values: values{models.FieldName: st.Name, models.FieldDetails: st.Details, models.FieldTask: numText(st.TaskID), models.FieldAssignee: assignee},
		json:   subtaskDocument(st)}
}

var subtaskFields = []field{
	nameField,
	{Name: models.FieldDetails, Label: "Details", kind: manyLines, max: models.MaxDetails},
	{Name: models.FieldTask, Label: "Task", kind: rowNumber, Required: true},
	{Name: models.FieldAssignee, Label: "Assigned to", kind: rowNumber, none: "Nobody"},
}

// subtaskNoun says how subtasks are written.
func (s *site) subtaskNoun() noun {
	subtasks := s.Models.Subtasks
	recorded := func(st models.Subtask, err error) (record, error) { return subtaskRecord(st), err }
	input := func(v values) models.SubtaskInput {
		return models.SubtaskInput{Name: v[models.FieldName], Details: v[models.FieldDetails],
			Task: v.id(models.FieldTask), Assignee: v.id(models.FieldAssignee)}
	}
	return noun{
		name: "subtask", list: "/subtasks/", deleting: models.DeleteWork, fields: subtaskFields, choices: s.subtaskChoices,
		get: func(ctx context.Context, id int64) (record, error) { return recorded(subtasks(ctx).WithParents(id)) },
		create: func(ctx context.Context, v values, key string) (record, error) {
			return recorded(subtasks(ctx).Create(input(v), key))
		},
		update: func(ctx context.Context, id int64, version int, v values) (record, error) {
			return recorded(subtasks(ctx).Update(id, version, input(v)))
		},
		delete: func(ctx context.Context, id int64, version int, _ models.Removal) error {
			return subtasks(ctx).Delete(id, version)
		},
	}
}

// subtaskChoices are the tasks and users that the form offers: also a user who has it and is no longer active.
func (s *site) subtaskChoices(ctx context.Context, v values) (map[string][]choice, error) {
	tasks, more, err := s.someTasks(ctx)
	if err != nil {
		return nil, err
	}
	all := offered(nil, models.FieldTask, tasks, more)
	users, more, err := s.Models.Users(ctx).Assignees(maxChoices)
	if err != nil {
		return nil, err
	}
	var people []choice
	has := false
	for _, u := range users {
		people = append(people, choice{numText(u.ID), userText(u), false})
		has = has || numText(u.ID) == v[models.FieldAssignee]
	}
	if id := v.id(models.FieldAssignee); id > 0 && !has && !more {
		u, err := s.Models.Users(ctx).Get(id)
		if err != nil && !errors.Is(err, models.ErrNotFound) {
			return nil, err
		}
		if err == nil {
			people = append(people, choice{numText(u.ID), userText(u), false})
		}
	}
	return offered(all, models.FieldAssignee, people, more), nil
}

// subtaskDocument is one subtask for programs, as in a list but for the account's name.
func subtaskDocument(st models.Subtask) subtaskJSON {
	task, project := st.Task, st.Task.Project
	return subtaskJSON{
		ID: st.ID, Label: st.Label(), Name: st.Name, Complete: st.Complete, Details: st.Details, Version: st.Version, Assignee: st.AssigneeID,
		Account: labelJSON{ID: int64(st.AccountID), Label: accountLabel(st.AccountID)},
		Project: labelJSON{project.ID, project.Label(), project.Name},
		Task:    labelJSON{task.ID, task.Label(), task.Name},
	}
}

// subtaskView is the page of one subtask.
type subtaskView struct {
	record
	subtaskRow
	Return        string
	Project, Task pageLink
	Assignee      *pageLink // nil: nobody
	Text          string    // its details
}

// subtask shows one subtask.
func (s *site) subtask(c *gin.Context) error {
	id, err := idOf(c, "subtask")
	if err != nil {
		return err
	}
	ctx := c.Request.Context()
	st, err := s.Models.Subtasks(ctx).WithParents(id)
	if err != nil {
		return missing(err, "subtask", id)
	}
	r := subtaskRecord(st)
	page := subtaskView{record: r, Return: returnTo(c), Text: clean(st.Details),
		Project: pageLink{Text: projectText(st.Task.Project), URL: projectPath(st.Task.ProjectID)},
		Task:    pageLink{Text: st.Task.Label() + ": " + shortName(st.Task.Name, maxOption), URL: r.Above}}
	page.subtaskRow = subtaskRow{Label: st.Label(), Complete: st.Complete, Anchor: anchor(1),
		CompleteURL: completeReturning(id, withReturn(r.Path, page.Return)+"#"+anchor(1))}
	if st.AssigneeID != nil {
		u, err := s.Models.Users(ctx).Get(*st.AssigneeID)
		if err != nil && !errors.Is(err, models.ErrNotFound) {
			return err
		}
		page.Assignee = &pageLink{Text: userText(u), URL: userPath(u.ID)}
	}
	s.respond(c, answer{title: r.Label, page: showSubtask(page), json: func() any { return r.json }})
	return nil
}

// completeReturning is where a subtask is marked done or open, for pages that are no view of the list.
func completeReturning(id int64, target string) string {
	return withQuery("/subtask/"+strconv.FormatInt(id, 10)+"/complete", url.Values{returnField: {target}})
}

// subtasksBelow reads the subtasks that belong to what a page shows.
func (s *site) subtasksBelow(c *gin.Context, path string, f models.SubtaskFilter) ([]subtaskRow, pagination, error) {
	view, err := readPages(c, path)
	if err != nil {
		return nil, pagination{}, err
	}
	found, at, err := s.Models.Subtasks(c.Request.Context()).Filter(f).Page(models.ByName, view.Page, view.Size)
	if err != nil {
		return nil, pagination{}, noPage(err, view)
	}
	here := view.url(at.Number)
	rows := make([]subtaskRow, len(found))
	for i, st := range found {
		target := here + "#" + anchor(i+1)
		rows[i] = subtaskRow{Label: st.Label(), Name: nameText(st.Name), Details: detailsText(st.Details), Complete: st.Complete,
			URL: withReturn(subtaskPath(st.ID), target), CompleteURL: completeReturning(st.ID, target), Anchor: anchor(i + 1)}
	}
	return rows, pagination{at, view, "subtask"}, nil
}
