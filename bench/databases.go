package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"tenanted/bench/chart"
	"tenanted/bench/load"
)

// visitPages is how many pages a visitor asks for before the next tenant's comes.
const visitPages = 10

// separate measures the configurations in which each tenant has a database or a schema of its own: the same load on
// one tenant, on as many as there are connections, and on more, round robin.
func (b *bench) separate(ctx context.Context, d *document, sizes sizes) error {
	d.section("A database or a schema for each tenant")
	d.para("%d clients ask for the first page of one tenant after the other, in turn, which is the worst case for connections, since PostgreSQL binds each to a database: "+
		"with n tenants in turn over fewer connections, the connection of the next tenant has always just been closed. In the rows with %d pages a visit, each tenant is asked for so many "+
		"pages before the next. %d connections in all (`DB_MAX_CONNS`), in the last row of each table %d.", b.clients, visitPages, sizes.conns, sizes.moreConns)
	var series []chart.Series
	for _, configuration := range []string{"MultipleDb", "MultipleSchemas"} {
		s, err := b.separateIn(ctx, d, configuration, sizes)
		if err != nil {
			return err
		}
		series = append(series, s...)
	}
	d.picture("placements", chart.Chart{Title: "Requests a second by the tenants that are asked in turn", X: "tenants", Y: "requests/s", Series: series})
	d.para("A page that is kept needs no connection to the tenant's database. Of pages that are made anew:")
	d.para("With MultipleDb, throughput bends where there are more databases than connections: from there on each page in a round opens a connection. That is a new process of PostgreSQL " +
		"with empty caches, and takes several times what a page does; no order of closing helps, for at most the share connections / databases could be found open. " +
		"What helps: tenants who come for more than a page; a larger `DB_MAX_CONNS`, at the price of some MB of PostgreSQL's memory for each connection; fewer databases, since tenants who share one share its connections. " +
		"At the bound, a statement first waits, for as long as opening a connection takes, for one to its database that is in use.")
	d.para("With MultipleSchemas, every connection serves all tenants, but PostgreSQL plans a prepared statement anew when the schema is another than the last time. So connections keep to a schema while there is room; " +
		"where throughput bends is again the number of connections, and what it bends to is the cost of planning.")
	return nil
}

// howMade are the two ways in which a page comes, in the order of [bench.inTurn]'s figures.
var howMade = [2]string{"", ", made anew"}

// separateIn measures one configuration.
func (b *bench) separateIn(ctx context.Context, d *document, configuration string, sizes sizes) ([]chart.Series, error) {
	series := make([]chart.Series, len(howMade))
	for i, how := range howMade {
		series[i].Name = configuration + how
	}
	most := sizes.placements[len(sizes.placements)-1]
	env := []string{"DJANGO_CONFIGURATION=" + configuration, "MULTIDB_COUNT=" + strconv.Itoa(most)}
	began := time.Now()
	if _, _, err := b.run(ctx, env, "migrate"); err != nil {
		return series, err
	}
	if _, _, err := b.run(ctx, env, "seed", "--accounts", strconv.Itoa(most)); err != nil {
		return series, err
	}
	took := time.Since(began)
	d.para("### %s", configuration)
	d.para("%d tenants were made in %.0f s.", most, took.Seconds())
	var rows [][]string
	var one [2]figures
	memory, err := b.withConns(ctx, env, sizes.conns, func(app *process) error {
		for i, n := range sizes.placements {
			both, err := b.inTurn(ctx, app, n, 1)
			if err != nil {
				return err
			}
			if i == 0 {
				one = both
			}
			rows = append(rows, placementRows(strconv.Itoa(n), both, one)...)
			for how := range both {
				series[how].Points = append(series[how].Points, chart.Point{X: float64(n), Y: both[how].rate})
				if configuration == "MultipleDb" && n == most {
					d.target(fmt.Sprintf("%d databases in turn, %d connections%s", n, sizes.conns, howMade[how]), "at least 0.5 × one database",
						times(both[how].rate, one[how].rate), both[how].rate >= one[how].rate/2)
				}
			}
		}
		both, err := b.inTurn(ctx, app, most, visitPages)
		rows = append(rows, placementRows(fmt.Sprintf("%d, %d pages a visit", most, visitPages), both, one)...)
		return err
	})
	if err != nil {
		return series, err
	}
	more := sizes.moreTenants
	_, err = b.withConns(ctx, env, sizes.moreConns, func(app *process) error {
		both, err := b.inTurn(ctx, app, more, 1)
		rows = append(rows, placementRows(fmt.Sprintf("%d, %d connections", more, sizes.moreConns), both, one)...)
		return err
	})
	if err != nil {
		return series, err
	}
	d.table([]string{"tenants in turn", "requests/s", "of one", "p50 ms", "p99 ms", "CPU a page: server µs", "PostgreSQL µs"}, rows)
	tenantKB := float64(memory.live) / 1024 / float64(most)
	d.target("memory of an idle tenant, "+configuration, "tens of kB", fmt.Sprintf("%.0f kB", tenantKB), tenantKB < 100)
	d.para("After all of them were visited, over %d connections, %.0f kB a tenant were alive in the application that were not before, its connections and caches included; it held %s MB, and PostgreSQL %s MB.",
		sizes.conns, tenantKB, mb(memory.app), mb(memory.pg))
	return series, nil
}

// inTurn asks for the first page of n tenants in turn, so many times each before the next; as it comes, and made anew.
func (b *bench) inTurn(ctx context.Context, app *process, n, times int) (both [2]figures, err error) {
	var requests []load.Request
	for i := range n {
		for range times {
			requests = append(requests, tenantPage(i, firstPage))
		}
	}
	s := subject{fmt.Sprintf("%d tenants in turn", n), app, requests}
	medians, err := b.compare(ctx, load.Load{}, s, s.anew())
	if err != nil {
		return both, err
	}
	return [2]figures(medians), nil
}

// grown is what the application and PostgreSQL hold after a load, and what is alive in the application more than
// before it.
type grown struct {
	held
	live int64
}

// withConns serves with so many connections while measure measures.
func (b *bench) withConns(ctx context.Context, env []string, conns int, measure func(*process) error) (g grown, err error) {
	app, err := b.serve(ctx, append(env, "DB_MAX_CONNS="+strconv.Itoa(conns))...)
	if err != nil {
		return g, err
	}
	before, err := liveHeap(ctx, app)
	if err != nil {
		return g, err
	}
	if err := measure(app); err != nil {
		return g, err
	}
	if g.held, err = b.memory(app.pid()); err != nil {
		return g, err
	}
	after, err := liveHeap(ctx, app)
	if err != nil {
		return g, err
	}
	g.live = after - before
	return g, app.stop()
}

func placementRows(name string, both, one [2]figures) (rows [][]string) {
	for i, f := range both {
		rows = append(rows, []string{name + howMade[i], fmt.Sprintf("%.0f", f.rate), times(f.rate, one[i].rate), ms(f.p50), ms(f.p99), us(f.appCPU), us(f.pgCPU)})
	}
	return rows
}
