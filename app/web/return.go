package web

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
)

const maxReturn = 500 // bytes

// returnTo is where the reader came from, as the query or the form says: a path of this host, with a query and a fragment, or
// nothing. Anything else is as nothing.
func returnTo(c *gin.Context) string {
	target := c.Query(returnField)
	if target == "" && c.Request.PostForm != nil {
		target = c.Request.PostForm.Get(returnField)
	}
	if !isLocal(target) {
		return ""
	}
	return target
}

// isLocal reports whether a browser takes an address for a path of the host that it is at. Browsers leave out tabs and line
// breaks, and take a backslash for a slash.
func isLocal(target string) bool {
	if !strings.HasPrefix(target, "/") || len(target) > maxReturn || strings.HasPrefix(target, "//") ||
		strings.ContainsFunc(target, func(r rune) bool { return r <= ' ' || r == '\\' || r == 0x7f }) {
		return false
	}
	u, err := url.Parse(target)
	return err == nil && u.Host == "" && u.Scheme == ""
}

// withReturn adds where the reader came from to a path.
func withReturn(path, target string) string {
	if target == "" {
		return path
	}
	return withQuery(path, url.Values{returnField: {target}})
}

const noticeCookie = "notice"

// noticeTexts are what a notice may say of a row, after its label.
var noticeTexts = map[string]string{
	"created": "is created.", "saved": "is saved.", "deleted": "is deleted.", "done": "is done.", "open": "is open again.",
}

// leaveNotice leaves a message about the last change for the next page, in a cookie, as leaveFlash does. It has the row's number and no
// text, so one that is made up says nothing.
func leaveNotice(c *gin.Context, what string, n string, id int64) {
	setNoticeCookie(c, what+"."+n+"."+strconv.FormatInt(id, 10), time.Minute)
}

func setNoticeCookie(c *gin.Context, value string, age time.Duration) {
	seconds := int(age.Seconds())
	if value == "" {
		seconds = -1
	}
	http.SetCookie(c.Writer, &http.Cookie{
		Name: noticeCookie, Value: value, Path: "/", MaxAge: seconds, HttpOnly: true, SameSite: http.SameSiteStrictMode,
	})
}

// takeNotice returns the message that the last request left, and forgets it.
func takeNotice(c *gin.Context) string {
	cookie, err := c.Request.Cookie(noticeCookie)
	if err != nil || onBareDomain(c) {
		return ""
	}
	setNoticeCookie(c, "", 0)
	parts := strings.Split(cookie.Value, ".")
	if len(parts) != 3 || noticeTexts[parts[0]] == "" || nouns[parts[1]] == "" {
		return ""
	}
	id, ok := parseID(parts[2])
	if !ok {
		return ""
	}
	return nouns[parts[1]] + " #" + strconv.FormatInt(id, 10) + " " + noticeTexts[parts[0]]
}

// nouns are what people write, as labels begin.
var nouns = map[string]string{"project": "Project", "task": "Task", "subtask": "Subtask"}
