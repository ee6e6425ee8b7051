// Package tenanthttp finds the tenant of an HTTP request and puts it into the request's context, where
// every statement looks for it. It works with net/http and whatever builds on it.
//
//	bySubdomain, err := tenanthttp.Subdomain("example.com")
//	resolve := tenanthttp.Middleware{Source: bySubdomain, Directory: directory}
//	http.ListenAndServe(addr, resolve.Wrap(handler))
//
// A [Source] says which slug a request names: [Subdomain], [Domain], [Header], [PathPrefix], or a function of your own; [Chain]
// asks several. [Forwarded] is for proxies that replace the host. A [Directory] finds the tenant by its slug: scopes/directory is one over a table. Beyond this package nothing but the context tells
// who the tenant is.
//
// # Guarantees
//
// It fails closed. The handler behind the middleware runs with the tenant in its context or not at all,
// unless [Middleware].Optional lets requests through that name no tenant: those run without one, so that
// statements on tenanted models are refused. A host that is malformed or foreign, a slug that no tenant
// has and a directory that does not answer are errors, never a default tenant.
package tenanthttp

import (
	"context"
	"errors"
	"net/http"

	"tenanted/scopes"
)

// ErrNoTenant says that a request names no tenant where one is needed.
var ErrNoTenant = errors.New("the request names no tenant")

// Directory finds a tenant by its slug.
type Directory interface {
	// Lookup returns the tenant. Its errors are *scopes.TenantUnknownError when no tenant has the slug,
	// *scopes.TenantRenamedError when the tenant has another one now, *scopes.TenantUnavailableError when the tenant is not served now, or one with scopes.ErrUnavailable
	// in its chain when the directory itself cannot be reached.
	Lookup(ctx context.Context, slug string) (scopes.Tenant, error)
}

// Source returns the slug of the tenant that a request names, or "" when it names none. It may return
// another request to go on with, as [PathPrefix] does; otherwise it returns the one it got.
type Source func(r *http.Request) (slug string, rest *http.Request, err error)

// Middleware puts the tenant into the context of requests.
type Middleware struct {
	Source    Source    // says which slug a request names
	Directory Directory // says whose that is
	// Optional lets requests that name no tenant pass, without a tenant. By default they are refused
	// with ErrNoTenant.
	Optional bool
	// OnError answers a request that is refused. By default it is the error's text with the status that
	// Status tells.
	OnError func(w http.ResponseWriter, r *http.Request, err error)
}

// Wrap returns a handler that calls next with the tenant in the request's context.
func (m Middleware) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rest, err := m.Resolve(r)
		if err != nil {
			m.refuse(w, r, err)
			return
		}
		next.ServeHTTP(w, rest)
	})
}

// Resolve returns the request with its tenant in the context; it is what Wrap does, for routers with
// middleware of another shape. Errors are the Source's, the Directory's, and ErrNoTenant.
func (m Middleware) Resolve(r *http.Request) (*http.Request, error) {
	slug, rest, err := m.Source(r)
	if err != nil {
		return nil, err
	}
	if slug == "" {
		if m.Optional {
			return rest, nil
		}
		return nil, ErrNoTenant
	}
	if !ValidName(slug) {
		return nil, &scopes.TenantUnknownError{Slug: slug}
	}
	tenant, err := m.Directory.Lookup(r.Context(), slug)
	if err != nil {
		return nil, err
	}
	return rest.WithContext(scopes.WithTenant(rest.Context(), tenant)), nil
}

func (m Middleware) refuse(w http.ResponseWriter, r *http.Request, err error) {
	if m.OnError != nil {
		m.OnError(w, r, err)
		return
	}
	status, text := Status(err), err.Error()
	if status >= http.StatusInternalServerError {
		text = http.StatusText(status) // what went wrong inside is not for strangers
	}
	http.Error(w, text, status)
}

// Status returns the HTTP status that says what err means to the client: 400 for a host we do not serve
// or a request without a tenant, 404 for an unknown tenant or one that has another slug now, 503 for a tenant or database that is away
// or too slow now and for ErrBusy, 500 for everything else.
func Status(err error) int {
	if _, ok := errors.AsType[*HostError](err); ok || errors.Is(err, ErrNoTenant) {
		return http.StatusBadRequest
	}
	if errors.As(err, new(*scopes.TenantUnknownError)) || errors.As(err, new(*scopes.TenantRenamedError)) {
		return http.StatusNotFound
	}
	if _, ok := errors.AsType[*scopes.TenantUnavailableError](err); ok || errors.Is(err, scopes.ErrUnavailable) || errors.Is(err, ErrBusy) {
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}
