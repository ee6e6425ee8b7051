package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"
)

// startup measures how long it takes from starting `serve` to the first page, when PostgreSQL runs already and
// when it does not.
func (b *bench) startup(ctx context.Context, d *document) error {
	d.section("From start to first page")
	var running, stopped []time.Duration
	for range b.rounds {
		took, err := b.firstPage(ctx)
		if err != nil {
			return err
		}
		running = append(running, took)
	}
	for range b.rounds {
		if err := b.local.Close(); err != nil { // the last user's stops the server
			return err
		}
		took, err := b.firstPage(ctx)
		if err != nil {
			return err
		}
		stopped = append(stopped, took)
		if err := b.start(ctx); err != nil {
			return err
		}
	}
	same := func(d time.Duration) time.Duration { return d }
	d.para("Built binary, existing private server; medians of %d. Target: under 300 ms.", b.rounds)
	d.target("start to first page, PostgreSQL running", "under 300 ms", ms(median(running, same))+" ms", median(running, same) < 300*time.Millisecond)
	d.target("start to first page, PostgreSQL started too", "under 300 ms", ms(median(stopped, same))+" ms", median(stopped, same) < 300*time.Millisecond)
	d.table([]string{"PostgreSQL", "ms"}, [][]string{
		{"runs already", fmt.Sprint(median(running, same).Milliseconds())},
		{"is started, too", fmt.Sprint(median(stopped, same).Milliseconds())},
	})
	return nil
}

func (b *bench) firstPage(ctx context.Context) (time.Duration, error) {
	began := time.Now()
	app, err := b.serve(ctx, "PGDATABASE="+mainDatabase)
	if err != nil {
		return 0, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+app.addr+firstPage, nil)
	if err != nil {
		return 0, err
	}
	request.Host = "tenant-0.localhost"
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, response.Body)
	took := time.Since(began)
	_ = response.Body.Close()
	if err != nil || response.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("the first page answered %s, %w", response.Status, err)
	}
	return took, app.stop()
}
