package registry

import (
	"container/list"
	"context"
	"database/sql/driver"
	"slices"
	"sync"
	"time"

	"tenanted/scopes/session"
)

// pool keeps the connections to one server. That no more than max are asked for at a time is the business of [shares].
type pool struct {
	max       int
	maxIdle   time.Duration
	connector func(target) *session.Connector
	stop      chan struct{}

	mu       sync.Mutex
	closed   bool
	buckets  map[target]*bucket
	returned *list.List    // all *conn, in use or idle, the least recently returned first
	open     int           // connections that are there or being opened
	openTook time.Duration // how long the last one took to open
}

// bucket holds the connections to one target.
type bucket struct {
	idle    []*conn // the most recently used last
	inUse   int     // those being opened included
	waiting []chan *conn
}

// sessionConn is a connection of scopes/session.
type sessionConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ExecerContext
	driver.QueryerContext
	driver.Pinger
	driver.SessionResetter
	driver.Validator
	Lost() bool
	TimedOut() bool
}

// conn is a connection to one target.
type conn struct {
	sessionConn
	target target
	place  *list.Element // in pool.returned
	idle   bool
	since  time.Time // idle since
}

func newPool(max int, maxIdle time.Duration, connector func(target) *session.Connector) *pool {
	p := &pool{
		max: max, maxIdle: maxIdle, connector: connector,
		stop:     make(chan struct{}),
		buckets:  map[target]*bucket{},
		returned: list.New(),
	}
	go p.expire()
	return p
}

// get returns a connection to t: an idle one that still works, one that somebody returns soon, or a new one.
func (p *pool) get(ctx context.Context, t target) (*conn, error) {
	for {
		c, handover, patience := p.take(t)
		if handover != nil {
			c = p.await(ctx, t, handover, patience)
		}
		if c != nil {
			if err := c.ResetSession(ctx); err == nil {
				return c, nil
			}
			p.discard(c)
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if c == nil {
			return p.connect(ctx, t)
		}
	}
}

// take returns an idle connection to t. Where there is none, and a new one would cost another target its connection, it
// returns one to another schema of the database, or a channel for one to t that is in use, and how long to wait for
// that: as long as opening one takes. Most statements are done sooner, and at worst the wait doubles the cost.
func (p *pool) take(t target) (c *conn, handover chan *conn, patience time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.bucket(t)
	full := p.open >= p.max
	if n := len(s.idle); n > 0 {
		c = s.idle[n-1]
	} else if full {
		c = p.oldest(func(c *conn) bool { return c.target.reaches(t) })
	}
	if c != nil {
		p.acquire(c, t)
		return c, nil, 0
	}
	if full && s.inUse > 0 {
		handover = make(chan *conn, 1)
		s.waiting = append(s.waiting, handover)
	}
	return nil, handover, p.openTook
}

// await returns the connection that comes, or nil after the time is up or the context has ended.
func (p *pool) await(ctx context.Context, t target, handover chan *conn, patience time.Duration) *conn {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case c := <-handover:
		return c
	case <-timer.C:
	case <-ctx.Done():
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.bucket(t)
	s.waiting = slices.DeleteFunc(s.waiting, func(w chan *conn) bool { return w == handover })
	p.tidy(t, s)
	select {
	case c := <-handover: // in the meantime
		return c
	default:
		return nil
	}
}

// connect opens a connection to t. To stay below the bound, the connection that has been idle longest is closed
// first, whichever target it is to.
func (p *pool) connect(ctx context.Context, t target) (*conn, error) {
	if evicted := p.makeRoom(t); evicted != nil {
		_ = evicted.Close()
	}
	began := time.Now()
	inner, err := p.connector(t).Connect(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		p.release(t)
		return nil, err
	}
	p.openTook = time.Since(began)
	c := &conn{sessionConn: inner.(sessionConn), target: t}
	c.place = p.returned.PushBack(c)
	return c, nil
}

// makeRoom counts a connection to t as in use, and takes out an idle one if there are too many.
func (p *pool) makeRoom(t target) (evicted *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.bucket(t).inUse++
	p.open++
	if p.open <= p.max {
		return nil
	}
	if evicted = p.oldest(func(*conn) bool { return true }); evicted != nil {
		p.remove(evicted)
	}
	return evicted
}

// put takes a connection back. What must not be used again is closed.
func (p *pool) put(c *conn) {
	if !c.IsValid() {
		p.discard(c)
		if c.Lost() {
			p.forget(c.target)
		}
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.bucket(c.target)
	if p.closed {
		p.returned.Remove(c.place)
		p.release(c.target)
		_ = c.Close()
		return
	}
	p.returned.MoveToBack(c.place)
	if len(s.waiting) > 0 {
		s.waiting[0] <- c
		s.waiting = slices.Delete(s.waiting, 0, 1)
		return
	}
	s.inUse--
	s.idle = append(s.idle, c)
	c.idle, c.since = true, time.Now()
}

// discard closes a connection that was in use.
func (p *pool) discard(c *conn) {
	_ = c.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.returned.Remove(c.place)
	p.release(c.target)
}

// forget closes the idle connections to t's database: one connection to it broke, so the others may have, and the next
// caller is better served by a new one.
func (p *pool) forget(t target) {
	p.mu.Lock()
	dropped := p.removeAll(func(c *conn) bool { return c.target.reaches(t) })
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
			p.mu.Lock()
			expired := p.removeAll(func(c *conn) bool { return now.Sub(c.since) > p.maxIdle })
			p.mu.Unlock()
			closeAll(expired)
		}
	}
}

func (p *pool) close() {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return
	}
	p.closed = true
	close(p.stop)
	idle := p.removeAll(func(*conn) bool { return true })
	p.mu.Unlock()
	closeAll(idle)
}

func (p *pool) stats() (open int, databases map[string]DatabaseStats) {
	p.mu.Lock()
	defer p.mu.Unlock()
	databases = map[string]DatabaseStats{}
	for t, bucket := range p.buckets {
		s := databases[t.Database]
		s.InUse += bucket.inUse
		s.Idle += len(bucket.idle)
		databases[t.Database] = s
	}
	return p.open, databases
}

// The following are called with the lock held.

func (p *pool) bucket(t target) *bucket {
	s := p.buckets[t]
	if s == nil {
		s = &bucket{}
		p.buckets[t] = s
	}
	return s
}

// tidy drops an empty bucket, so that a database that nobody asks for any more costs nothing.
func (p *pool) tidy(t target, s *bucket) {
	if len(s.idle) == 0 && s.inUse == 0 && len(s.waiting) == 0 {
		delete(p.buckets, t)
	}
}

// release counts a connection to t, no longer in use, as gone.
func (p *pool) release(t target) {
	s := p.bucket(t)
	s.inUse--
	p.open--
	p.tidy(t, s)
}

// oldest returns the connection that has been idle longest among those that fit, or nil.
func (p *pool) oldest(fits func(*conn) bool) *conn {
	for e := p.returned.Front(); e != nil; e = e.Next() {
		if c := e.Value.(*conn); c.idle && fits(c) {
			return c
		}
	}
	return nil
}

// acquire takes an idle connection into use for t.
func (p *pool) acquire(c *conn, t target) {
	p.bucket(t).inUse++
	p.unlist(c)
	c.idle, c.target = false, t
}

// remove takes an idle connection out, for the caller to close.
func (p *pool) remove(c *conn) {
	p.returned.Remove(c.place)
	p.open--
	p.unlist(c)
}

func (p *pool) unlist(c *conn) {
	s := p.bucket(c.target)
	s.idle = slices.DeleteFunc(s.idle, func(other *conn) bool { return other == c })
	p.tidy(c.target, s)
}

func (p *pool) removeAll(which func(*conn) bool) (removed []*conn) {
	for e := p.returned.Front(); e != nil; {
		c := e.Value.(*conn)
		e = e.Next()
		if c.idle && which(c) {
			p.remove(c)
			removed = append(removed, c)
		}
	}
	return removed
}

func closeAll(conns []*conn) {
	for _, c := range conns {
		_ = c.Close()
	}
}
