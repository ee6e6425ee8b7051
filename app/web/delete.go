package web

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"github.com/gin-gonic/gin"

	"tenanted/models"
)

// deleteView is the page that asks before a row is deleted.
type deleteView struct {
	record
	Noun, Action, Back, Return string
	Has                        models.Dependents
	Problem                    string    // why it is not deleted yet
	MoveTo                     formField // the row that gets what belongs to it
	Move                       bool      // is what was chosen
}

func (s *site) deleteForm(c *gin.Context, n noun) error {
	return s.showDelete(c, n, http.StatusOK, deleteView{})
}

// showDelete answers with the page, of which d says what is not as it was at first.
func (s *site) showDelete(c *gin.Context, n noun, status int, d deleteView) (err error) {
	ctx := c.Request.Context()
	if err := s.Models.Allowed(ctx, n.deleting); err != nil {
		return err
	}
	if d.record, err = n.record(c); err != nil {
		return err
	}
	d.Noun, d.Action, d.Return = n.name, d.Path+"delete", returnTo(c)
	d.Back = withReturn(d.Path, d.Return)
	if n.dependents != nil {
		if d.Has, err = n.dependents(ctx, d.ID); err != nil {
			return err
		}
		rows, more, err := n.others(ctx)
		if err != nil {
			return err
		}
		f := field{Name: models.FieldMoveTo, Label: nouns[n.name], kind: rowNumber}
		var offered map[string][]choice
		if !more {
			itself := func(row choice) bool { return row.Value == numText(d.ID) }
			offered = map[string][]choice{f.Name: slices.DeleteFunc(rows, itself)}
		}
		d.MoveTo = formFields([]field{f}, values{f.Name: d.MoveTo.Value}, offered, map[string]string{f.Name: d.MoveTo.Error})[0]
	}
	s.respond(c, answer{status: status, title: "Delete " + d.Label, page: deletePage(d), json: func() any { return nil }})
	return nil
}

// confirmDelete deletes a row as the page's form says.
func (s *site) confirmDelete(c *gin.Context, n noun) error {
	r, err := n.record(c)
	if err != nil {
		return err
	}
	in, err := readForm(c, []field{{Name: "how"}, {Name: "tasks"}, {Name: "subtasks"}, {Name: models.FieldMoveTo, kind: rowNumber}})
	if err != nil {
		return err
	}
	d := deleteView{MoveTo: formField{Value: in.values[models.FieldMoveTo]}, Move: in.values["how"] == "move"}
	removal := models.Removal{}
	switch in.values["how"] {
	case "move":
		if removal.MoveTo = in.id(models.FieldMoveTo); removal.MoveTo == 0 {
			removal.MoveTo = -1 // is no row's
		}
	case "with":
		removal.With = &models.Dependents{Tasks: count(in.values["tasks"]), Subtasks: count(in.values["subtasks"])}
	}
	err = n.delete(c.Request.Context(), r.ID, in.version, removal)
	invalid, isInvalid := errors.AsType[*models.InvalidError](err)
	switch {
	case isInvalid:
		d.MoveTo.Error = invalid.Fields[models.FieldMoveTo]
		return s.showDelete(c, n, http.StatusUnprocessableEntity, d)
	case errors.As(err, new(*models.DependentsError)):
		d.Problem = "Nothing is deleted yet. Say what becomes of what belongs to it, which may have changed since you opened this page."
		return s.showDelete(c, n, http.StatusConflict, d)
	case errors.As(err, new(*models.ConflictError)):
		d.Problem = "Nothing is deleted yet: it has been changed since you opened this page. This is how it is now."
		return s.showDelete(c, n, http.StatusConflict, d)
	case err != nil:
		return missing(err, n.name, r.ID)
	}
	leaveNotice(c, "deleted", n.name, r.ID)
	redirect(c, http.StatusSeeOther, cmp.Or(returnTo(c), r.Above))
	return nil
}

// remove deletes a row for programs: the query says of which version, and what becomes of what belongs to it.
func (s *site) remove(c *gin.Context, n noun) error {
	r, err := n.record(c)
	if err != nil {
		return err
	}
	q := readQuery(c.Request.URL.RawQuery, versionField, models.FieldMoveTo, "tasks", "subtasks")
	removal := models.Removal{MoveTo: q.id(models.FieldMoveTo)}
	version := int(q.id(versionField))
	if q.text("tasks")+q.text("subtasks") != "" {
		removal.With = &models.Dependents{Tasks: count(q.text("tasks")), Subtasks: count(q.text("subtasks"))}
	}
	switch {
	case q.err != nil:
		return q.err
	case version == 0:
		return refuse(http.StatusPreconditionRequired, "Say which version is deleted: this one is %d.", r.Version)
	case removal.MoveTo != 0 && removal.With != nil:
		return refuse(http.StatusBadRequest, "What belongs to it is either moved, by move_to, or deleted, by tasks and subtasks.")
	}
	if err := n.delete(c.Request.Context(), r.ID, version, removal); err != nil {
		return missing(err, n.name, r.ID)
	}
	c.Status(http.StatusNoContent)
	return nil
}

// count reads how many rows somebody saw; what is no number is -1, which none are.
func count(text string) int64 {
	if text == "" {
		return 0
	}
	n, err := strconv.ParseUint(text, 10, 63)
	if err != nil {
		return -1
	}
	return int64(n)
}

// dependentsText says what belongs to a row: empty for nothing.
func dependentsText(d models.Dependents) string {
	switch {
	case d.Tasks > 0 && d.Subtasks > 0:
		return some(d.Tasks, "task") + " with " + some(d.Subtasks, "subtask")
	case d.Tasks > 0:
		return some(d.Tasks, "task")
	case d.Subtasks > 0:
		return some(d.Subtasks, "subtask")
	}
	return ""
}

// some is a number of things: "1 task", "1,200 tasks".
func some(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%s %ss", thousands(n), noun)
}
