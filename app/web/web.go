// Package web serves the task tracker over HTTP: the list of subtasks, the projects' progress and the
// tenants, as pages and as JSON.
//
// # The way of a request
//
// Middleware finds the tenant by the host name (scopes/tenanthttp) and puts it into the request's
// context; handlers hand that context to GORM and know nothing else of tenants: db.WithContext(ctx) is
// the only way they reach data. So the same handlers serve every configuration, and one that forgot
// the context would be refused by the scope.
//
// # How it fails
//
// Every answer but the health checks goes through one table from error to status (errors.go) and one
// writer (respond.go). A host that is not ours is a 400, an unknown tenant a 404, a database that is
// away a 503 with Retry-After, whatever else a 500 whose details are in the log only, under the
// request's id. Panics count as the last. A client that sends too much at once gets a 503 before it
// can take what other tenants need (limit.go).
package web

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/klauspost/compress/gzhttp"
	"github.com/prometheus/client_golang/prometheus"

	"tenanted/models"
	"tenanted/scopes"
	"tenanted/scopes/tenanthttp"
)

// Options say what New serves. Models and Directory are needed; the rest has defaults.
type Options struct {
	// Models read and write as the tenant in the context.
	Models models.Models
	// Directory finds a tenant by its slug.
	Directory tenanthttp.Directory
	// List returns every tenant in that order; the page /tenants/ shows them. Nil: there is no owner's
	// connection to list them with, and the page says so.
	List func(context.Context, TenantOrder) ([]TenantEntry, error)
	// WithIDs returns the tenants of those ids; who is not in the directory is left out.
	WithIDs func(context.Context, []scopes.TenantID) ([]TenantEntry, error)
	// AllTenants shows the list of subtasks over all tenants on the bare domain, read-only. It needs Models
	// that serve scopes.AllTenants, and WithIDs. Off, the bare domain leads to /tenants/ or, without List, only says
	// where tenants are.
	AllTenants bool
	// OnAllTenants is called before rows of all tenants are read, with the reason. Its error is the request's. Nil: not called.
	OnAllTenants func(ctx context.Context, reason string) error
	// SomeApart has that list say that tenants with a schema or database of their own are not in it.
	SomeApart bool
	// Program is how the program is called on the command line, for advice on pages. Default: tenanted.
	Program string
	// Ready says whether requests can be served now, for /readyz. Nil: always.
	Ready func(context.Context) error
	// NotServed says, by slug, why tenants could not be served lately, for the body of /readyz. Nil: all are.
	NotServed func() map[string]string
	// Away says, by name, why servers beside the default one do not answer, for the body of /readyz. Nil: there are none.
	Away func(context.Context) map[string]string

	// Drift says which placements are at other versions than the program, in lines for the body of /readyz. Nil: none is.
	Drift func(context.Context) []string

	// Explain adds the page /isolation/ to each tenant, and to the header a way to the other tenants, if List knows them: for
	// demonstrations. Nil: there is no such page.
	Explain Explainer

	// Operators look after the tenants at the bare domain. Nil: nobody does; with SignInRequired nobody sees the tenants there either.
	Operators Operators
	// OperatorsOpen has everybody look after the tenants without signing in, in the name of who runs the program: for demonstrations.
	OperatorsOpen bool

	// SignInRequired has nobody read a tenant's pages without signing in, nor the bare domain's without being an operator. Off, reading is open, and what changes something asks
	// for it.
	SignInRequired bool
	// DemoPassword, where it is the password of demo users, has the sign-in page offer to sign in as one of them. Default: none.
	DemoPassword string
	// Mail sends links to the users they are for. Nil: an admin gets to see them, and passes them on.
	Mail Mailer

	// Hosts are the base domains; a tenant is at its slug + "." + one of them. Default: localhost.
	Hosts []string

	// TrustedProxies are the addresses of proxies whose X-Forwarded-Host names the host. Default: none.
	TrustedProxies []netip.Prefix

	// Logger gets what goes wrong. Default: slog.Default(). It and AccessLog are told of the tenant and the
	// request's id as ContextLog does.
	Logger *slog.Logger
	// AccessLog gets one line a request. Nil: none.
	AccessLog *slog.Logger
	// Metrics, when not nil, gets this package's metrics, and /metrics on the bare domain shows all that
	// is in it, to any client: a proxy in front should not pass it on.
	Metrics *prometheus.Registry

	// MaxRequests bounds the requests under way, waiting ones included; the next is refused with a 503.
	// Default: 512.
	MaxRequests int
	// MaxPerTenant bounds the requests of one tenant that are worked on at once; more of them wait, for
	// MaxWait at most. Default: 16.
	MaxPerTenant int
	// MaxWait is how long a request waits for one of its tenant's slots before it is refused with a 503.
	// Default: 2 s.
	MaxWait time.Duration
	// Timeout ends the work on a request, and before that the lookup of its tenant. Default: 10 s.
	Timeout time.Duration
}

// TenantOrder is an order of the directory's list.
type TenantOrder string

// The orders of the directory's list.
const (
	TenantsByID   TenantOrder = "number"
	TenantsBySlug TenantOrder = "slug"
	TenantsByName TenantOrder = "name"
)

// TenantEntry is one tenant in the directory's list.
type TenantEntry struct {
	scopes.Tenant
	State string // "active", or why the tenant is not served: "creating", "suspended", "dropping"
}

func (o Options) withDefaults() Options {
	if len(o.Hosts) == 0 {
		o.Hosts = []string{"localhost"}
	}
	o.Program = cmp.Or(o.Program, "tenanted")
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	o.Logger = slog.New(ContextLog(o.Logger.Handler()))
	if o.AccessLog != nil {
		o.AccessLog = slog.New(ContextLog(o.AccessLog.Handler()))
	}
	o.MaxRequests = cmp.Or(o.MaxRequests, 512)
	o.MaxPerTenant = cmp.Or(o.MaxPerTenant, 16)
	o.MaxWait = cmp.Or(o.MaxWait, 2*time.Second)
	o.Timeout = cmp.Or(o.Timeout, 10*time.Second)
	return o
}

func (o Options) validate() error {
	switch {
	case o.Models == models.Models{}:
		return fmt.Errorf("web: no Models")
	case o.Directory == nil:
		return fmt.Errorf("web: no Directory")
	case o.AllTenants && o.WithIDs == nil:
		return fmt.Errorf("web: AllTenants without WithIDs")
	case o.MaxRequests < 1 || o.MaxPerTenant < 1 || o.MaxWait < 0 || o.Timeout < 0:
		return fmt.Errorf("web: negative limit")
	}
	return nil
}

// site is what the handlers share.
type site struct {
	Options
	forwarded   tenanthttp.Source
	resolve     tenanthttp.Middleware
	crossOrigin *http.CrossOriginProtection
	limiter     *tenanthttp.Limiter
	metrics     *metrics
	switcher    switcher
	sessions    sessions[models.Actor] // at a tenant's address
	operators   sessions[string]       // at the bare domain
}

// source finds the tenant by a host name of its own, or by its slug below a base domain.
func (o Options) source() (tenanthttp.Source, error) {
	domain, err := tenanthttp.Domain(o.Hosts...)
	if err != nil {
		return nil, err
	}
	subdomain, err := tenanthttp.Subdomain(o.Hosts...)
	if err != nil {
		return nil, err
	}
	return tenanthttp.Chain(domain, subdomain), nil
}

// New returns the handler of the whole site. Errors say which option is wrong.
func New(options Options) (http.Handler, error) {
	s, err := newSite(options)
	if err != nil {
		return nil, err
	}
	return gzhttp.GzipHandler(s.router()), nil
}

func newSite(options Options) (*site, error) {
	o := options.withDefaults()
	if err := o.validate(); err != nil {
		return nil, err
	}
	source, err := o.source()
	if err != nil {
		return nil, fmt.Errorf("allowed hosts: %w", err)
	}
	m, err := newMetrics(o.Metrics)
	if err != nil {
		return nil, err
	}
	return &site{
		Options:     o,
		forwarded:   tenanthttp.Forwarded(o.TrustedProxies...),
		resolve:     tenanthttp.Middleware{Source: source, Directory: bounded{o.Directory, o.Timeout}, Optional: true},
		crossOrigin: http.NewCrossOriginProtection(),
		limiter:     tenanthttp.NewLimiter(tenanthttp.Limits{Total: o.MaxRequests, PerTenant: o.MaxPerTenant, MaxWait: o.MaxWait}),
		metrics:     m,
		sessions:    newSessions(userSessions{o.Models}, "session"),
		operators:   newSessions(operatorSessions{o.Operators}, "operator"),
	}, nil
}

// router says what is served where. Health and static files come before the host is looked at: a probe
// asks by address, and the page that refuses a host needs its style.
func (s *site) router() *gin.Engine {
	gin.SetMode(gin.ReleaseMode)
	r := gin.New()
	r.RedirectTrailingSlash = false // ours keeps to GET and to pages that exist
	r.HandleMethodNotAllowed = true
	r.Use(requestID, s.observe, s.recover, headers)
	get(r, "/healthz", s.healthy)
	get(r, "/readyz", s.ready)
	get(r, staticPrefix+":name", s.static)

	get(r.Group("", s.tenant), "/metrics", s.handle(s.showMetrics))

	inside := []gin.HandlerFunc{s.limit, s.tenant, s.sameOrigin, s.acquireSlot, s.identify}
	r.NoRoute(append(inside, s.handle(s.notFound))...)
	r.NoMethod(append(inside, s.handle(s.methodNotAllowed))...)
	s.doors(r.Group("", inside...))
	s.pages(r.Group("", append(inside, s.requireSignIn, s.recordPage)...))
	return r
}

// doors are the pages by which people come in and go, which nobody must be signed in for.
func (s *site) doors(r *gin.RouterGroup) {
	get(r, "/sign-in", s.handle(addSlash))
	both(r, signInPath, s.handle(s.showSignIn), s.handle(s.signIn))
	post(r, "/sign-out", s.handle(s.signOut))
	both(r, resetPath, s.handle(s.showReset), s.handle(s.reset))
	both(r, signInAsPath, s.handle(s.showSignInAs), s.handle(s.signInAs))
}

func (s *site) pages(r *gin.RouterGroup) {
	get(r, "/", s.handle(s.first))
	get(r, "/openapi.json", s.handle(s.openAPI))
	get(r, "/subtasks", s.handle(addSlash))
	get(r, "/subtasks/", s.handle(s.subtasks))
	route(r, "/subtasks.json", map[string]gin.HandlerFunc{"GET": s.handle(s.subtasks), "POST": s.createJSON(s.subtaskNoun())})
	get(r, "/subtasks/:number", s.handle(s.subtasksPageWithoutSlash))
	get(r, "/subtasks/:number/", s.handle(s.subtasksPage))
	post(r, "/subtask/:id/complete", s.handle(s.complete))
	get(r, "/projects", s.handle(addSlash))
	get(r, "/projects/", s.handle(s.projects))
	route(r, "/projects.json", map[string]gin.HandlerFunc{"GET": s.handle(s.projects), "POST": s.createJSON(s.projectNoun())})
	route(r, "/tasks.json", map[string]gin.HandlerFunc{"POST": s.createJSON(s.taskNoun())})
	s.writing(r, s.projectNoun(), s.project)
	s.writing(r, s.taskNoun(), s.task)
	s.writing(r, s.subtaskNoun(), s.subtask)
	get(r, "/user/:id", s.handle(onTenant(jsonOrSlash(s.user))))
	get(r, "/user/:id/", s.handle(onTenant(s.user)))
	get(r, "/users", s.handle(addSlash))
	both(r, usersPath, s.handle(s.users), s.handle(s.invite))
	post(r, usersPath+":id/role", s.handle(s.setRole))
	post(r, usersPath+":id/active", s.handle(s.setActive))
	post(r, usersPath+":id/link", s.handle(s.newLink))
	both(r, passwordPath, s.handle(s.showPassword), s.handle(s.changePassword))
	both(r, tokensPath, s.handle(s.showTokens), s.handle(s.makeToken))
	post(r, tokensPath+":id/revoke", s.handle(s.revokeToken))
	get(r, "/tenants", s.handle(addSlash))
	both(r, tenantsPath, s.handle(s.accounts), s.handle(s.createTenant))
	get(r, tenantsPath+":slug/", s.handle(s.showTenant))
	post(r, tenantsPath+":slug/suspend", s.handle(s.suspend))
	post(r, tenantsPath+":slug/resume", s.handle(s.resume))
	post(r, tenantsPath+":slug/sign-in-as", s.handle(s.linkSignInAs))
	get(r, "/tenants.json", s.handle(s.accounts))
	if s.Explain != nil {
		get(r, "/isolation", s.handle(addSlash))
		get(r, isolationPath, s.handle(s.isolation))
		post(r, isolationPath+"attack", s.handle(s.tryAttack))
	}
}

// get registers a handler for GET and HEAD, and lets OPTIONS say so.
func get(r gin.IRoutes, path string, handler gin.HandlerFunc) {
	r.GET(path, handler)
	r.HEAD(path, handler)
	r.OPTIONS(path, options("GET, HEAD, OPTIONS"))
}

// post registers a handler for POST, and lets OPTIONS say so.
func post(r gin.IRoutes, path string, handler gin.HandlerFunc) {
	r.POST(path, handler)
	r.OPTIONS(path, options("POST, OPTIONS"))
}

// both registers handlers for GET and HEAD, and for POST, of one path.
func both(r gin.IRoutes, path string, show, change gin.HandlerFunc) {
	r.GET(path, show)
	r.HEAD(path, show)
	r.POST(path, change)
	r.OPTIONS(path, options("GET, HEAD, POST, OPTIONS"))
}

func options(allow string) gin.HandlerFunc {
	return func(c *gin.Context) {
		c.Header("Allow", allow)
		c.Status(http.StatusOK)
	}
}
