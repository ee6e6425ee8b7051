package registry

import (
	"container/list"
	"context"
	"sync"
	"time"

	"tenanted/scopes/session"
)

// pool keeps the connections that are not in use. That no more than max are asked for at a time is the
// business of the *sql.DB in front of it.
type pool struct {
	max       int
	maxIdle   time.Duration
	connector func(target) *session.Connector
	stop      chan struct{}

	mu     sync.Mutex
	closed bool
	idle   map[target][]*list.Element // of *conn, the most recently used last
	oldest *list.List                 // all idle *conn, the longest idle first
	inUse  map[target]int
}

// conn is a connection to one target.
type conn struct {
	*session.Conn
	target target
	since  time.Time // idle since
}

func newPool(max int, maxIdle time.Duration, connector func(target) *session.Connector) *pool {
	p := &pool{
		max: max, maxIdle: maxIdle, connector: connector,
		stop:   make(chan struct{}),
		idle:   map[target][]*list.Element{},
		oldest: list.New(),
		inUse:  map[target]int{},
	}
	go p.expire()
	return p
}

// get returns a connection to t: an idle one that still works, or a new one.
func (p *pool) get(ctx context.Context, t target) (*conn, error) {
	for {
		c, evicted := p.reserve(t)
		if evicted != nil {
			_ = evicted.Close()
		}
		if c == nil {
			return p.open(ctx, t)
		}
		if err := c.ResetSession(ctx); err == nil {
			return c, nil
		}
		p.discard(c)
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
}

// reserve counts a connection to t as in use. It returns an idle one, or nil for the caller to open one, and
// the idle connection of another target that the caller must close first, to stay below the bound.
func (p *pool) reserve(t target) (c, evicted *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.inUse[t]++
	if stack := p.idle[t]; len(stack) > 0 {
		return p.remove(stack[len(stack)-1]), nil
	}
	if p.oldest.Len() > 0 && p.oldest.Len()+p.used() > p.max {
		return nil, p.remove(p.oldest.Front())
	}
	return nil, nil
}

func (p *pool) open(ctx context.Context, t target) (*conn, error) {
	c, err := p.connector(t).Connect(ctx)
	if err != nil {
		p.release(t)
		return nil, err
	}
	return &conn{Conn: c.(*session.Conn), target: t}, nil
}

// put takes a connection back. What must not be used again is closed.
func (p *pool) put(c *conn) {
	if !c.IsValid() {
		p.discard(c)
		p.forget(c.target)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.releaseLocked(c.target)
	if p.closed {
		_ = c.Close()
		return
	}
	c.since = time.Now()
	p.idle[c.target] = append(p.idle[c.target], p.oldest.PushBack(c))
}

// discard closes a connection that was in use.
func (p *pool) discard(c *conn) {
	_ = c.Close()
	p.release(c.target)
}

// forget closes the idle connections to t: one connection to it broke, so the others may have, and the next
// caller is better served by a new one.
func (p *pool) forget(t target) {
	p.mu.Lock()
	var dropped []*conn
	for len(p.idle[t]) > 0 {
		dropped = append(dropped, p.remove(p.idle[t][0]))
	}
	p.mu.Unlock()
	closeAll(dropped)
}

// expire closes connections that have been idle for too long, until the pool is closed.
func (p *pool) expire() {
	ticker := time.NewTicker(max(p.maxIdle/4, 10*time.Millisecond))
	defer ticker.Stop()
	for {
		select {
		case <-p.stop:
			return
		case now := <-ticker.C:
			closeAll(p.expired(now.Add(-p.maxIdle)))
		}
	}
}

func (p *pool) expired(before time.Time) (expired []*conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for e := p.oldest.Front(); e != nil && e.Value.(*conn).since.Before(before); e = p.oldest.Front() {
		expired = append(expired, p.remove(e))
	}
	return expired
}

func (p *pool) close() {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return
	}
	p.closed = true
	close(p.stop)
	var idle []*conn
	for p.oldest.Len() > 0 {
		idle = append(idle, p.remove(p.oldest.Front()))
	}
	p.mu.Unlock()
	closeAll(idle)
}

func (p *pool) stats() (open int, databases map[string]DatabaseStats) {
	p.mu.Lock()
	defer p.mu.Unlock()
	databases = map[string]DatabaseStats{}
	for t, n := range p.inUse {
		s := databases[t.database]
		s.InUse += n
		databases[t.database] = s
	}
	for t, stack := range p.idle {
		s := databases[t.database]
		s.Idle += len(stack)
		databases[t.database] = s
	}
	return p.oldest.Len() + p.used(), databases
}

// remove takes an idle connection out of both lists.
func (p *pool) remove(e *list.Element) *conn {
	c := p.oldest.Remove(e).(*conn)
	stack := p.idle[c.target]
	for i := range stack {
		if stack[i] == e {
			stack = append(stack[:i], stack[i+1:]...)
			break
		}
	}
	if len(stack) == 0 {
		delete(p.idle, c.target)
	} else {
		p.idle[c.target] = stack
	}
	return c
}

func (p *pool) release(t target) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.releaseLocked(t)
}

func (p *pool) releaseLocked(t target) {
	if p.inUse[t]--; p.inUse[t] == 0 {
		delete(p.inUse, t)
	}
}

func (p *pool) used() (n int) {
	for _, used := range p.inUse {
		n += used
	}
	return n
}

func closeAll(conns []*conn) {
	for _, c := range conns {
		_ = c.Close()
	}
}
