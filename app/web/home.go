package web

import (
	"net/http"

	"github.com/gin-gonic/gin"
)

// homeJSON is the first page of a bare domain without a list, for programs.
type homeJSON struct {
	OpenAPI string `json:"openapi"`
}

// home leads from / to the first list of this host. On a bare domain without one it says where tenants are.
func (s *site) home(c *gin.Context) error {
	switch {
	case !onBareDomain(c) || s.AllTenants:
		redirect(c, http.StatusFound, "/subtasks/")
	case s.List != nil:
		redirect(c, http.StatusFound, "/tenants/")
	default:
		s.respond(c, answer{template: "home", title: "Welcome", body: c.Request.Host,
			json: func() any { return homeJSON{"/openapi.json"} }})
	}
	return nil
}
