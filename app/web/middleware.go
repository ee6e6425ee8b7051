package web

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"tenanted/scopes"
	"tenanted/scopes/tenanthttp"
)

const (
	requestIDHeader = "X-Request-ID"
	maxRequestID    = 64
	maxBody         = 64 << 10
)

// requestID gives every request an id, or keeps the one a proxy gave it, and tells it in the answer.
func requestID(c *gin.Context) {
	id := c.GetHeader(requestIDHeader)
	if !validRequestID(id) {
		id = rand.Text()
	}
	c.Request = c.Request.WithContext(context.WithValue(c.Request.Context(), requestIDKey{}, id))
	c.Header(requestIDHeader, id)
}

func validRequestID(id string) bool {
	const chars = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
	return id != "" && len(id) <= maxRequestID && strings.Trim(id, chars) == ""
}

// observe logs and counts a request once it is answered.
func (s *site) observe(c *gin.Context) {
	begin := time.Now()
	defer func() {
		took := time.Since(begin)
		s.metrics.request(c.FullPath(), c.Request.Method, c.Writer.Status(), took)
		if s.AccessLog != nil {
			s.AccessLog.LogAttrs(c.Request.Context(), slog.LevelInfo, "request", accessAttrs(c, took)...)
		}
	}()
	c.Next()
}

func accessAttrs(c *gin.Context, took time.Duration) []slog.Attr {
	attrs := []slog.Attr{
		slog.String("method", c.Request.Method),
		slog.String("host", c.Request.Host),
		slog.String("path", c.Request.URL.Path),
		slog.Int("status", c.Writer.Status()),
		slog.Int("bytes", max(c.Writer.Size(), 0)),
		slog.Duration("took", took),
	}
	if name := c.GetString(operatorOfRequest); name != "" {
		attrs = append(attrs, slog.String("operator", name))
	}
	return attrs
}

// recover turns a panic into a 500 page, and logs it with its stack. A statement without a tenant is
// such a panic: a mistake of ours, that showed no data to anyone.
func (s *site) recover(c *gin.Context) {
	defer func() {
		value := recover()
		if value == nil {
			return
		}
		if value == http.ErrAbortHandler {
			panic(value)
		}
		err, ok := value.(error)
		if !ok {
			err = fmt.Errorf("panic: %v", value)
		}
		s.Logger.ErrorContext(c.Request.Context(), "panic", "error", err,
			"path", c.Request.URL.Path, "stack", string(debug.Stack()))
		s.fail(c, &panicError{err})
	}()
	c.Next()
}

// panicError is an error that has been logged with its stack already.
type panicError struct{ error }

func (e *panicError) Unwrap() error { return e.error }

// headers are on every answer. No page has a script, so none is allowed.
func headers(c *gin.Context) {
	c.Header("X-Frame-Options", "DENY")
	c.Header("X-Content-Type-Options", "nosniff")
	c.Header("Referrer-Policy", "same-origin")
	c.Header("Cross-Origin-Opener-Policy", "same-origin")
	c.Header("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src 'self' data:; "+
		"form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
}

// tenant puts the tenant into the request's context. On the bare domain there is none. A page that is looked at only reads, perhaps
// from a replica.
func (s *site) tenant(c *gin.Context) {
	_, r, err := s.forwarded(c.Request)
	if err == nil {
		c.Request = r // also for a page that says what is wrong
		r, err = s.resolve.Resolve(r)
	}
	var renamed *scopes.TenantRenamedError
	switch {
	case err == nil && (r.Method == http.MethodGet || r.Method == http.MethodHead):
		c.Request = r.WithContext(scopes.Reading(r.Context()))
	case err == nil:
		c.Request = r
	case errors.As(err, &renamed):
		s.redirectRenamed(c, renamed)
	default:
		s.fail(c, s.foreign(c, err))
	}
}

// redirectRenamed leads from a tenant's former slug to the same page at its present one, as long as the directory knows the
// former one; so no cache may keep where it led.
func (s *site) redirectRenamed(c *gin.Context, renamed *scopes.TenantRenamedError) {
	host := renamed.Now + strings.TrimPrefix(strings.ToLower(c.Request.Host), renamed.Slug)
	from := c.Request.URL
	target := url.URL{Host: host, Path: from.Path, RawPath: from.RawPath, RawQuery: from.RawQuery}
	c.Header("Cache-Control", "no-store")
	c.Header("Location", absolute(c, target.String()))
	c.AbortWithStatus(http.StatusTemporaryRedirect)
}

// foreign says of a host that is no tenant's own what it says of every foreign one.
func (s *site) foreign(c *gin.Context, err error) error {
	var unknown *scopes.TenantUnknownError
	if errors.As(err, &unknown) && strings.Contains(unknown.Slug, ".") && s.base(c) == "" {
		return &tenanthttp.HostError{Host: unknown.Slug, Served: s.Hosts, Reason: "is not served here"}
	}
	return err
}

// bounded is a directory whose lookups do not hang for longer than timeout.
type bounded struct {
	tenanthttp.Directory
	timeout time.Duration
}

// Lookup implements tenanthttp.Directory.
func (b bounded) Lookup(ctx context.Context, slug string) (scopes.Tenant, error) {
	ctx, cancel := context.WithTimeout(ctx, b.timeout)
	defer cancel()
	return b.Directory.Lookup(ctx, slug)
}

// sameOrigin refuses what another site's page makes a browser send.
func (s *site) sameOrigin(c *gin.Context) {
	if err := s.crossOrigin.Check(c.Request); err != nil {
		s.fail(c, refuse(http.StatusForbidden, "This request came from a page of another site. Open the list here and try again."))
	}
}

// withTimeout bounds the work on the request and the size of its body, until end is called.
func (s *site) withTimeout(c *gin.Context) (end func()) {
	unbound := c.Request
	ctx, cancel := context.WithTimeoutCause(unbound.Context(), s.Timeout, errTimeout)
	c.Request = unbound.WithContext(ctx)
	c.Request.Body = http.MaxBytesReader(c.Writer, unbound.Body, maxBody)
	return func() {
		cancel()
		c.Request = unbound // the answer after a panic needs a context that has not ended
	}
}

// handle lets a handler return its error.
func (s *site) handle(h func(*gin.Context) error) gin.HandlerFunc {
	return func(c *gin.Context) {
		if err := h(c); err != nil {
			s.fail(c, err)
		}
	}
}

// onBareDomain reports whether the request names no tenant.
func onBareDomain(c *gin.Context) bool {
	_, err := scopes.FromContext(c.Request.Context())
	return err != nil
}

var errTimeout = errors.New("the request took too long")
