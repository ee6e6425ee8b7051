package web

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
)

// readyTimeout bounds the question whether we are ready: a probe does not wait long.
const readyTimeout = 2 * time.Second

// healthy says that the process lives. It asks nothing else, so a database that is away restarts nothing.
func (s *site) healthy(c *gin.Context) {
	c.String(http.StatusOK, "ok\n")
}

// ready says whether requests can be served now.
func (s *site) ready(c *gin.Context) {
	if s.Ready != nil {
		ctx, cancel := context.WithTimeout(c.Request.Context(), readyTimeout)
		defer cancel()
		if err := s.Ready(ctx); err != nil {
			s.Logger.WarnContext(ctx, "not ready", "error", err)
			c.Header("Retry-After", "5")
			c.String(http.StatusServiceUnavailable, "not ready\n")
			return
		}
	}
	c.String(http.StatusOK, "ready\n"+s.serversAway(c.Request.Context())+s.notServed()+s.drift(c.Request.Context()))
}

// serversAway has a line for each server that does not answer. The tenants on others are served, so the process is ready.
func (s *site) serversAway(ctx context.Context) string {
	if s.Away == nil {
		return ""
	}
	away := s.Away(ctx)
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(away)) {
		fmt.Fprintf(&b, "server away: %s: %s\n", name, away[name])
	}
	return b.String()
}

// drift has a line for each version that is not this program's.
func (s *site) drift(ctx context.Context) string {
	if s.Drift == nil {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	var b strings.Builder
	for _, line := range s.Drift(ctx) {
		fmt.Fprintf(&b, "%s\n", line)
	}
	return b.String()
}

// maxNotServed bounds the lines of /readyz.
const maxNotServed = 50

// notServed has a line for each tenant that could not be served lately. The others are, so the process is ready.
func (s *site) notServed() string {
	if s.NotServed == nil {
		return ""
	}
	problems := s.NotServed()
	var b strings.Builder
	for i, slug := range slices.Sorted(maps.Keys(problems)) {
		if i == maxNotServed {
			fmt.Fprintf(&b, "and %d more\n", len(problems)-i)
			break
		}
		fmt.Fprintf(&b, "not served: %s: %s\n", slug, problems[slug])
	}
	return b.String()
}
