package main

import (
	"context"
	"fmt"
	"time"

	"tenanted/bench/chart"
	"tenanted/bench/load"
)

// growth shows what a page costs as the work grows.
func (b *bench) growth(ctx context.Context, d *document, s site, sizes sizes) error {
	d.section("As the work grows")
	if err := b.byClients(ctx, d, s, sizes); err != nil {
		return err
	}
	if err := b.byRows(ctx, d, s, sizes); err != nil {
		return err
	}
	return b.byTenants(ctx, d, s, sizes)
}

func (b *bench) byClients(ctx context.Context, d *document, s site, sizes sizes) error {
	d.para("### Clients")
	var rows [][]string
	rate, p50, p99 := chart.Series{Name: "requests/s"}, chart.Series{Name: "p50"}, chart.Series{Name: "p99"}
	for _, clients := range sizes.clients {
		f, err := b.measure(ctx, subject{"clients", s.app, tenantHosts(sizes.accounts, firstPage)}, load.Load{Clients: clients})
		if err != nil {
			return err
		}
		rows = append(rows, []string{fmt.Sprint(clients), fmt.Sprintf("%.0f", f.rate), ms(f.p50), ms(f.p95), ms(f.p99)})
		x := float64(clients)
		rate.Points = append(rate.Points, chart.Point{X: x, Y: f.rate})
		p50.Points = append(p50.Points, point(x, f.p50))
		p99.Points = append(p99.Points, point(x, f.p99))
	}
	d.table([]string{"clients", "requests/s", "p50 ms", "p95 ms", "p99 ms"}, rows)
	d.picture("clients-throughput", chart.Chart{Title: "Requests a second by clients", X: "clients", Y: "requests/s", Series: []chart.Series{rate}})
	d.picture("clients-latency", chart.Chart{Title: "Latency of a tenant's page by clients", X: "clients", Y: "ms", LogY: true, Series: []chart.Series{p50, p99}})
	d.para("Throughput bends where the processors are busy, at about two clients a core; from there on more clients only wait longer. The next limit is that of one tenant's " +
		"requests at once (16), then the connections to PostgreSQL (`DB_MAX_CONNS`, 40), then the requests under way (512), past which the application answers 503.")
	return nil
}

func point(x float64, y time.Duration) chart.Point { return chart.Point{X: x, Y: y.Seconds() * 1e3} }

// byRows makes tenants of different sizes.
func (b *bench) byRows(ctx context.Context, d *document, s site, sizes sizes) error {
	d.para("### Rows a tenant")
	numbers, err := b.bigTenants(ctx, sizes.accounts+1, sizes.tenantRows)
	if err != nil {
		return err
	}
	if err := b.settle(ctx, mainDatabase); err != nil {
		return err
	}
	places := []string{"first page", "middle page", "last page"}
	series := make([]chart.Series, len(places))
	var rows [][]string
	for i, number := range numbers {
		last := b.lastOf(ctx, number)
		row := []string{fmt.Sprint(sizes.tenantRows[i])}
		for j, page := range []int{1, max(1, last/2), last} {
			f, err := b.one(ctx, subject{places[j], s.app, []load.Request{tenantPage(number, fmt.Sprintf("/subtasks/%d/", page))}}.anew())
			if err != nil {
				return err
			}
			row = append(row, ms(f.p50))
			series[j].Name = places[j]
			series[j].Points = append(series[j].Points, point(float64(sizes.tenantRows[i]), f.p50))
		}
		rows = append(rows, row)
	}
	d.para("One client; pages made anew; p50 in milliseconds.")
	d.table(append([]string{"subtasks of the tenant"}, places...), rows)
	d.picture("tenant-rows", chart.Chart{Title: "A tenant's page by the rows that the tenant has", X: "subtasks of the tenant", Y: "p50, ms", Series: series})
	d.para("The first and the last page stay as they are: the count is kept by the database, the rows come from the index on (account_id, name, id), read from the nearer end. " +
		"What bends is the middle, by the index entries that OFFSET leaves out, some 0.1 µs each; filters and searches count their rows, by as much. " +
		"The next limit is there: a tenant of a million subtasks needs landmarks of its own, as the list over all tenants has them.")
	return nil
}

// one is measured with a single client, so that it shows the time that a page takes and not a queue.
func (b *bench) one(ctx context.Context, s subject) (figures, error) {
	warm := load.Load{Clients: 1, Duration: b.duration / 4}
	if _, err := b.measure(ctx, s, warm); err != nil {
		return figures{}, err
	}
	return b.measure(ctx, s, load.Load{Clients: 1})
}

// byTenants compares databases with a hundredth, a tenth and all of the accounts.
func (b *bench) byTenants(ctx context.Context, d *document, s site, sizes sizes) error {
	d.para("### Tenants in one database")
	header := []string{"accounts", "subtasks", "a tenant's page", "all: first page", "all: middle page", "all: last page"}
	var rows [][]string
	series := make([]chart.Series, len(header)-2)
	for i := range series {
		series[i].Name = header[i+2]
	}
	add := func(database string, accounts int, app *process) error {
		subtasks, figures, err := b.tenantAndAll(ctx, database, accounts, app)
		if err != nil {
			return err
		}
		row := []string{fmt.Sprint(accounts), fmt.Sprint(subtasks)}
		for i, f := range figures {
			row = append(row, ms(f.p50))
			series[i].Points = append(series[i].Points, point(float64(subtasks), f.p50))
		}
		rows = append(rows, row)
		return nil
	}
	if err := b.inSmaller(ctx, sizes, add); err != nil {
		return err
	}
	if err := add(mainDatabase, sizes.accounts, s.app); err != nil {
		return err
	}
	d.para("SingleSchema; one client; pages made anew; p50 in milliseconds.")
	d.table(header, rows)
	d.picture("tenants", chart.Chart{Title: "Pages by the rows of all tenants", X: "subtasks in the database", Y: "p50, ms", Series: series})
	d.para("All of them are flat: a page over all tenants begins at a landmark in the index on (name, account_id, id), kept in memory. What grows is the walk that renews the " +
		"landmarks, 0.3 s a million rows, once in 20 times as long while somebody looks; the next limit is the memory for the indexes: once they do not fit, each page reads some blocks from the disk.")
	return nil
}

// inSmaller calls add with the smaller databases, each served by a process of its own.
func (b *bench) inSmaller(ctx context.Context, sizes sizes, add func(string, int, *process) error) error {
	if _, _, err := b.seed(ctx, tinyDatabase, max(1, sizes.accounts/100)); err != nil {
		return err
	}
	for _, smaller := range []struct {
		database string
		accounts int
	}{{tinyDatabase, max(1, sizes.accounts/100)}, {smallDatabase, max(1, sizes.accounts/10)}} {
		if err := b.settle(ctx, smaller.database); err != nil {
			return err
		}
		app, err := b.serve(ctx, "PGDATABASE="+smaller.database)
		if err != nil {
			return err
		}
		if err := add(smaller.database, smaller.accounts, app); err != nil {
			return err
		}
		if err := app.stop(); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) tenantAndAll(ctx context.Context, database string, accounts int, app *process) (subtasks int64, all []figures, err error) {
	if subtasks, err = b.number(ctx, database, "select count(*) from subtasks"); err != nil {
		return 0, nil, err
	}
	subjects := append([]subject{{"tenant", app, tenantHosts(accounts, firstPage)}}, allPages(app, subtasks)...)
	for _, s := range subjects {
		f, err := b.one(ctx, s.anew())
		if err != nil {
			return 0, nil, err
		}
		all = append(all, f)
	}
	return subtasks, all, nil
}
