package tenanthttp

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"tenanted/scopes"
)

// ErrBusy says that a request was refused since too many are under way; a little later it may be served.
var ErrBusy = errors.New("too many requests at once")

// Limits are the bounds of a [Limiter]. All must be above zero.
type Limits struct {
	Total     int           // requests under way, waiting ones included
	PerTenant int           // requests of one tenant that are worked on at once
	MaxWait   time.Duration // how long a request waits for its tenant's others
}

// Limiter bounds the requests under way, of all tenants and of each. A tenant's requests, waiting ones included, are
// never more than the places that are left free: one slow tenant takes half of them at most, two take two thirds, and
// the others still find one. A request past a bound is refused at once, one that waited too long then.
type Limiter struct {
	limits Limits
	total  chan struct{}

	mu      sync.Mutex
	tenants map[string]*tenantLimiter // those with requests inside only, so no larger than the total
}

// tenantLimiter is one tenant's. Senders to a channel are served in the order they came.
type tenantLimiter struct {
	inside int
	slots  chan struct{}
}

// NewLimiter returns a limiter. It panics if a limit is not above zero.
func NewLimiter(limits Limits) *Limiter {
	if limits.Total < 1 || limits.PerTenant < 1 || limits.MaxWait <= 0 {
		panic("tenanthttp: limits must be above zero")
	}
	return &Limiter{limits: limits, total: make(chan struct{}, limits.Total), tenants: map[string]*tenantLimiter{}}
}

// Wrap returns a handler that calls next within the limits. Put it between [Middleware] and the application. A request
// past a limit is answered by refuse, nil for a plain 503.
func (l *Limiter) Wrap(next http.Handler, refuse func(http.ResponseWriter, *http.Request, error)) http.Handler {
	if refuse == nil {
		refuse = Middleware{}.refuse
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		leave, err := l.Enter()
		if err != nil {
			refuse(w, r, err)
			return
		}
		defer leave()
		release, err := l.Acquire(r.Context())
		if err != nil {
			refuse(w, r, err)
			return
		}
		defer release()
		next.ServeHTTP(w, r)
	})
}

// Enter takes one of all places, before the tenant is known. It never waits: its error is [ErrBusy].
func (l *Limiter) Enter() (leave func(), err error) {
	select {
	case l.total <- struct{}{}:
		return func() { <-l.total }, nil
	default:
		return nil, ErrBusy
	}
}

// Acquire waits, after Enter, for one of the slots of the context's tenant. Requests without a tenant share slots of their
// own. Errors are [ErrBusy] and the context's.
func (l *Limiter) Acquire(ctx context.Context) (release func(), err error) {
	tenant, _ := scopes.FromContext(ctx)
	one := l.join(tenant.Key())
	if one == nil {
		return nil, ErrBusy
	}
	ctx, cancel := context.WithTimeoutCause(ctx, l.limits.MaxWait, ErrBusy)
	defer cancel()
	select {
	case one.slots <- struct{}{}:
		return func() { <-one.slots; l.part(tenant.Key(), one) }, nil
	case <-ctx.Done():
		l.part(tenant.Key(), one)
		return nil, context.Cause(ctx)
	}
}

// Inside returns the number of requests under way.
func (l *Limiter) Inside() int { return len(l.total) }

// join counts a request into its tenant's limiter; nil when the tenant would have more than are free. The request
// itself, which has entered, is not among the free ones.
func (l *Limiter) join(key string) *tenantLimiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	one := l.tenants[key]
	if one == nil {
		one = &tenantLimiter{slots: make(chan struct{}, l.limits.PerTenant)}
	}
	if free := cap(l.total) - len(l.total); one.inside > free {
		return nil
	}
	l.tenants[key] = one
	one.inside++
	return one
}

func (l *Limiter) part(key string, one *tenantLimiter) {
	l.mu.Lock()
	defer l.mu.Unlock()
	one.inside--
	if one.inside == 0 {
		delete(l.tenants, key)
	}
}
