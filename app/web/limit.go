package web

import (
	"errors"

	"github.com/gin-gonic/gin"

	"tenanted/scopes/tenanthttp"
)

// limit refuses a request when too many are under way.
func (s *site) limit(c *gin.Context) {
	leave, err := s.limiter.Enter()
	if err != nil {
		s.metrics.refused("total")
		s.fail(c, err)
		return
	}
	defer leave()
	c.Next()
}

// acquireSlot waits until the tenant may have one more request worked on, and starts its clock then.
func (s *site) acquireSlot(c *gin.Context) {
	done, err := s.limiter.Acquire(c.Request.Context())
	if err != nil {
		if errors.Is(err, tenanthttp.ErrBusy) { // else the client has gone
			s.metrics.refused("tenant")
		}
		s.fail(c, err)
		return
	}
	defer done()
	defer s.withTimeout(c)()
	c.Next()
}
