package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"tenanted/bench/load"
	"tenanted/bench/proc"
)

// subject is something under load: a server and what is asked of it.
type subject struct {
	name     string
	server   *process
	requests []load.Request
}

// anew is the same, of pages that are made anew for each request and not kept from an earlier one.
func (s subject) anew() subject {
	s.name += ", made anew"
	s.requests = slices.Clone(s.requests)
	for i := range s.requests {
		s.requests[i].Anew = true
	}
	return s
}

// figures are what one load showed, or the medians of several.
type figures struct {
	rate               float64 // answers a second
	p50, p95, p99, max time.Duration
	appCPU, pgCPU      time.Duration // an answer
	latencies          []time.Duration
}

// bench is what all sections need.
type bench struct {
	*world
	quick    bool
	rounds   int
	duration time.Duration // of one load
	clients  int
}

// measure puts a load on the subject.
func (b *bench) measure(ctx context.Context, s subject, l load.Load) (figures, error) {
	l.Addr, l.Requests = s.server.addr, s.requests
	l.Duration = cmp.Or(l.Duration, b.duration)
	l.Clients = cmp.Or(l.Clients, b.clients)
	postmaster, err := b.postmaster()
	if err != nil {
		return figures{}, err
	}
	app, pg, err := cpu(s.server.pid(), postmaster)
	if err != nil {
		return figures{}, err
	}
	r, err := load.Run(ctx, l)
	if err != nil {
		return figures{}, err
	}
	if r.Errors > 0 || len(r.Latencies) == 0 {
		return figures{}, fmt.Errorf("%s: %d of %d requests failed, the first with: %w", s.name, r.Errors, r.Errors+len(r.Latencies), r.FirstErr)
	}
	appAfter, pgAfter, err := cpu(s.server.pid(), postmaster)
	if err != nil {
		return figures{}, err
	}
	n := time.Duration(len(r.Latencies))
	return figures{
		rate: r.PerSecond(), p50: r.Quantile(.5), p95: r.Quantile(.95), p99: r.Quantile(.99), max: r.Quantile(1),
		appCPU: (appAfter - app) / n, pgCPU: (pgAfter - pg) / n, latencies: r.Latencies,
	}, nil
}

func cpu(server, postmaster int) (app, pg time.Duration, err error) {
	if app, err = proc.CPU(server); err != nil {
		return 0, 0, err
	}
	pg, err = proc.TreeCPU(postmaster)
	return app, pg, err
}

// compare measures the subjects by turns, so that what else the machine does touches all alike, and returns the
// medians in the subjects' order. Before that, each is warmed up.
func (b *bench) compare(ctx context.Context, l load.Load, subjects ...subject) ([]figures, error) {
	for _, s := range subjects {
		warm := l
		warm.Duration = b.duration
		if _, err := b.measure(ctx, s, warm); err != nil {
			return nil, err
		}
	}
	rounds := make([][]figures, len(subjects))
	for range b.rounds {
		for i, s := range subjects {
			f, err := b.measure(ctx, s, l)
			if err != nil {
				return nil, err
			}
			rounds[i] = append(rounds[i], f)
		}
	}
	medians := make([]figures, len(subjects))
	for i := range rounds {
		medians[i] = medianOf(rounds[i])
	}
	return medians, nil
}

func medianOf(rounds []figures) figures {
	of := func(value func(figures) time.Duration) time.Duration { return median(rounds, value) }
	m := figures{
		rate:   median(rounds, func(f figures) float64 { return f.rate }),
		p50:    of(func(f figures) time.Duration { return f.p50 }),
		p95:    of(func(f figures) time.Duration { return f.p95 }),
		p99:    of(func(f figures) time.Duration { return f.p99 }),
		max:    of(func(f figures) time.Duration { return f.max }),
		appCPU: of(func(f figures) time.Duration { return f.appCPU }),
		pgCPU:  of(func(f figures) time.Duration { return f.pgCPU }),
	}
	for _, f := range rounds {
		m.latencies = append(m.latencies, f.latencies...)
	}
	slices.Sort(m.latencies)
	return m
}

func median[T any, V cmp.Ordered](items []T, value func(T) V) V {
	var values []V
	for _, item := range items {
		values = append(values, value(item))
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// tenantHosts are requests for a path at the first n tenants.
func tenantHosts(n int, path string) []load.Request {
	requests := make([]load.Request, n)
	for i := range requests {
		requests[i] = tenantPage(i, path)
	}
	return requests
}

func tenantPage(number int, path string) load.Request {
	return load.Request{Host: fmt.Sprintf("tenant-%d.localhost", number), Path: path}
}
