package web

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"

	"github.com/gin-gonic/gin"
	"github.com/gin-gonic/gin/binding"

	"tenanted/models"
)

// complete marks a subtask done or open, whichever the form or JSON document says, and leads back to the
// view that the request's query names. Saying it twice is no harm.
func (s *site) complete(c *gin.Context) error {
	if onBareDomain(c) {
		return refuse(http.StatusForbidden, "The list over all tenants is read-only. Open the tenant's own list to change a subtask.")
	}
	view, err := readList(c, subtaskOffer(false))
	if err != nil {
		return err
	}
	id, err := idOf(c, "subtask")
	if err != nil {
		return err
	}
	done, err := readComplete(c)
	if err != nil {
		return err
	}
	err = s.Models.Subtasks(c.Request.Context()).SetComplete(id, done)
	if errors.Is(err, models.ErrNotFound) {
		return refuse(http.StatusNotFound, "There is no subtask #%d here.", id)
	}
	if err != nil {
		return err
	}
	if wantsJSON(c.Request) {
		s.respond(c, answer{json: func() any { return completeJSON{id, done} }})
		return nil
	}
	if target := returnTo(c); target != "" {
		leaveNotice(c, map[bool]string{true: "done", false: "open"}[done], "subtask", id)
		redirect(c, http.StatusSeeOther, target)
		return nil
	}
	leaveFlash(c, id, done)
	return s.backToView(c, view)
}

// completeJSON is what is so after a change.
type completeJSON struct {
	ID       int64 `json:"id"`
	Complete bool  `json:"complete"`
}

// readComplete reads complete=true or false from a form or a JSON document, and takes nothing else.
func readComplete(c *gin.Context) (bool, error) {
	if isJSON(c.Request) {
		return readCompleteJSON(c.Request.Body)
	}
	var body struct {
		Complete string `form:"complete"`
	}
	err := c.ShouldBindWith(&body, binding.Form)
	switch {
	case errors.As(err, new(*http.MaxBytesError)):
		return false, err
	case err == nil && (body.Complete == "true" || body.Complete == "false"):
		return body.Complete == "true", nil
	}
	return false, refuse(http.StatusBadRequest, "The request must say complete=true or complete=false, as a form or as JSON.")
}

func readCompleteJSON(body io.Reader) (bool, error) {
	var document struct {
		Complete *bool `json:"complete"`
	}
	d := json.NewDecoder(body)
	d.DisallowUnknownFields()
	err := d.Decode(&document)
	if err == nil {
		_, err = d.Token() // nothing may follow
	}
	switch {
	case errors.As(err, new(*http.MaxBytesError)):
		return false, err
	case errors.Is(err, io.EOF) && document.Complete != nil:
		return *document.Complete, nil
	}
	return false, refuse(http.StatusBadRequest, `The body must be {"complete": true} or {"complete": false}, and nothing else.`)
}

// backToView leads to the page that the change was made on, or to the last one if it is gone: under a
// filter, a change takes its row out of the list.
func (s *site) backToView(c *gin.Context, v listView) error {
	if v.Page > 1 {
		at, err := s.Models.Subtasks(c.Request.Context()).Filter(subtaskFilter(v)).Locate(v.Page, v.Size)
		if _, gone := errors.AsType[*models.PageError](err); err != nil && !gone {
			return err
		}
		v.Page = at.Number
	}
	target := v.url(v.Page)
	if row := c.Query("row"); validRow(row, v.Size) {
		target += "#row-" + row
	}
	redirect(c, http.StatusSeeOther, target)
	return nil
}

// validRow reports whether text is the number of a row of a page.
func validRow(text string, size int) bool {
	row, err := strconv.Atoi(text)
	return err == nil && row >= 1 && row <= size && text == strconv.Itoa(row)
}
