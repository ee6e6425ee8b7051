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

// gates bound the requests under way. All of them together may be total; of one tenant, perTenant are
// worked on at once and as many more as half of total may wait, so that no tenant can take every place.
// A request past a bound is refused at once, one that waited too long then.
type gates struct {
	total     chan struct{}
	perTenant int
	maxInside int
	maxWait   time.Duration

	mu      sync.Mutex
	tenants map[scopes.TenantID]*gate // those with requests inside only, so no larger than total
}

// gate is one tenant's. Senders to a channel are served in the order they came.
type gate struct {
	inside int
	turns  chan struct{}
}

func newGates(total, perTenant int, maxWait time.Duration) *gates {
	return &gates{
		total:     make(chan struct{}, total),
		perTenant: perTenant,
		maxInside: max(total/2, 1),
		maxWait:   maxWait,
		tenants:   map[scopes.TenantID]*gate{},
	}
}

// enter takes one of all places. It never waits.
func (g *gates) enter() (leave func(), err error) {
	select {
	case g.total <- struct{}{}:
		return func() { <-g.total }, nil
	default:
		return nil, errBusy
	}
}

// takeTurn waits for the tenant's turn. The bare domain is the tenant 0.
func (g *gates) takeTurn(ctx context.Context, id scopes.TenantID) (done func(), err error) {
	gate := g.join(id)
	if gate == nil {
		return nil, errBusy
	}
	ctx, cancel := context.WithTimeoutCause(ctx, g.maxWait, errBusy)
	defer cancel()
	select {
	case gate.turns <- struct{}{}:
		return func() { <-gate.turns; g.part(id, gate) }, nil
	case <-ctx.Done():
		g.part(id, gate)
		return nil, context.Cause(ctx)
	}
}

// join counts a request into its tenant's gate; nil when it is full.
func (g *gates) join(id scopes.TenantID) *gate {
	g.mu.Lock()
	defer g.mu.Unlock()
	one := g.tenants[id]
	if one == nil {
		one = &gate{turns: make(chan struct{}, g.perTenant)}
		g.tenants[id] = one
	}
	if one.inside == g.maxInside {
		return nil
	}
	one.inside++
	return one
}

func (g *gates) part(id scopes.TenantID, one *gate) {
	g.mu.Lock()
	defer g.mu.Unlock()
	one.inside--
	if one.inside == 0 {
		delete(g.tenants, id)
	}
}

// limit refuses a request when too many are under way.
func (s *site) limit(c *gin.Context) {
	leave, err := s.gates.enter()
	if err != nil {
		s.metrics.refused("total")
		s.fail(c, err)
		return
	}
	defer leave()
	c.Next()
}

// takeTurn waits until the tenant may have one more request worked on, and starts its clock then.
func (s *site) takeTurn(c *gin.Context) {
	tenant, _ := scopes.FromContext(c.Request.Context()) // without one: the bare domain's turn
	done, err := s.gates.takeTurn(c.Request.Context(), tenant.ID)
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
