package registry

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2/simplelru"
	"github.com/sony/gobreaker/v2"

	"tenanted/scopes"
)

const (
	// A tenant with breakAfter timeouts within breakWithin is refused for breakFor. Then breakProbes statements are let
	// through: if all of them succeed it is served again, otherwise it is refused for as long once more.
	breakAfter  = 3
	breakWithin = 30 * time.Second
	breakFor    = 5 * time.Second
	breakProbes = 3

	maxBreakers = 4096 // tenants remembered that timed out lately
)

type breaker = gobreaker.TwoStepCircuitBreaker[any]

// breakers refuse the statements of tenants that keep timing out, so that they do not hold connections for nothing.
type breakers struct {
	refused atomic.Int64

	mu  sync.Mutex
	all *lru.LRU[holder, *breaker] // of tenants that timed out
}

func newBreakers() *breakers {
	all, _ := lru.NewLRU[holder, *breaker](maxBreakers, nil)
	return &breakers{all: all}
}

// refuses returns an error if h is refused now.
func (b *breakers) refuses(h holder) error {
	if one := b.get(h); one != nil && one.State() == gobreaker.StateOpen {
		return b.refuse(h)
	}
	return nil
}

// allow returns the function to call with the error of what it allows, nil unless it timed out.
func (b *breakers) allow(h holder) (done func(error), err error) {
	one := b.get(h)
	if one == nil {
		return func(err error) { b.report(h, err) }, nil
	}
	if done, err = one.Allow(); err != nil {
		return nil, b.refuse(h)
	}
	return done, nil
}

// report remembers a tenant's first timeout.
func (b *breakers) report(h holder, err error) {
	if err == nil {
		return
	}
	b.mu.Lock()
	one, ok := b.all.Get(h)
	if !ok {
		one = gobreaker.NewTwoStepCircuitBreaker[any](gobreaker.Settings{
			MaxRequests: breakProbes, Interval: breakWithin, Timeout: breakFor,
			ReadyToTrip: func(n gobreaker.Counts) bool { return n.TotalFailures >= breakAfter },
		})
		b.all.Add(h, one)
	}
	b.mu.Unlock()
	if done, err := one.Allow(); err == nil {
		done(scopes.ErrTimeout)
	}
}

func (b *breakers) refuse(h holder) error {
	b.refused.Add(1)
	if h.target.allTenants {
		return fmt.Errorf("%w: reading over all tenants timed out %d times within %v, try again in %v", scopes.ErrTimeout, breakAfter, breakWithin, breakFor)
	}
	return fmt.Errorf("%w: statements of tenant %v timed out %d times within %v, try again in %v", scopes.ErrTimeout, h.tenant, breakAfter, breakWithin, breakFor)
}

func (b *breakers) get(h holder) *breaker {
	b.mu.Lock()
	defer b.mu.Unlock()
	one, _ := b.all.Get(h)
	return one
}

// suspended counts the tenants that are refused now.
func (b *breakers) suspended() (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, one := range b.all.Values() {
		if one.State() == gobreaker.StateOpen {
			n++
		}
	}
	return n
}
