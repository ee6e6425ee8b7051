package web

import (
	_ "embed"
	"net/http"

	"github.com/gin-gonic/gin"
)

// openAPIDocument describes the JSON that programs get. A test compares it with what the handlers answer.
//
//go:embed openapi.json
var openAPIDocument []byte

func (s *site) openAPI(c *gin.Context) error {
	write(c, http.StatusOK, "application/json", openAPIDocument)
	return nil
}
