// Package load puts HTTP load on a server and measures how it answers.
//
// There are two kinds of load. A closed one has a number of clients, each of which sends its next request when
// the last is answered and it has thought for a while: it says how much the server can do. An open one sends
// requests at a constant rate, whether or not the last ones are answered, as independent people do: it says
// how long they wait. In an open load a request's latency counts from the moment it was due, not from when a
// client was free to send it. Otherwise a server that stalls for a second would show one slow request, and not
// all those that would have come in that second ("coordinated omission").
//
// Every answer but a 200 with a whole body counts as an error, and its latency is left out.
package load

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// errorPause keeps a client from spinning while a server is away.
const errorPause = 10 * time.Millisecond

// Request is one thing to ask for: a path, at a host name, which may be another than the address.
type Request struct {
	Host, Path string
	Anew       bool // "Cache-Control: no-cache": not what is kept from an earlier one
}

// Load says what to send, and how.
type Load struct {
	Addr     string    // host:port to connect to
	Requests []Request // sent in turn, round robin over all clients
	Clients  int       // connections; in an open load the most that are used at once
	Duration time.Duration
	Think    time.Duration // closed: the mean of a client's exponentially distributed pauses; 0: none
	Rate     float64       // requests a second of an open load; 0: closed
}

// Result is what came of a load.
type Result struct {
	Elapsed   time.Duration
	Latencies []time.Duration // of the good answers, sorted
	Errors    int
	FirstErr  error
	Unsent    int   // requests of an open load that were due and that no client was free for before the end
	Bytes     int64 // of the bodies
}

// PerSecond is the number of good answers a second.
func (r Result) PerSecond() float64 { return float64(len(r.Latencies)) / r.Elapsed.Seconds() }

// Quantile returns the latency that a share q of the answers stayed within.
func (r Result) Quantile(q float64) time.Duration {
	if len(r.Latencies) == 0 {
		return 0
	}
	i := int(q * float64(len(r.Latencies)))
	return r.Latencies[min(i, len(r.Latencies)-1)]
}

// Run sends the load, until its duration is over or the context ends.
func Run(ctx context.Context, l Load) (Result, error) {
	if l.Clients < 1 || len(l.Requests) == 0 || l.Duration <= 0 {
		return Result{}, errors.New("load: Clients, Requests and Duration are required")
	}
	ctx, cancel := context.WithTimeout(ctx, l.Duration)
	defer cancel()
	r := &run{Load: l, began: time.Now()}
	results := make([]Result, l.Clients)
	var clients sync.WaitGroup
	for i := range results {
		clients.Go(func() { results[i] = r.client(ctx) })
	}
	clients.Wait()
	all := merge(results, time.Since(r.began))
	all.Unsent = max(0, int(l.Rate*l.Duration.Seconds())-len(all.Latencies)-all.Errors)
	return all, nil
}

// run is what the clients of one load share.
type run struct {
	Load
	began time.Time
	next  atomic.Int64 // number of the next request
}

func (r *run) client(ctx context.Context) (result Result) {
	c := &client{addr: r.Addr}
	defer c.close()
	for ctx.Err() == nil {
		n := r.next.Add(1) - 1
		due, ok := r.wait(ctx, n)
		if !ok {
			return result
		}
		bytes, err := c.get(r.Requests[n%int64(len(r.Requests))])
		if err != nil {
			result.fail(err)
			sleep(ctx, errorPause)
			continue
		}
		result.Latencies = append(result.Latencies, time.Since(due))
		result.Bytes += bytes
	}
	return result
}

// wait waits for the moment request n is due, and returns it; ok is false when the load ends before.
func (r *run) wait(ctx context.Context, n int64) (due time.Time, ok bool) {
	if r.Rate > 0 {
		due = r.began.Add(time.Duration(float64(n) / r.Rate * float64(time.Second)))
		return due, sleep(ctx, time.Until(due))
	}
	if r.Think > 0 && !sleep(ctx, time.Duration(rand.ExpFloat64()*float64(r.Think))) {
		return time.Time{}, false
	}
	return time.Now(), true
}

func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (r *Result) fail(err error) {
	r.Errors++
	if r.FirstErr == nil {
		r.FirstErr = err
	}
}

func merge(results []Result, elapsed time.Duration) Result {
	all := Result{Elapsed: elapsed}
	for _, r := range results {
		all.Latencies = append(all.Latencies, r.Latencies...)
		all.Errors += r.Errors
		all.Bytes += r.Bytes
		if all.FirstErr == nil {
			all.FirstErr = r.FirstErr
		}
	}
	slices.Sort(all.Latencies)
	return all
}
