package web

import (
	"errors"
	"net/http"
	"strconv"

	"github.com/gin-gonic/gin"
	"github.com/gin-gonic/gin/binding"
	"gorm.io/gorm"

	"tenanted/models"
	"tenanted/scopes"
)

// complete marks a subtask done or open, whichever the form or JSON document says, and leads back to the
// view that the request's query names. Saying it twice is no harm.
func (s *site) complete(c *gin.Context) error {
	if onBareDomain(c) {
		return refuse(http.StatusForbidden, "The list over all tenants is read-only. Open the tenant's own list to change a subtask.")
	}
	view, err := readSubtaskView(c, false, "")
	if err != nil {
		return err
	}
	number, err := strconv.ParseUint(c.Param("number"), 10, 63) // which takes no sign
	id := int64(number)
	if err != nil || id < 1 {
		return refuse(http.StatusNotFound, "There is no subtask “%s” here.", c.Param("number"))
	}
	done, err := readComplete(c)
	if err != nil {
		return err
	}
	if err := s.setComplete(c, id, done); err != nil {
		return err
	}
	if wantsJSON(c.Request) {
		s.respond(c, answer{json: func() any { return completeJSON{id, done} }})
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

// readComplete reads complete=true or false from a form or a JSON document.
func readComplete(c *gin.Context) (bool, error) {
	var body struct {
		Form string `form:"complete" json:"-"`
		JSON *bool  `form:"-" json:"complete"`
	}
	var kind binding.Binding = binding.Form
	if c.ContentType() == binding.MIMEJSON {
		kind = binding.JSON
	}
	err := c.ShouldBindWith(&body, kind)
	if errors.As(err, new(*http.MaxBytesError)) {
		return false, err
	}
	switch {
	case err == nil && body.JSON != nil:
		return *body.JSON, nil
	case err == nil && (body.Form == "true" || body.Form == "false"):
		return body.Form == "true", nil
	}
	return false, refuse(http.StatusBadRequest, "The request must say complete=true or complete=false, as a form or as JSON.")
}

// setComplete changes the tenant's own subtask. Another tenant's is not there.
func (s *site) setComplete(c *gin.Context, id int64, done bool) error {
	db := s.DB.WithContext(c.Request.Context()).Scopes(scopes.RequireRows)
	err := db.Model(&models.Subtask{}).Where("id = ?", id).Update("complete", done).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return refuse(http.StatusNotFound, "There is no subtask #%d here.", id)
	}
	return err
}

// backToView leads to the page that the change was made on, or to the last one if it is gone: under a
// filter, a change takes its row out of the list.
func (s *site) backToView(c *gin.Context, v subtaskView) error {
	if v.Page > 1 {
		db := s.DB.WithContext(c.Request.Context())
		var count int64
		if err := v.filter(db, db.Model(&models.Subtask{})).Count(&count).Error; err != nil {
			return err
		}
		v.Page = min(v.Page, pagesOf(count, v.Size))
	}
	redirect(c, http.StatusSeeOther, v.url(v.Page))
	return nil
}
