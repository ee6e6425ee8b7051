package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"tenanted/app/config"
	"tenanted/app/tenancy"
	"tenanted/app/web"
	"tenanted/models"
	"tenanted/scopes"
	"tenanted/seed"
)

const (
	// drainTimeout is how long requests in flight may take to finish when the program is asked to stop.
	drainTimeout = 20 * time.Second

	demoAccounts = 5
	shownTenants = 3 // whose URLs are printed
)

type serveOptions struct {
	addr      string
	noDemo    bool
	explain   bool
	metrics   bool
	accessLog string
	pprof     string
}

// The formats of the log that --access-log knows; "off" leaves out the line of each request.
var logFormats = []string{"off", "text", "json"}

func newServe(p *program) *cobra.Command {
	var o serveOptions
	cmd := &cobra.Command{
		Use:     "serve",
		Aliases: []string{"runserver"},
		Short:   "Serve the task tracker over HTTP",
		Long: `Serves each tenant at its own host name, tenant-0 at http://tenant-0.localhost:8080/. SIGINT and SIGTERM
stop it after the requests in flight.

On the private PostgreSQL it makes what is missing: roles, databases, tables, and five demo tenants if there is
none. On a server of your own it changes nothing, and does not start unless everything is in place.

Tenants may be on further servers, which the variables SERVER_NAME_HOST and so on configure: see .env.example. One that is
away keeps only its own tenants from being served.`,
		Example: `  PROGRAM serve
  PROGRAM serve --addr :8000 --no-demo
  DJANGO_CONFIGURATION=MultipleSchemas PROGRAM serve`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !slices.Contains(logFormats, o.accessLog) {
				return usage("--access-log %s is unknown: choose off, text or json", o.accessLog)
			}
			return p.withAll(cmd.Context(), func(s *server) error { return p.serve(cmd.Context(), s, o) })
		},
	}
	cmd.Flags().StringVar(&o.addr, "addr", "localhost:8080", "the address to listen on, as host:port")
	cmd.Flags().BoolVar(&o.noDemo, "no-demo", false, "make no demo tenants on the private PostgreSQL")
	cmd.Flags().BoolVar(&o.explain, "explain", false, "show each tenant at /isolation/ how it is kept apart, and from the header a way to the others; the demo does")
	cmd.Flags().BoolVar(&o.metrics, "metrics", false, "show metrics for Prometheus at /metrics of the bare domain")
	cmd.Flags().StringVar(&o.accessLog, "access-log", "text", "a line for each request, and the format of the whole log: off, text or json")
	cmd.Flags().StringVar(&o.pprof, "pprof", "", "also serve Go's profiles, at this address; let only yourself reach it (localhost:6060)")
	return cmd
}

func (p *program) serve(ctx context.Context, s *server, o serveOptions) error {
	listener, err := listen(ctx, "--addr", o.addr) // first, since it may fail
	if err != nil {
		return err
	}
	defer listener.Close()
	stopProfiles, err := serveProfiles(ctx, o.pprof)
	if err != nil {
		return err
	}
	defer stopProfiles()
	if err := p.prepare(ctx, s); err != nil {
		return err
	}
	tuneGC()
	log := p.logger(o.accessLog)
	slog.SetDefault(log) // which scopes.AllTenants logs its reasons by
	defer s.keep(ctx, log)()
	o.explain = o.explain || s.demo(o)
	app, err := o.open(ctx, s.cfg, log)
	if err != nil {
		return err
	}
	handler, err := site(app, s, o, log)
	if err == nil {
		err = p.showTenants(ctx, s, app.Directory, listener.Addr(), o)
		go lookAtTenants(ctx, app, log)
	}
	if err == nil {
		err = serveUntil(ctx, listener, web.NewServer(o.addr, handler, log))
	}
	if err == nil {
		p.say("stopped")
	}
	return errors.Join(err, app.Close())
}

// open opens the tenancy, and traces its statements if they are to be explained.
func (o serveOptions) open(ctx context.Context, cfg config.Config, log *slog.Logger) (*tenancy.Tenancy, error) {
	if o.explain {
		return tenancy.OpenTraced(ctx, cfg, log, tracer{})
	}
	return tenancy.Open(ctx, cfg, log)
}

// tuneGC sets GOGC to 200, unless the variable is set: the heap grows to three times the live data, instead of twice, before a
// collection. There is little live data between requests or seeded rows, and a page allocates 150 kB: with Go's default a
// fifth of the CPU time was spent on garbage collection.
func tuneGC() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(200)
	}
}

// listen listens at the address that a flag gives.
func listen(ctx context.Context, flag, addr string) (net.Listener, error) {
	_, port, err := net.SplitHostPort(addr)
	if err == nil {
		_, err = net.DefaultResolver.LookupPort(ctx, "tcp", port)
	}
	if err != nil {
		return nil, usage("%s %s is not an address: write host:port, as localhost:8080 or :8080", flag, addr)
	}
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("address %s is in use: stop the program that uses it, or choose another one with %s", addr, flag)
	}
	return listener, err
}

// site is the handler with everything it needs from the other packages.
func site(app *tenancy.Tenancy, s *server, o serveOptions, log *slog.Logger) (http.Handler, error) {
	cfg := s.cfg
	options := web.Options{
		Program:    cfg.Program,
		Models:     models.New(app.DB),
		Directory:  app,
		NotServed:  app.NotServed,
		Away:       app.ServersAway,
		AllTenants: cfg.ListsAllTenants(),
		SomeApart:  cfg.SomeApart(),
		Ready:      app.Ping,
		Drift:      func(ctx context.Context) []string { return drift(ctx, app) },
		Hosts:      cfg.AllowedHosts,

		TrustedProxies: cfg.TrustedProxies,
		SignInRequired: cfg.SignInRequired,
		Mail:           mailLog{log},
		Logger:         log,
	}
	if s.demo(o) && !cfg.SignInRequired {
		options.DemoPassword = seed.Password
	}
	if o.accessLog != "off" {
		options.AccessLog = log
	}
	if cfg.Owner != "" {
		operators, err := newWebOperators(s, app.Directory)
		if err != nil {
			return nil, err
		}
		options.Operators, options.OperatorsOpen = operators, s.demo(o) && !cfg.SignInRequired
		options.List = func(ctx context.Context, order web.TenantOrder) ([]web.TenantEntry, error) {
			by := map[web.TenantOrder]tenancy.Order{web.TenantsByID: tenancy.ByID, web.TenantsBySlug: tenancy.BySlug, web.TenantsByName: tenancy.ByName}
			return entries(app.Directory.List(ctx, by[order], 0))
		}
		options.WithIDs = func(ctx context.Context, ids []scopes.TenantID) ([]web.TenantEntry, error) {
			return entries(app.Directory.WithIDs(ctx, ids))
		}
	}
	if cfg.AuditReads {
		options.OnAllTenants = app.Directory.LogAllTenants
	}
	if o.metrics {
		options.Metrics = metricsOf(app)
	}
	if o.explain {
		explain, err := newExplainer(cfg, app)
		if err != nil {
			return nil, err
		}
		options.Explain = explain
	}
	return web.New(options)
}

// demo reports whether this is the demonstration on the private server.
func (s *server) demo(o serveOptions) bool { return s.local != nil && !o.noDemo }

// mailLog is for as long as no mail is sent: it says in the log that one would be. The text is not in it, since it may let its reader in.
type mailLog struct{ log *slog.Logger }

// Send implements web.Mailer.
func (m mailLog) Send(ctx context.Context, to, subject, _ string) error {
	m.log.InfoContext(ctx, "no mail is sent: pass it on", "to", to, "subject", subject)
	return nil
}

// drift says how many placements are at another version than this program's; nothing where that is not known.
func drift(ctx context.Context, app *tenancy.Tenancy) (lines []string) {
	versions, err := app.Versions(ctx)
	if err != nil {
		return nil // whether the directory answers was asked before
	}
	for _, v := range versions {
		if state := v.State(); state != "current" {
			lines = append(lines, fmt.Sprintf("%s: %d placements at version %d of the %s tables, and this program knows %d", state, v.Placements, v.Version, v.Set, v.Newest()))
		}
	}
	return lines
}

// entries returns the directory's answer in the terms of the web.
func entries(found []tenancy.Entry, err error) ([]web.TenantEntry, error) {
	list := make([]web.TenantEntry, len(found))
	for i, entry := range found {
		list[i] = web.TenantEntry{Tenant: entry.Tenant, State: entry.State}
	}
	return list, err
}

// showTenants prints a few URLs. On the private server it first makes the demo tenants.
func (p *program) showTenants(ctx context.Context, s *server, directory *tenancy.Directory, at net.Addr, o serveOptions) error {
	if s.demo(o) {
		if err := p.ensureDemo(ctx, s, directory); err != nil {
			return err
		}
	}
	slugs, err := someTenants(ctx, directory)
	if err != nil {
		return err
	}
	host := s.cfg.AllowedHosts[0]
	if port := at.(*net.TCPAddr).Port; port != 80 {
		host += ":" + strconv.Itoa(port)
	}
	text := fmt.Sprintf("serving %s at http://%s/", s.cfg.Strategy, host)
	for _, slug := range slugs {
		text += fmt.Sprintf("\n  http://%s.%s/", slug, host)
	}
	if len(slugs) == 0 {
		text += "\n  no tenant is served: " + s.cfg.Command("seed") + " makes some"
	}
	p.say(text)
	return nil
}

// lookAtTenants logs each tenant that is active and cannot be served, beside one another for each server. It needs an owner,
// who may list them.
func lookAtTenants(ctx context.Context, app *tenancy.Tenancy, log *slog.Logger) {
	entries, err := app.Directory.List(ctx, tenancy.ByID, 0)
	if err != nil {
		return // logged where tenants are looked up
	}
	servers, seen := map[string][]tenancy.Entry{}, map[scopes.Placement]bool{}
	for _, entry := range entries {
		if entry.State == tenancy.StateActive && !seen[entry.Placement] {
			seen[entry.Placement] = true
			servers[entry.Server] = append(servers[entry.Server], entry)
		}
	}
	for _, entries := range servers {
		go lookAt(ctx, app, entries, log)
	}
}

func lookAt(ctx context.Context, app *tenancy.Tenancy, entries []tenancy.Entry, log *slog.Logger) {
	for _, entry := range entries {
		if ctx.Err() != nil {
			return
		}
		if _, err := app.Lookup(ctx, entry.Slug); err != nil && ctx.Err() == nil {
			log.WarnContext(ctx, "tenant is not served", "tenant", entry.Slug, "error", err)
		}
	}
}

// someTenants returns the slugs of a few served tenants. Without an owner, it looks for those that seed makes, since the
// runtime role may not list the tenants.
func someTenants(ctx context.Context, directory *tenancy.Directory) (slugs []string, err error) {
	entries, err := directory.List(ctx, tenancy.ByID, 0)
	for _, entry := range entries {
		if entry.State == tenancy.StateActive && len(slugs) < shownTenants {
			slugs = append(slugs, entry.Slug)
		}
	}
	if !errors.Is(err, tenancy.ErrNoOwner) {
		return slugs, err
	}
	for number := range shownTenants {
		if tenant, err := directory.Lookup(ctx, seed.Slug(number)); err == nil {
			slugs = append(slugs, tenant.Slug)
		}
	}
	return slugs, nil
}

// ensureDemo makes the demo tenants if there is no tenant at all, or if an earlier start was killed while making them.
func (p *program) ensureDemo(ctx context.Context, s *server, directory *tenancy.Directory) error {
	entries, err := directory.List(ctx, tenancy.ByID, demoAccounts)
	if err != nil {
		return err
	}
	wanted := len(entries) == 0
	for _, entry := range entries {
		wanted = wanted || entry.State == tenancy.StateCreating && entry.Slug == seed.Slug(int(models.AccountID(entry.Tenant))-1)
	}
	if !wanted {
		return nil
	}
	return p.makeDemo(ctx, s)
}

func (p *program) makeDemo(ctx context.Context, s *server) error {
	accounts := demoAccounts
	if limit, limited := s.cfg.TenantLimit(); limited {
		accounts = min(accounts, limit)
	}
	p.say(fmt.Sprintf("making %d demo tenants", accounts))
	load := loader{options: seedDefaults(s.cfg), accounts: accounts, workers: seedWorkers(s.cfg), where: s.cfg.SeedChoice, progress: func(int, seeded) {}}
	_, err := load.run(ctx, s)
	return err
}

// serveUntil serves until ctx ends, and then until the requests in flight are answered. Their contexts do not end with ctx,
// only with their own time limits.
func serveUntil(ctx context.Context, listener net.Listener, server *http.Server) error {
	server.BaseContext = func(net.Listener) context.Context { return context.WithoutCancel(ctx) }
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancel()
	if err := server.Shutdown(drain); err != nil {
		return errors.Join(fmt.Errorf("requests were still in flight after %v: %w", drainTimeout, err), server.Close())
	}
	return nil
}
