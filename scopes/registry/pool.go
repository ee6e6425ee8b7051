package registry

import (
	"container/list"
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"tenanted/scopes"
	"tenanted/scopes/session"
)

// errConnectTimeout ends an attempt to connect to a server that does not answer.
var errConnectTimeout = fmt.Errorf("%w: no connection within the time for that", scopes.ErrUnavailable)

// limits bound a pool's connections.
type limits struct {
	conns       int           // at most, those being closed included
	idleTime    time.Duration // after which one that is idle is closed
	lifetime    time.Duration // after which one is closed when it is not in use
	connectTime time.Duration // for opening one
}

// pool keeps the connections to one server. That no more than limits.conns are asked for at a time is the business of [shares].
type pool struct {
	limits
	connector func(target) *session.Connector
	outages   *outages
	stop      chan struct{}

	mu       sync.Mutex
	closed   bool
	buckets  map[target]*bucket
	returned *list.List    // all *conn, in use or idle, the least recently returned first
	open     int           // connections that are there, being opened or being closed
	closing  int           // those of them that are being closed
	gone     chan struct{} // closed, and replaced, when one has been closed
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
	CloseAndWait()
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
	until  time.Time // the end of its lifetime
}

func newPool(l limits, connector func(target) *session.Connector) *pool {
	p := &pool{
		limits: l, connector: connector, outages: newOutages(),
		stop:     make(chan struct{}),
		buckets:  map[target]*bucket{},
		returned: list.New(),
		gone:     make(chan struct{}),
	}
	go p.expire()
	return p
}

// refuses returns an error if t's database is away and there is no connection to it, so that it would be vain to wait for one.
func (p *pool) refuses(t target) error {
	err := p.outages.refuses(t)
	if err == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for e := p.returned.Front(); e != nil; e = e.Next() {
		if e.Value.(*conn).target.reaches(t) {
			return nil
		}
	}
	return err
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
	full := p.open >= p.conns
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
	p.tidy(t, s)
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

// connect opens a connection to t, unless its database is away.
func (p *pool) connect(ctx context.Context, t target) (*conn, error) {
	ended, err := p.outages.begin(t)
	if err != nil {
		return nil, err
	}
	c, err := p.dial(ctx, t)
	ended(ctx, err)
	return c, err
}

func (p *pool) dial(ctx context.Context, t target) (*conn, error) {
	if err := p.makeRoom(ctx, t); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, p.connectTime, errConnectTimeout)
	defer cancel()
	began := time.Now()
	inner, err := p.connector(t).Connect(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		p.release(t)
		if errors.Is(context.Cause(ctx), errConnectTimeout) {
			return nil, fmt.Errorf("%w: %w", errConnectTimeout, err)
		}
		return nil, err
	}
	now := time.Now()
	p.openTook = now.Sub(began)
	c := &conn{sessionConn: inner.(sessionConn), target: t, until: now.Add(p.lifetime - rand.N(p.lifetime/10+1))}
	c.place = p.returned.PushBack(c)
	return c, nil
}

// makeRoom counts a connection to t as in use, as soon as there are fewer than the bound: the one that has been idle longest is
// closed, whichever target it is to, or one that is being closed has gone. [shares] makes sure that there is either.
func (p *pool) makeRoom(ctx context.Context, t target) error {
	for {
		evicted, gone := p.tryRoom(t)
		if evicted != nil {
			p.end(evicted)
		}
		if gone == nil {
			return nil
		}
		select {
		case <-gone:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// tryRoom is one attempt of makeRoom. It returns what to wait for if there is no room, and a connection to close.
func (p *pool) tryRoom(t target) (evicted *conn, gone chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.open < p.conns {
		p.open++
		p.bucket(t).inUse++
		return nil, nil
	}
	gone = p.gone
	if evicted = p.oldest(func(*conn) bool { return true }); evicted != nil {
		p.remove(evicted)
	}
	return evicted, gone
}

// put takes a connection back. What must not be used again, or is past its lifetime, is closed.
func (p *pool) put(c *conn) {
	now := time.Now()
	if !c.IsValid() || now.After(c.until) {
		lost := c.Lost()
		p.discard(c)
		if lost {
			p.forget(c.target)
		}
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.bucket(c.target)
	if p.closed {
		p.drop(c)
		return
	}
	p.returned.MoveToBack(c.place)
	if len(s.waiting) > 0 {
		s.handOver(c)
		return
	}
	s.inUse--
	s.idle = append(s.idle, c)
	c.idle, c.since = true, now
}

// handOver gives a connection to the first who waits for one, or nil for them to open one.
func (s *bucket) handOver(c *conn) {
	s.waiting[0] <- c
	s.waiting = slices.Delete(s.waiting, 0, 1)
}

// discard closes a connection that was in use, without waiting for it.
func (p *pool) discard(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.bucket(c.target); len(s.waiting) > 0 {
		s.handOver(nil)
	}
	p.drop(c)
}

// forget closes the idle connections to t's database: one connection to it broke, so the others may have, and the next
// caller is better served by a new one.
func (p *pool) forget(t target) {
	p.mu.Lock()
	dropped := p.removeAll(func(c *conn) bool { return c.target.reaches(t) })
	p.mu.Unlock()
	p.endAll(dropped)
}

// expire closes connections that have been idle for too long, or are idle at the end of their lifetime, until the pool is closed.
func (p *pool) expire() {
	ticker := time.NewTicker(max(min(p.idleTime, p.lifetime)/4, 10*time.Millisecond))
	defer ticker.Stop()
	for {
		select {
		case <-p.stop:
			return
		case now := <-ticker.C:
			p.mu.Lock()
			expired := p.removeAll(func(c *conn) bool { return now.Sub(c.since) > p.idleTime || now.After(c.until) })
			p.mu.Unlock()
			p.endAll(expired)
			p.outages.expire(now)
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
	p.endAll(idle).Wait()
}

// end closes a connection that counts as being closed, and then counts it no longer.
func (p *pool) end(c *conn) {
	c.CloseAndWait()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closing--
	p.lower()
}

// endAll is end for several at once. It does not wait for them, the group it returns can.
func (p *pool) endAll(conns []*conn) *sync.WaitGroup {
	var group sync.WaitGroup
	for _, c := range conns {
		group.Go(func() { p.end(c) })
	}
	return &group
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
	return p.open - p.closing, databases
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

// release counts a connection to t that could not be opened no longer.
func (p *pool) release(t target) {
	s := p.bucket(t)
	s.inUse--
	p.tidy(t, s)
	p.lower()
}

// lower counts one connection less, and tells those who wait for that.
func (p *pool) lower() {
	p.open--
	close(p.gone)
	p.gone = make(chan struct{})
}

// drop takes a connection that was in use out, and closes it beside.
func (p *pool) drop(c *conn) {
	p.returned.Remove(c.place)
	s := p.bucket(c.target)
	s.inUse--
	p.tidy(c.target, s)
	p.closing++
	go p.end(c)
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

// remove takes an idle connection out, for the caller to end.
func (p *pool) remove(c *conn) {
	p.returned.Remove(c.place)
	p.closing++
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
