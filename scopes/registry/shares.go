package registry

import (
	"context"
	"slices"
	"sync"
	"time"
)

// databaseShare is how many times the free connections one database may hold: three quarters of all when no other is busy.
const databaseShare = 3

// holder is whom a connection is used for.
type holder struct {
	tenant string // its key; empty for all tenants
	target target
	on     *server
}

func (h holder) database() target { return h.target.whole() }

// shares bounds the connections in use on one server: all of them, and those of each tenant and of each database. A tenant gets
// one more only while at least as many are free as it holds then, so a tenant whose statements hang holds at most half, two of
// them two thirds. For databases the rule is the same with databaseShare times the free ones, however many tenants and schemas
// share the database. The last free connection goes to a tenant and a database that hold none, so one that is asked for
// the first time finds a connection even while several others hang. Callers over their share wait in the order they came; one who
// fits overtakes those who do not.
type shares struct {
	max int

	mu        sync.Mutex
	inUse     int
	tenants   map[holder]int
	databases map[target]int
	waiting   []*claim
	waits     int64
	waited    time.Duration
}

// claim is a caller who waits.
type claim struct {
	holder  holder
	granted chan struct{}
}

func newShares(max int) *shares {
	return &shares{max: max, tenants: map[holder]int{}, databases: map[target]int{}}
}

// acquire waits until h may use one more connection. Its error is the context's.
func (s *shares) acquire(ctx context.Context, h holder) error {
	s.mu.Lock()
	if s.fits(h) {
		s.take(h)
		s.mu.Unlock()
		return nil
	}
	c := &claim{h, make(chan struct{})}
	s.waiting = append(s.waiting, c)
	s.waits++
	s.mu.Unlock()
	began := time.Now()
	select {
	case <-c.granted:
		s.mu.Lock()
		defer s.mu.Unlock()
		s.waited += time.Since(began)
		return nil
	case <-ctx.Done():
		s.withdraw(c, began)
		return ctx.Err()
	}
}

func (s *shares) withdraw(c *claim, began time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waited += time.Since(began)
	if i := slices.Index(s.waiting, c); i >= 0 {
		s.waiting = slices.Delete(s.waiting, i, i+1)
		return
	}
	s.give(c.holder) // it was granted in the meantime
}

// release gives back what acquire gave.
func (s *shares) release(h holder) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.give(h)
}

func (s *shares) figures() (inUse int, waits int64, waited time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.inUse, s.waits, s.waited
}

// The following are called with the lock held.

func (s *shares) fits(h holder) bool {
	free := s.max - s.inUse
	return s.tenants[h] < free && s.databases[h.database()] < s.databaseLimit(free)
}

// databaseLimit is what a database's connections must stay below for it to get one more. The last free one is kept for a
// database that has none, unless there are so few that this would be a large part of them.
func (s *shares) databaseLimit(free int) int {
	if s.max <= databaseShare {
		return databaseShare * free
	}
	return max(1, databaseShare*(free-1))
}

func (s *shares) take(h holder) {
	s.inUse++
	s.tenants[h]++
	s.databases[h.database()]++
}

// give takes a connection back, and grants it to the first who fits.
func (s *shares) give(h holder) {
	s.inUse--
	decrement(s.tenants, h)
	decrement(s.databases, h.database())
	s.waiting = slices.DeleteFunc(s.waiting, func(c *claim) bool {
		if !s.fits(c.holder) {
			return false
		}
		s.take(c.holder)
		close(c.granted)
		return true
	})
}

func decrement[K comparable](counts map[K]int, k K) {
	counts[k]--
	if counts[k] == 0 {
		delete(counts, k)
	}
}
