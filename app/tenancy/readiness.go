package tenancy

import (
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/semaphore"
	"golang.org/x/sync/singleflight"

	"tenanted/app/config"
	"tenanted/migrations"
	"tenanted/scopes"
	"tenanted/scopes/audit"
	"tenanted/scopes/session"
)

// How long a placement counts as ready or as not ready until it is checked again. A check that timed out, since tables are locked
// or the server hangs, is repeated later than one that failed: other placements need the connections.
const (
	readyFor    = 10 * time.Minute
	notReadyFor = 2 * time.Second
	timedOutFor = 10 * time.Second
)

// readinessConns bounds the connections for checking a server's placements, and lookTime a single check, which continues when the
// request that started it ends.
const (
	readinessConns = 8
	lookTime       = 3 * time.Second
)

// readiness caches which placements can be served. It checks each when its tenant is first requested, so one that is not in
// order does not affect others.
type readiness struct {
	cfg    config.Config
	flight singleflight.Group
	conns  map[string]*semaphore.Weighted // by server, so that a server that hangs does not hold up another's tenants
	known  *lru.Cache[scopes.Placement, verdict]

	changes atomic.Int64 // notifications so far

	mutex sync.Mutex
	own   deployment
}

// verdict is the result of checking a placement.
type verdict struct {
	slug  string // of the tenant that was requested
	err   error
	until time.Time
}

// knownMax is how many verdicts are cached.
const knownMax = 20_000

func newReadiness(cfg config.Config) *readiness {
	known, _ := lru.New[scopes.Placement, verdict](knownMax) // the only error is for a size below one
	r := &readiness{cfg: cfg, conns: map[string]*semaphore.Weighted{}, known: known}
	for _, server := range cfg.Servers() {
		r.conns[server.Name] = semaphore.NewWeighted(readinessConns)
	}
	return r
}

// check returns nil if the tenant's placement is ready. Concurrent calls for a placement share one check.
func (r *readiness) check(ctx context.Context, tenant scopes.Tenant) error {
	if v, ok := r.known.Get(tenant.Placement); ok && time.Now().Before(v.until) {
		return v.err
	}
	answer := r.flight.DoChan(fmt.Sprintf("%#v", tenant.Placement), func() (any, error) {
		changes := r.changes.Load()
		v := verdict{slug: tenant.Slug, err: r.judge(context.WithoutCancel(ctx), tenant), until: time.Now().Add(readyFor)}
		switch {
		case errors.Is(v.err, scopes.ErrTimeout), errors.Is(v.err, context.DeadlineExceeded):
			v.until = time.Now().Add(timedOutFor)
		case v.err != nil, changes != r.changes.Load(): // which may have been seen or not
			v.until = time.Now().Add(notReadyFor)
		}
		r.known.Add(tenant.Placement, v)
		return nil, v.err
	})
	select {
	case a := <-answer:
		return a.Err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// notified has a placement looked at again whose version has changed. It reports whether a tenant may have changed instead.
func (r *readiness) notified(payload string) (changed bool) {
	which, ok := strings.CutPrefix(payload, "version ")
	if !ok {
		return true
	}
	r.changes.Add(1)
	for _, p := range r.known.Keys() {
		if r.mark(p) == which {
			r.known.Remove(p)
		}
	}
	return false
}

// mark is how control.notify_version_change names a placement.
func (r *readiness) mark(p scopes.Placement) string {
	database := p.Database
	if p.InSchema("") == r.cfg.Default() {
		database = ""
	}
	return fmt.Sprintf("%x", md5.Sum([]byte(p.Server+"/"+database+"."+p.Schema)))
}

// judge looks at the tenant's placement as the runtime role.
func (r *readiness) judge(ctx context.Context, tenant scopes.Tenant) error {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	if _, err := r.cfg.ServerOf(tenant.Placement); err != nil {
		return err
	}
	conns := r.conns[tenant.Server]
	if err := conns.Acquire(ctx, 1); err != nil {
		return err
	}
	defer conns.Release(1)
	err := session.Explain(r.look(ctx, tenant.Placement))
	if state := unavailableState(err); state != "" {
		return fmt.Errorf("%w: %w", &scopes.TenantUnavailableError{Slug: tenant.Slug, State: state}, err)
	}
	return err
}

func (r *readiness) look(ctx context.Context, p scopes.Placement) error {
	conn, err := Connect(ctx, r.cfg, config.AsRuntime, p)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	d, err := r.deployment(ctx)
	if err == nil {
		err = d.verify(ctx, r.cfg, conn, p)
	}
	if err != nil {
		return err
	}
	versions, err := migrations.Versions(ctx, conn, p)
	if err != nil {
		return err
	}
	return placementReady(ctx, r.cfg, conn, p, versions)
}

// unavailableState returns what the tenant's users are told about a placement that cannot be served. It is empty for an
// unreachable database and for other errors.
func unavailableState(err error) string {
	if _, ok := errors.AsType[*NotReadyError](err); ok {
		return "outdated"
	}
	if _, ok := errors.AsType[*NewerError](err); ok {
		return "newer"
	}
	if _, ok := errors.AsType[*audit.DefectError](err); ok {
		return "not isolated"
	}
	return ""
}

// deployment returns the identity of the default database, which is read once.
func (r *readiness) deployment(ctx context.Context) (deployment, error) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if r.own.ID != "" {
		return r.own, nil
	}
	conn, err := pgx.ConnectConfig(ctx, r.cfg.Runtime())
	if err != nil {
		return deployment{}, session.Explain(err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	r.own, err = readDeployment(ctx, conn)
	return r.own, err
}

// problems returns, by slug, why placements are not ready, according to recent checks.
func (r *readiness) problems() map[string]string {
	problems := map[string]string{}
	for _, v := range r.known.Values() {
		if v.err != nil {
			problems[v.slug] = v.err.Error()
		}
	}
	return problems
}
