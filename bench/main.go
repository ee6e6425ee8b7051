// Bench measures the application and writes docs/benchmarks.md with its pictures: one command, and nothing else
// is needed than Go and PostgreSQL's programs.
//
//	go run ./bench              # everything, about half an hour on two cores
//	go run ./bench -quick       # everything once, small: does it still run?
//
// It builds the program, starts a private PostgreSQL in a directory of its own, and loads both from the same
// machine. Each figure stands beside its floor, the least that the same work can cost, measured by turns in the same
// run, so that the ratio holds on other machines and beside other work. -quick writes nothing and checks no figure:
// a machine of another speed, or a busy one, is no error.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"tenanted/bench/floor"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	quick := flag.Bool("quick", false, "run everything once, with little data")
	out := flag.String("out", "", "the directory to write benchmarks.md and pictures/ into (default docs; with -quick none)")
	rounds := flag.Int("rounds", 5, "how often each load is repeated")
	duration := flag.Duration("duration", 5*time.Second, "how long each load takes")
	floorAddr := flag.String("floor-addr", "", "serve the floor at this address, and nothing else")
	floorDSN := flag.String("floor-dsn", "", "the floor's database")
	flag.Parse()
	if *floorAddr != "" {
		return serveFloor(ctx, *floorAddr, *floorDSN)
	}
	b, sizes := &bench{rounds: *rounds, duration: *duration, clients: 8}, full
	if *quick {
		b.quick, b.rounds, b.duration, sizes = true, 1, 100*time.Millisecond, small
	}
	d := &document{}
	if err := b.all(ctx, d, sizes); err != nil {
		return err
	}
	switch {
	case *out != "":
		return d.write(*out)
	case *quick:
		return nil
	default:
		return d.write("docs")
	}
}

// sizes say how much is measured.
type sizes struct {
	accounts   int
	big        int   // subtasks of the big tenant
	clients    []int // as they grow
	tenantRows []int // subtasks of tenants, as they grow
	placements []int // tenants with a database or schema of their own, as they grow
	conns      int   // to those, in all

	moreTenants, moreConns int // of those, with connections for all
}

var (
	full = sizes{
		accounts: 2000, big: 20_000, clients: []int{1, 2, 4, 8, 16, 32, 64, 128}, tenantRows: []int{100, 1000, 10_000, 100_000},
		placements: []int{1, 40, 100, 500}, conns: 40, moreTenants: 100, moreConns: 150,
	}
	small = sizes{accounts: 3, big: 100, clients: []int{1, 4}, tenantRows: []int{10, 100}, placements: []int{1, 4}, conns: 2, moreTenants: 4, moreConns: 8}
)

// all measures everything and writes it into d.
func (b *bench) all(ctx context.Context, d *document, sizes sizes) (err error) {
	if b.world, err = newFixture(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	d.title("Benchmarks")
	d.para("Written by `go run ./bench`, which anyone can run; it measures everything anew. A *floor* is the least that the same work can cost, in bare pgx and net/http, measured " +
		"by turns in the same run: the ratio to it holds on any machine.")
	if err := b.describeMachine(ctx, d); err != nil {
		return err
	}
	d.section("Targets")
	d.text.WriteString(targetsHere)
	if err := b.oneDatabase(ctx, d, sizes); err != nil {
		return err
	}
	if err := b.step("a database or schema for each tenant", func() error { return b.separate(ctx, d, sizes) }); err != nil {
		return err
	}
	if err := b.step("start", func() error { return b.startup(ctx, d) }); err != nil {
		return err
	}
	if !b.quick { // CI runs each Go benchmark once by itself
		return b.step("scope and session", func() error { return b.goBench(ctx, d) })
	}
	return nil
}

// oneDatabase measures what is in one database: seed, pages, growth, plans.
func (b *bench) oneDatabase(ctx context.Context, d *document, sizes sizes) error {
	if err := b.step("seed", func() error { return b.seeding(ctx, d, sizes.accounts) }); err != nil {
		return err
	}
	numbers, err := b.bigTenants(ctx, sizes.accounts, []int{sizes.big})
	if err != nil {
		return err
	}
	big := numbers[0]
	// The smaller one too: what autovacuum writes, in whichever database, makes all pages that are kept old.
	for _, database := range []string{mainDatabase, smallDatabase} {
		if err := b.settle(ctx, database); err != nil {
			return err
		}
	}
	s, err := b.openSite(ctx, mainDatabase)
	if err != nil {
		return err
	}
	defer func() { _, _ = s.app.stop(), s.floor.stop() }()
	if err := b.step("pages", func() error { return b.pages(ctx, d, s, sizes.accounts, big) }); err != nil {
		return err
	}
	if err := b.step("growth", func() error { return b.growth(ctx, d, s, sizes) }); err != nil {
		return err
	}
	subtasks, err := b.number(ctx, mainDatabase, "select count(*) from subtasks")
	if err != nil {
		return err
	}
	return b.step("plans", func() error { return b.plans(ctx, d, subtasks, big) })
}

// step says on stderr what is measured and how long it took.
func (b *bench) step(name string, measure func() error) error {
	began := time.Now()
	fmt.Fprintf(os.Stderr, "%s ...", name)
	err := measure()
	fmt.Fprintf(os.Stderr, " %.0f s\n", time.Since(began).Seconds())
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// serveFloor is the floor's server, which runs as a process of its own.
func serveFloor(ctx context.Context, addr, dsn string) error {
	pool, err := pgxpool.New(ctx, dsn)
	if err != nil {
		return err
	}
	defer pool.Close()
	server := &http.Server{Addr: addr, Handler: floor.Handler(pool), ReadHeaderTimeout: 5 * time.Second}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
