// Bench measures the application. One command does everything, with nothing but Go and PostgreSQL's programs:
//
//	go run ./bench                          # everything, about a quarter of an hour on two cores
//	go run ./bench -only pages,all-tenants  # some scenarios, and what they need
//	go run ./bench -quick                   # everything once, small: does it still run?
//	go run ./bench -fleet MultipleDb:300    # what many tenants cost, as docs/fleet.md has it
//
// It builds the program, starts a private PostgreSQL in a directory of its own, and loads both from the same machine.
// Each figure is compared with its floor, the least that the same work can cost, measured by turns in the same run, so that
// the ratio holds on other machines and under other load. A whole run writes the figures to docs/benchmarks.json and,
// by a template, to docs/benchmarks.md; -quick and -only print them. No figure is an error.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
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
	b := &bench{sizes: full, clients: 8}
	flag.DurationVar(&b.duration, "duration", 4*time.Second, "how long each load takes")
	flag.IntVar(&b.rounds, "rounds", 5, "how often each load is repeated, by turns")
	quick := flag.Bool("quick", false, "run everything once, with little data")
	only := flag.String("only", "", "the scenarios to run, separated by commas: "+strings.Join(names(), ", "))
	out := flag.String("out", "docs", "the directory to write benchmarks.json and benchmarks.md into, after a whole run")
	many := flag.String("fleet", "", "measure what tenants cost, and nothing else: CONFIGURATION:TENANTS, several separated by commas")
	floorAddr := flag.String("floor-addr", "", "serve the floor at this address, and nothing else")
	floorDSN := flag.String("floor-dsn", "", "the floor's database")
	flag.Parse()
	if *floorAddr != "" {
		return serveFloor(ctx, *floorAddr, *floorDSN)
	}
	if *quick {
		b.rounds, b.duration, b.sizes = 1, 200*time.Millisecond, small
	}
	if *many != "" {
		steps, err := parseFleet(*many)
		if err != nil {
			return err
		}
		return b.fleet(ctx, steps, os.Stdout)
	}
	wanted := names()
	if *only != "" {
		wanted = strings.Split(*only, ",")
	}
	figures, err := b.all(ctx, wanted)
	if err != nil {
		return err
	}
	if *quick && *only == "" {
		err = b.fleet(ctx, []fleetStep{{"SingleSchema", 2}, {"MultipleSchemas", 3}, {"MultipleDb", 3}}, os.Stdout)
	}
	if *quick || *only != "" {
		return errors.Join(err, figures.write(os.Stdout))
	}
	return figures.save(*out)
}

// sizes say how much is measured.
type sizes struct {
	Accounts   int
	Big        int // subtasks of the big tenant
	Placements int // tenants of each configuration, asked in turn
	Conns      int // to those, in all
	Writes     int // single-row updates a second while pages are asked for
}

var (
	full  = sizes{Accounts: 2000, Big: 20_000, Placements: 500, Conns: 40, Writes: 20}
	small = sizes{Accounts: 3, Big: 100, Placements: 4, Conns: 2, Writes: 20}
)

// scenarios are in the order in which they run: the first ones make the data of the later ones.
var scenarios = []struct {
	name string
	run  func(*bench, context.Context, *Figures) error
}{
	{"seed", (*bench).seed},
	{"pages", (*bench).pages},
	{"all-tenants", (*bench).allTenants},
	{"placements", (*bench).placements},
	{"startup", (*bench).startup},
}

func names() (all []string) {
	for _, s := range scenarios {
		all = append(all, s.name)
	}
	return all
}

// bench is what all scenarios need.
type bench struct {
	*fixture
	sizes    sizes
	rounds   int
	duration time.Duration // of one load
	clients  int
}

// all runs the wanted scenarios.
func (b *bench) all(ctx context.Context, wanted []string) (f *Figures, err error) {
	for _, name := range wanted {
		if !slices.Contains(names(), name) {
			return nil, fmt.Errorf("no scenario %q: choose among %s", name, strings.Join(names(), ", "))
		}
	}
	if b.fixture, err = newFixture(ctx); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	f = &Figures{Machine: describeMachine(ctx), Sizes: b.sizes, Clients: b.clients, Rounds: b.rounds, Seconds: b.duration.Seconds()}
	for _, s := range scenarios {
		needed := s.name == "seed" && slices.ContainsFunc(wanted, func(name string) bool { return name != "placements" })
		if !needed && !slices.Contains(wanted, s.name) {
			continue
		}
		began := time.Now()
		fmt.Fprintf(os.Stderr, "%s ...", s.name)
		err := s.run(b, ctx, f)
		fmt.Fprintf(os.Stderr, " %.0f s\n", time.Since(began).Seconds())
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return f, nil
}

// save writes the figures as JSON and as a document.
func (f *Figures) save(dir string) error {
	figures, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "benchmarks.json"), append(figures, '\n'), 0o644); err != nil {
		return err
	}
	document, err := os.Create(filepath.Join(dir, "benchmarks.md"))
	if err != nil {
		return err
	}
	return errors.Join(f.write(document), document.Close())
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
