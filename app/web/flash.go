package web

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"tenanted/models"
)

const (
	flashCookie = "flash"
	flashPath   = "/subtasks/"
	flashAge    = time.Minute
)

// flash is a message about the last change, and the way to undo it.
type flash struct {
	Before, Name, After string // the text, around the name of the row
	UndoURL, UndoText   string
	Complete            bool // what to set to undo
}

// leaveFlash remembers the change until the next page, in a cookie: that way it is shown once, to whoever
// made the change, and is no part of the view's address. The cookie names the row only; what it is
// called is read as the tenant, so a cookie made up shows nothing that its maker could not see.
func leaveFlash(c *gin.Context, id int64, done bool) {
	setFlashCookie(c, fmt.Sprintf("%d.%t", id, done), int(flashAge.Seconds()))
}

func setFlashCookie(c *gin.Context, value string, age int) {
	http.SetCookie(c.Writer, &http.Cookie{
		Name: flashCookie, Value: value, Path: flashPath, MaxAge: age,
		HttpOnly: true, SameSite: http.SameSiteStrictMode,
	})
}

// takeFlash returns the message that the last request left, if there is one, and forgets it.
func (s *site) takeFlash(c *gin.Context, p subtaskPage) (*flash, error) {
	cookie, err := c.Request.Cookie(flashCookie)
	if err != nil || p.All || wantsJSON(c.Request) {
		return nil, nil
	}
	setFlashCookie(c, "", -1)
	id, done, ok := parseFlash(cookie.Value)
	if !ok {
		return nil, nil
	}
	row, err := s.Models.Subtasks(c.Request.Context()).Get(id)
	if errors.Is(err, models.ErrNotFound) {
		return nil, nil
	}
	return newFlash(row, done, p.View), err
}

func parseFlash(value string) (id int64, done, ok bool) {
	number, state, _ := strings.Cut(value, ".")
	id, err := strconv.ParseInt(number, 10, 64)
	return id, state == "true", err == nil && (state == "true" || state == "false")
}

func newFlash(row models.Subtask, done bool, v listView) *flash {
	f := &flash{Before: "“", Name: shortName(row.Name, maxHead), UndoURL: completeURL(v, row.ID, 1), Complete: !done}
	if done {
		f.After, f.UndoText = fmt.Sprintf("” (%s) is done.", row.Label()), "Reopen it"
	} else {
		f.After, f.UndoText = fmt.Sprintf("” (%s) is open again.", row.Label()), "Mark it done"
	}
	return f
}
