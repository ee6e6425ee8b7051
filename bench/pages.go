package main

import (
	"context"
	"fmt"
	"time"

	"tenanted/bench/chart"
	"tenanted/bench/load"
)

const (
	firstPage = "/subtasks/"
	lastPage  = "/subtasks/?page=last"
)

// site is the application and the floor, serving the same database.
type site struct{ app, floor *process }

func (b *bench) openSite(ctx context.Context, database string) (s site, err error) {
	if s.app, err = b.serve(ctx, "PGDATABASE="+database); err != nil {
		return s, err
	}
	s.floor, err = b.serveFloor(ctx, database)
	return s, err
}

// pages measures the list of subtasks: a tenant's page beside the floor's, a big tenant's, and that over all.
func (b *bench) pages(ctx context.Context, d *document, s site, accounts, big int) error {
	d.section("Pages")
	d.para("%d clients, each with a request under way all the time, for %v, %d rounds by turns; medians. The load comes from the same machine, and takes "+
		"its part of the processors. A tenant's page is asked of %d tenants in turn.", b.clients, b.duration, b.rounds, accounts)
	last := fmt.Sprintf("/subtasks/%d/", b.lastOf(ctx, big))
	subjects := []subject{
		{"floor: a tenant's first page", s.floor, tenantHosts(accounts, firstPage)},
		{"a tenant's first page", s.app, tenantHosts(accounts, firstPage)},
		{"floor: the big tenant's first page", s.floor, []load.Request{tenantPage(big, firstPage)}},
		{"the big tenant's first page", s.app, []load.Request{tenantPage(big, firstPage)}},
		{"floor: the big tenant's last page", s.floor, []load.Request{tenantPage(big, last)}},
		{"the big tenant's last page", s.app, []load.Request{tenantPage(big, last)}},
	}
	subtasks, err := b.number(ctx, mainDatabase, "select count(*) from subtasks")
	if err != nil {
		return err
	}
	subjects = append(subjects, allPages(s.app, subtasks)...)
	figures, err := b.compare(ctx, load.Load{}, subjects...)
	if err != nil {
		return err
	}
	var rows [][]string
	for i, f := range figures {
		rows = append(rows, pageRow(subjects[i].name, f, figures[1], figures[i&^1], i < 6))
	}
	d.table([]string{"page", "requests/s", "of its floor", "p50 ms", "p95 ms", "p99 ms", "p50, of a tenant's", "CPU a page: server µs", "PostgreSQL µs"}, rows)
	pageTargets(d, figures)
	d.para("The original, recorded on a machine of this kind: a tenant's page 378 requests/s, p50 20 ms, p99 33 ms; of a tenant with 2,340 subtasks 105 requests/s, p50 74 ms; " +
		"over all tenants 32 requests/s (first of 4,784 pages) and 15 (last); with 947,232 subtasks and one client, 0.75 s the first page and 2.4 s the last.")
	return b.latencies(ctx, d, s, accounts, figures[1].rate)
}

// originalPages is how many of a tenant's pages a second the original served.
const originalPages = 378

// pageTargets judges the figures, in the order of the subjects in [bench.pages].
func pageTargets(d *document, f []figures) {
	floor, tenant := f[0], f[1]
	d.target("a tenant's page", "at least 0.7 × the floor", times(tenant.rate, floor.rate), tenant.rate >= 0.7*floor.rate)
	d.target("a tenant's page", "10 × the original, recorded elsewhere", fmt.Sprintf("%.1f ×", tenant.rate/originalPages), tenant.rate >= 10*originalPages)
	within := func(work string, most float64, f figures) {
		ratio := f.p50.Seconds() / tenant.p50.Seconds()
		d.target(work, fmt.Sprintf("p50 within %g × of a tenant's page", most), fmt.Sprintf("%.2f ×", ratio), ratio <= most)
	}
	within("the big tenant's first page", 2, f[3])
	within("the big tenant's last page", 2, f[5])
	within("all tenants, first page", 3, f[6])
	within("all tenants, middle page", 3, f[7])
	within("all tenants, last page", 3, f[8])
}

func pageRow(name string, f, tenant, floor figures, hasFloor bool) []string {
	ratio := ""
	if hasFloor {
		ratio = times(f.rate, floor.rate)
	}
	return []string{
		name, fmt.Sprintf("%.0f", f.rate), ratio, ms(f.p50), ms(f.p95), ms(f.p99),
		times(f.p50.Seconds(), tenant.p50.Seconds()), us(f.appCPU), us(f.pgCPU),
	}
}

// lastOf returns the number of a tenant's last page.
func (b *bench) lastOf(ctx context.Context, tenant int) int {
	n, err := b.number(ctx, mainDatabase, "select count(*) from subtasks where account_id = $1", tenant+1)
	if err != nil {
		return 1
	}
	return int(max(1, (n+9)/10))
}

// allPages are the first, the middle and the last page over all tenants, who have so many subtasks.
func allPages(app *process, subtasks int64) []subject {
	middle := fmt.Sprintf("/subtasks/%d/", max(1, subtasks/20))
	page := func(path string) []load.Request { return []load.Request{{Host: "localhost", Path: path}} }
	return []subject{
		{"all tenants, first page", app, page(firstPage)},
		{"all tenants, middle page", app, page(middle)},
		{"all tenants, last page", app, page(lastPage)},
	}
}

// latencies shows how long people wait when they come independently of one another, at half of what the
// application can do.
func (b *bench) latencies(ctx context.Context, d *document, s site, accounts int, most float64) error {
	rate := most / 2
	requests := tenantHosts(accounts, firstPage)
	figures, err := b.compare(ctx, load.Load{Rate: rate, Clients: 64},
		subject{"floor", s.floor, requests}, subject{"application", s.app, requests})
	if err != nil {
		return err
	}
	d.para("How long one waits when requests come at a constant %.0f a second, half of the most above, whether or not the last were answered; a latency counts from when "+
		"the request was due, so that a pause of the server shows in all that it held up.", rate)
	var rows [][]string
	for i, name := range []string{"floor", "application"} {
		f := figures[i]
		rows = append(rows, []string{name, ms(f.p50), ms(f.p95), ms(f.p99), ms(f.max)})
	}
	d.table([]string{"", "p50 ms", "p95 ms", "p99 ms", "max ms"}, rows)
	d.picture("latency", chart.Chart{
		Title: fmt.Sprintf("Latency of a tenant's page at %.0f requests a second", rate), X: "milliseconds", Y: "share of the requests, %", Bars: true,
		Series: []chart.Series{chart.Histogram("floor", figures[0].latencies), chart.Histogram("application", figures[1].latencies)},
	})
	return b.people(ctx, d, s, accounts)
}

// people are clients who read a page before they ask for the next.
func (b *bench) people(ctx context.Context, d *document, s site, accounts int) error {
	clients, think := 200, time.Second
	if b.quick {
		clients, think = 5, 10*time.Millisecond
	}
	f, err := b.measure(ctx, subject{"people", s.app, tenantHosts(accounts, firstPage)}, load.Load{Clients: clients, Think: think, Duration: 2 * b.duration})
	if err != nil {
		return err
	}
	held, err := b.memory(s.app.pid())
	if err != nil {
		return err
	}
	d.para("%d people who read for %v on average before they ask for the next page: %.0f requests/s, p50 %s ms, p99 %s ms. The application then holds %s MB, "+
		"PostgreSQL %s MB.", clients, think, f.rate, ms(f.p50), ms(f.p99), mb(held.app), mb(held.pg))
	return nil
}
