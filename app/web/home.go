package web

import (
	"net/http"

	"github.com/gin-gonic/gin"
)

// homeJSON is the first page of a bare domain without a list, for programs.
type homeJSON struct {
	OpenAPI string `json:"openapi"`
}

// first leads from / to the first list of this host. On a bare domain without one it says where tenants are.
func (s *site) first(c *gin.Context) error {
	switch {
	case !onBareDomain(c) || s.AllTenants:
		redirect(c, http.StatusFound, "/subtasks/")
	case s.List != nil:
		redirect(c, http.StatusFound, "/tenants/")
	default:
		s.respond(c, answer{title: "Welcome", page: homePage(c.Request.Host),
			json: func() any { return homeJSON{absolute(c, "/openapi.json")} }})
	}
	return nil
}
