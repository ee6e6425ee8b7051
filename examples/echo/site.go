// Package echo shows echo, with the tenant as the first part of the path, as in /t/acme/notes, and with texts for tenants'
// ids. Echo's middleware has a shape of its own: it calls tenanthttp's Resolve, and goes on with the request that this
// returns.
package echo

import (
	"io"
	"net/http"

	"github.com/labstack/echo/v5"

	"example.com/examples/databasesql"

	"tenanted/scopes/tenanthttp"
)

// site returns the site. The middleware runs before routing (Pre), since it takes the tenant off the path.
func site(notes databasesql.Notes, directory tenanthttp.Directory) http.Handler {
	e := echo.New()
	e.Pre(tenantOf(tenanthttp.Middleware{Source: tenanthttp.PathPrefix("/t/"), Directory: directory}))
	e.GET("/notes", list(notes))
	e.POST("/notes", add(notes))
	return e
}

// tenantOf is a tenanthttp.Middleware for echo.
func tenantOf(m tenanthttp.Middleware) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c *echo.Context) error {
			r, err := m.Resolve(c.Request())
			if err != nil {
				return httpError(err)
			}
			c.SetRequest(r)
			return next(c)
		}
	}
}

// httpError gives an error its status. Its text is for the log.
func httpError(err error) error {
	status := tenanthttp.Status(err)
	return echo.NewHTTPError(status, http.StatusText(status)).Wrap(err)
}

func list(notes databasesql.Notes) echo.HandlerFunc {
	return func(c *echo.Context) error {
		texts, err := notes.List(c.Request().Context())
		if err != nil {
			return httpError(err)
		}
		return c.JSON(http.StatusOK, texts)
	}
}

func add(notes databasesql.Notes) echo.HandlerFunc {
	return func(c *echo.Context) error {
		text, err := io.ReadAll(http.MaxBytesReader(c.Response(), c.Request().Body, 1<<16))
		if err == nil {
			err = notes.Add(c.Request().Context(), string(text))
		}
		if err != nil {
			return httpError(err)
		}
		return c.NoContent(http.StatusCreated)
	}
}
