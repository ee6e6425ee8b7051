package web

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/gin-gonic/gin"

	"tenanted/scopes"
)

// errBusy says that there is too much to do now; a little later it may be better.
var errBusy = errors.New("too many requests at once")

// limiter bounds the requests under way. All of them together may be total; of one tenant, perTenant are
// worked on at once and as many more as half of total may wait, so that no tenant can take every place.
// A request past a bound is refused at once, one that waited too long then.
type limiter struct {
	total     chan struct{}
	perTenant int
	maxInside int
	maxWait   time.Duration

	mu      sync.Mutex
	tenants map[scopes.TenantID]*tenantLimiter // those with requests inside only, so no larger than total
}

// tenantLimiter is one tenant's. Senders to a channel are served in the order they came.
type tenantLimiter struct {
	inside int
	slots  chan struct{}
}

func newLimiter(total, perTenant int, maxWait time.Duration) *limiter {
	return &limiter{
		total:     make(chan struct{}, total),
		perTenant: perTenant,
		maxInside: max(total/2, 1),
		maxWait:   maxWait,
		tenants:   map[scopes.TenantID]*tenantLimiter{},
	}
}

// enter takes one of all places. It never waits.
func (l *limiter) enter() (leave func(), err error) {
	select {
	case l.total <- struct{}{}:
		return func() { <-l.total }, nil
	default:
		return nil, errBusy
	}
}

// acquire waits for one of the tenant's slots. The bare domain is the tenant 0.
func (l *limiter) acquire(ctx context.Context, id scopes.TenantID) (done func(), err error) {
	tenant := l.join(id)
	if tenant == nil {
		return nil, errBusy
	}
	ctx, cancel := context.WithTimeoutCause(ctx, l.maxWait, errBusy)
	defer cancel()
	select {
	case tenant.slots <- struct{}{}:
		return func() { <-tenant.slots; l.part(id, tenant) }, nil
	case <-ctx.Done():
		l.part(id, tenant)
		return nil, context.Cause(ctx)
	}
}

// join counts a request into its tenant's limiter; nil when it is full.
func (l *limiter) join(id scopes.TenantID) *tenantLimiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	one := l.tenants[id]
	if one == nil {
		one = &tenantLimiter{slots: make(chan struct{}, l.perTenant)}
		l.tenants[id] = one
	}
	if one.inside == l.maxInside {
		return nil
	}
	one.inside++
	return one
}

func (l *limiter) part(id scopes.TenantID, one *tenantLimiter) {
	l.mu.Lock()
	defer l.mu.Unlock()
	one.inside--
	if one.inside == 0 {
		delete(l.tenants, id)
	}
}

// limit refuses a request when too many are under way.
func (s *site) limit(c *gin.Context) {
	leave, err := s.limiter.enter()
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
	tenant, _ := scopes.FromContext(c.Request.Context()) // without one: the bare domain's slots
	done, err := s.limiter.acquire(c.Request.Context(), tenant.ID)
	if err != nil {
		if errors.Is(err, errBusy) { // else the client has gone
			s.metrics.refused("tenant")
		}
		s.fail(c, err)
		return
	}
	defer done()
	defer s.withTimeout(c)()
	c.Next()
}
