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
	d.para("The application keeps pages, and shows one again after it has asked PostgreSQL whether anything was written; *made anew* are those for which a client asks with " +
		"`Cache-Control: no-cache`, as they all are while something is written all the time.")
	subtasks, err := b.number(ctx, mainDatabase, "select count(*) from subtasks")
	if err != nil {
		return err
	}
	last := fmt.Sprintf("/subtasks/%d/", b.lastOf(ctx, big))
	pages := []subject{
		{"a tenant's first page", s.app, tenantHosts(accounts, firstPage)},
		{"the big tenant's first page", s.app, []load.Request{tenantPage(big, firstPage)}},
		{"the big tenant's last page", s.app, []load.Request{tenantPage(big, last)}},
	}
	var subjects []subject // of each page three
	for _, page := range pages {
		subjects = append(subjects, subject{"floor: " + page.name, s.floor, page.requests}, page, page.anew())
	}
	for _, page := range allPages(s.app, subtasks) { // of each page two
		subjects = append(subjects, page, page.anew())
	}
	figures, err := b.compare(ctx, load.Load{}, subjects...)
	if err != nil {
		return err
	}
	withFloor := 3 * len(pages)
	var rows [][]string
	for i, f := range figures {
		floor := ""
		if i < withFloor {
			floor = times(f.rate, figures[i-i%3].rate)
		}
		rows = append(rows, pageRow(subjects[i].name, f, figures[1], floor))
	}
	d.table([]string{"page", "requests/s", "of its floor", "p50 ms", "p95 ms", "p99 ms", "p50, of a tenant's", "CPU a page: server µs", "PostgreSQL µs"}, rows)
	pageTargets(d, figures[:withFloor], figures[withFloor:])
	d.para("The original, recorded on a machine of this kind: a tenant's page 378 requests/s, p50 20 ms, p99 33 ms; of a tenant with 2,340 subtasks 105 requests/s, p50 74 ms; " +
		"over all tenants 32 requests/s (first of 4,784 pages) and 15 (last); with 947,232 subtasks and one client, 0.75 s the first page and 2.4 s the last.")
	return b.latencies(ctx, d, s, accounts, min(figures[0].rate, figures[1].rate))
}

// originalPages is how many of a tenant's pages a second the original served.
const originalPages = 378

// pageTargets judges the figures, in the order of the subjects in [bench.pages]: of a tenant's pages the floor's, as they
// come and made anew, of all tenants' as they come and made anew.
func pageTargets(d *document, tenants, all []figures) {
	floor := tenants[0]
	for i, how := range []string{"", ", made anew"} {
		page := tenants[1+i]
		d.target("a tenant's page"+how, "at least 0.7 × the floor", times(page.rate, floor.rate), page.rate >= 0.7*floor.rate)
		d.target("a tenant's page"+how, "10 × the original, recorded elsewhere", fmt.Sprintf("%.1f ×", page.rate/originalPages), page.rate >= 10*originalPages)
		within := func(work string, most float64, f figures) {
			ratio := f.p50.Seconds() / page.p50.Seconds()
			d.target(work+how, fmt.Sprintf("p50 within %g × of a tenant's page%s", most, how), fmt.Sprintf("%.2f ×", ratio), ratio <= most)
		}
		within("the big tenant's first page", 2, tenants[4+i])
		within("the big tenant's last page", 2, tenants[7+i])
		within("all tenants, first page", 3, all[i])
		within("all tenants, middle page", 3, all[2+i])
		within("all tenants, last page", 3, all[4+i])
	}
}

func pageRow(name string, f, tenant figures, ofFloor string) []string {
	return []string{
		name, fmt.Sprintf("%.0f", f.rate), ofFloor, ms(f.p50), ms(f.p95), ms(f.p99),
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

// latencies shows how long people wait when they come independently of one another, at half of what both can do.
func (b *bench) latencies(ctx context.Context, d *document, s site, accounts int, most float64) error {
	rate := most / 2
	requests := tenantHosts(accounts, firstPage)
	figures, err := b.compare(ctx, load.Load{Rate: rate, Clients: 64},
		subject{"floor", s.floor, requests}, subject{"application", s.app, requests})
	if err != nil {
		return err
	}
	d.para("How long one waits when requests come at a constant %.0f a second, half of what the floor can do, whether or not the last were answered; a latency counts from when "+
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
