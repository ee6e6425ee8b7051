package registry

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"tenanted/scopes"
)

// A database that could not be connected to is tried again after firstPause, and each time that fails after twice the pause,
// lastPause at most. Each pause is shortened by up to half at random, so that many processes do not come back at once.
const (
	firstPause = 100 * time.Millisecond
	lastPause  = 5 * time.Second
)

// forgottenAfter is when a database that nobody has asked for since it was last tried counts as any other.
const forgottenAfter = time.Minute

// outages are the databases of one server that cannot be connected to.
type outages struct {
	mu  sync.Mutex
	all map[target]*outage // by whole database
}

// outage is a database that cannot be connected to.
type outage struct {
	since    time.Time
	failures int       // of attempts one after the other
	retryAt  time.Time // nobody tries before
	probing  bool      // somebody tries now
	err      error     // of the last attempt
}

func newOutages() *outages { return &outages{all: map[target]*outage{}} }

// refuses returns an error if nobody may try to connect to t now.
func (o *outages) refuses(t target) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if one := o.all[t.whole()]; one != nil && one.closed(time.Now()) {
		return one.away(t)
	}
	return nil
}

// begin returns the function to call with the outcome of an attempt to connect to t, or an error if nobody may try now. While
// the database is away one attempt is made at a time.
func (o *outages) begin(t target) (end func(context.Context, error), err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	one := o.all[t.whole()]
	if one == nil {
		return func(ctx context.Context, err error) { o.end(ctx, t.whole(), false, err) }, nil
	}
	if one.closed(time.Now()) {
		return nil, one.away(t)
	}
	one.probing = true
	return func(ctx context.Context, err error) { o.end(ctx, t.whole(), true, err) }, nil
}

// end records the outcome of an attempt. One that the caller gave up, whose context is ctx, says nothing of the database.
func (o *outages) end(ctx context.Context, t target, probe bool, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err == nil {
		delete(o.all, t)
		return
	}
	one := o.all[t]
	if one != nil && probe {
		one.probing = false
	}
	if gaveUp(ctx) || !errors.Is(err, scopes.ErrUnavailable) {
		return
	}
	if one == nil {
		one, probe = &outage{since: time.Now()}, true
		o.all[t] = one
	}
	one.err = err
	if probe { // the attempts that were under way when it went away count as one
		one.failures++
		one.retryAt = time.Now().Add(pause(one.failures))
	}
}

// gaveUp reports whether a context has ended. A connection notices its deadline a moment before the context does.
func gaveUp(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return ctx.Err() != nil || ok && !time.Now().Before(deadline)
}

// pause is how long to wait after that many failures.
func pause(failures int) time.Duration {
	longest := min(firstPause<<min(failures-1, 10), lastPause)
	return longest - rand.N(longest/2)
}

// closed reports whether nobody may try to connect now.
func (o *outage) closed(now time.Time) bool { return o.probing || now.Before(o.retryAt) }

func (o *outage) away(t target) error {
	return &scopes.DatabaseAwayError{Placement: t.InSchema(""), Since: o.since, RetryAt: o.retryAt, Err: o.err}
}

// expire forgets the databases that nobody asks for any more.
func (o *outages) expire(now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for t, one := range o.all {
		if !one.probing && now.Sub(one.retryAt) > forgottenAfter {
			delete(o.all, t)
		}
	}
}

// away returns why each database is away, by its name.
func (o *outages) away() map[string]error {
	o.mu.Lock()
	defer o.mu.Unlock()
	away := make(map[string]error, len(o.all))
	for t, one := range o.all {
		away[t.Database] = one.away(t)
	}
	return away
}
