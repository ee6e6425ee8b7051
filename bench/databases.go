package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"tenanted/bench/chart"
	"tenanted/bench/load"
)

// separate measures the configurations in which each tenant has a database or a schema of its own: the same load on
// one tenant, on as many as there are connections, and on all, round robin.
func (b *bench) separate(ctx context.Context, d *document, sizes sizes) error {
	d.section("A database or a schema for each tenant")
	d.para("%d clients ask for the first page of one tenant after the other, in turn: the worst case for connections, which PostgreSQL binds to a database. "+
		"%d connections in all (`DB_MAX_CONNS`).", b.clients, sizes.conns)
	var series []chart.Series
	for _, configuration := range []string{"MultipleDb", "MultipleSchemas"} {
		s, err := b.separateIn(ctx, d, configuration, sizes)
		if err != nil {
			return err
		}
		series = append(series, s)
	}
	d.picture("placements", chart.Chart{Title: "Requests a second by the tenants that are asked in turn", X: "tenants", Y: "requests/s", Series: series})
	d.para("With MultipleDb, throughput bends where there are more databases than connections: from there on each page opens a connection, which is a new process of PostgreSQL " +
		"with empty caches, and costs it several times what the page does; the connection it takes the place of was the one used longest ago, and in a round that is the one needed next. " +
		"While fewer tenants than connections are active at a time, as is usual, pages find theirs open. The way out is a larger `DB_MAX_CONNS`, at the price of PostgreSQL's memory for each connection " +
		"(below), or fewer databases: tenants who share one share its connections.")
	return nil
}

func (b *bench) separateIn(ctx context.Context, d *document, configuration string, sizes sizes) (chart.Series, error) {
	series := chart.Series{Name: configuration}
	most := sizes.placements[len(sizes.placements)-1]
	env := []string{"DJANGO_CONFIGURATION=" + configuration, "MULTIDB_COUNT=" + strconv.Itoa(most), "DB_MAX_CONNS=" + strconv.Itoa(sizes.conns)}
	began := time.Now()
	if _, _, err := b.run(ctx, env, "migrate"); err != nil {
		return series, err
	}
	if _, _, err := b.run(ctx, env, "seed", "--accounts", strconv.Itoa(most)); err != nil {
		return series, err
	}
	took := time.Since(began)
	app, err := b.serve(ctx, env...)
	if err != nil {
		return series, err
	}
	live, err := liveHeap(ctx, app)
	if err != nil {
		return series, err
	}
	before, err := b.memory(app.pid())
	if err != nil {
		return series, err
	}
	rows, err := b.byPlacements(ctx, app, sizes, &series)
	if err != nil {
		return series, err
	}
	after, err := b.memory(app.pid())
	if err != nil {
		return series, err
	}
	liveAfter, err := liveHeap(ctx, app)
	if err != nil {
		return series, err
	}
	d.para("### %s", configuration)
	d.table([]string{"tenants in turn", "requests/s", "of one", "p50 ms", "p99 ms", "CPU a page: server µs", "PostgreSQL µs"}, rows)
	d.para("%d tenants were made in %.0f s. After all of them were visited, %.0f kB a tenant were alive in the application that were not before, its connections and caches included; it held "+
		"%s MB, and PostgreSQL %s MB with %d connections at most, %s MB before.",
		most, took.Seconds(), float64(liveAfter-live)/1024/float64(most), mb(after.app), mb(after.pg), sizes.conns, mb(before.pg))
	return series, app.stop()
}

func (b *bench) byPlacements(ctx context.Context, app *process, sizes sizes, series *chart.Series) (rows [][]string, err error) {
	var one figures
	for i, n := range sizes.placements {
		medians, err := b.compare(ctx, load.Load{}, subject{fmt.Sprintf("%d tenants", n), app, tenantHosts(n, firstPage)})
		if err != nil {
			return nil, err
		}
		f := medians[0]
		if i == 0 {
			one = f
		}
		rows = append(rows, []string{
			fmt.Sprint(n), fmt.Sprintf("%.0f", f.rate), times(f.rate, one.rate), ms(f.p50), ms(f.p99), us(f.appCPU), us(f.pgCPU),
		})
		series.Points = append(series.Points, chart.Point{X: float64(n), Y: f.rate})
	}
	return rows, nil
}
