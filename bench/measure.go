package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	vegeta "github.com/tsenart/vegeta/v12/lib"
)

// subject is something under load: a server and what is asked of it, in turn.
type subject struct {
	name    string
	server  *process
	targets []target
}

// target is a path at a host.
type target struct{ host, path string }

func tenantPage(number int, path string) target {
	return target{fmt.Sprintf("tenant-%d.localhost", number), path}
}

// tenantPages are a path at the first n tenants.
func tenantPages(n int, path string) []target {
	targets := make([]target, n)
	for i := range targets {
		targets[i] = tenantPage(i, path)
	}
	return targets
}

// unpaced sends the next request as soon as a client is free: the load is closed.
var unpaced = vegeta.ConstantPacer{}

// measure puts a closed load on the subject: each of the clients sends its next request when the last is answered.
func (b *bench) measure(ctx context.Context, s subject, clients int, duration time.Duration) (p Page, err error) {
	attacker := vegeta.NewAttacker(vegeta.Workers(uint64(clients)), vegeta.MaxWorkers(uint64(clients)), vegeta.Connections(clients),
		vegeta.Redirects(vegeta.NoFollow), vegeta.Timeout(time.Minute))
	defer context.AfterFunc(ctx, func() { attacker.Stop() })()
	before, err := b.use(s.server.pid())
	if err != nil {
		return p, err
	}
	var m vegeta.Metrics
	for result := range attacker.Attack(targeter(s), unpaced, duration, s.name) {
		if result.Code != http.StatusOK {
			attacker.Stop()
			err = errors.Join(err, fmt.Errorf("%s: %d %s %.200s", s.name, result.Code, result.Error, result.Body))
		}
		m.Add(result)
	}
	m.Close()
	if err = cmp.Or(ctx.Err(), err); err != nil || m.Requests == 0 {
		return p, cmp.Or(err, fmt.Errorf("%s: no request was answered", s.name))
	}
	after, err := b.use(s.server.pid())
	if err != nil {
		return p, err
	}
	n := float64(m.Requests)
	ms := func(d time.Duration) float64 { return d.Seconds() * 1e3 }
	return Page{
		Name: s.name, Rate: m.Throughput, P50: ms(m.Latencies.P50), P95: ms(m.Latencies.P95), P99: ms(m.Latencies.P99),
		AppCPU: (after.app - before.app) / n * 1e6, PgCPU: (after.pg - before.pg) / n * 1e6,
	}, nil
}

// targeter names the targets in turn. vegeta calls it from one goroutine.
func targeter(s subject) vegeta.Targeter {
	var targets []vegeta.Target
	for _, t := range s.targets {
		targets = append(targets, vegeta.Target{
			Method: http.MethodGet, URL: "http://" + s.server.addr + t.path, Header: http.Header{"Host": {t.host}, "Accept-Encoding": {"identity"}},
		})
	}
	return vegeta.NewStaticTargeter(targets...)
}

// compare measures the subjects by turns, so that other work of the machine slows all of them equally, and returns the
// medians in the subjects' order. Before that, each is warmed up.
func (b *bench) compare(ctx context.Context, clients int, subjects ...subject) ([]Page, error) {
	rounds := make([][]Page, len(subjects))
	for round := range b.rounds + 1 {
		for i, s := range subjects {
			p, err := b.measure(ctx, s, clients, b.duration)
			if err != nil {
				return nil, err
			}
			if round > 0 {
				rounds[i] = append(rounds[i], p)
			}
		}
	}
	medians := make([]Page, len(subjects))
	for i, pages := range rounds {
		medians[i] = medianOf(pages)
	}
	return medians, nil
}

func medianOf(pages []Page) Page {
	of := func(value func(Page) float64) float64 { return median(pages, value) }
	return Page{
		Name: pages[0].Name,
		Rate: of(func(p Page) float64 { return p.Rate }),
		P50:  of(func(p Page) float64 { return p.P50 }), P95: of(func(p Page) float64 { return p.P95 }), P99: of(func(p Page) float64 { return p.P99 }),
		AppCPU: of(func(p Page) float64 { return p.AppCPU }), PgCPU: of(func(p Page) float64 { return p.PgCPU }),
	}
}

func median[T any, V cmp.Ordered](items []T, value func(T) V) V {
	var values []V
	for _, item := range items {
		values = append(values, value(item))
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// writing updates single rows, spread over the tenants, so many times a second, until stop is called. It returns how many
// were written.
func (b *bench) writing(ctx context.Context, database string) (stop func() (int, error), err error) {
	conn, err := pgx.Connect(ctx, b.dsn(database))
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	done, written := make(chan error, 1), 0
	go func() {
		defer conn.Close(context.WithoutCancel(ctx))
		ticker := time.NewTicker(time.Second / time.Duration(b.sizes.Writes))
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				done <- nil
				return
			case <-ticker.C:
			}
			// The first subtask at or after a number, of any tenant.
			_, err := conn.Exec(ctx, `update subtasks set complete = not complete where account_id = $1
				and id = (select id from subtasks where account_id = $1 order by id offset $2 limit 1)`, 1+rand.IntN(b.sizes.Accounts), rand.IntN(10))
			if err != nil && ctx.Err() == nil {
				done <- fmt.Errorf("write during the load: %w", err)
				return
			}
			written++
		}
	}()
	return func() (int, error) {
		cancel()
		err := <-done
		return written, err
	}, nil
}
