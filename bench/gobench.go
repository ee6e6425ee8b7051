package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// goBenchmarks are the Go benchmarks that stand beside a floor. The first of the ways is the floor.
var goBenchmarks = []struct {
	pkg, pattern string
	names        []string // without the way
	ways         []string
	what         string
	target       func(d *document, name string, floor, tenanted result)
}{
	{"tenanted/scopes", "^BenchmarkScope$", []string{"Scope/Find", "Scope/Count", "Scope/Create", "Scope/Update", "Scope/Delete"}, []string{"gorm", "tenanted"},
		"What the scope adds to building a statement, with no database, over plain GORM with the tenant's condition written by hand. Target: at most 1 µs and 4 allocations more.", scopeTarget},
	{"tenanted/scopes/registry", "^Benchmark(Read|Transaction|Update)$", []string{"Read", "Transaction", "Update"}, []string{"gorm", "tenanted", "pgx"},
		"Statements on the database: ten rows read outside a transaction; a count and ten rows in one; one row changed in GORM's transaction around a write. Targets over plain GORM: 1.25 × a read, 1.1 × a transaction, no more round trips.", statementTarget},
	{"tenanted/scopes/registry", "^BenchmarkRoute$", []string{"Route"}, []string{"sql", "tenanted"},
		"A connection taken from the pool and given back: database/sql's own, and the registry's by the tenant.", nil},
}

func scopeTarget(d *document, name string, floor, tenanted result) {
	d.target(name, "at most 1 µs and 4 allocations over GORM", fmt.Sprintf("%+.2f µs, %+.0f", (tenanted.ns-floor.ns)/1e3, tenanted.allocs-floor.allocs),
		tenanted.ns-floor.ns <= 1000 && tenanted.allocs-floor.allocs <= 4)
}

func statementTarget(d *document, name string, floor, tenanted result) {
	most, ok := map[string]float64{"Read": 1.25, "Transaction": 1.1}[name]
	if ok {
		d.target("scoped "+strings.ToLower(name), fmt.Sprintf("at most %g × GORM's, no more round trips", most),
			fmt.Sprintf("%s, %.0f and %.0f", times(tenanted.ns, floor.ns), tenanted.trips, floor.trips), tenanted.ns <= most*floor.ns && tenanted.trips <= floor.trips)
	}
}

// goBench runs the Go benchmarks several times by turns and writes the least of each: other work on the machine only
// adds.
func (b *bench) goBench(ctx context.Context, d *document) error {
	d.section("Scope and session")
	for _, g := range goBenchmarks {
		runs := map[string][]result{}
		for range 2*b.rounds + 1 {
			if err := runGo(ctx, g.pkg, g.pattern, runs); err != nil {
				return err
			}
		}
		d.para("%s The least of %d runs by turns.", g.what, 2*b.rounds+1)
		var rows [][]string
		for _, name := range g.names {
			floor := least(runs[name+"/"+g.ways[0]])
			for _, way := range g.ways {
				rows = append(rows, least(runs[name+"/"+way]).row(name+", "+way, floor))
			}
			if g.target != nil {
				g.target(d, name, floor, least(runs[name+"/tenanted"]))
			}
		}
		d.table([]string{"", "µs", "of " + g.ways[0], "µs more", "allocations", "more", "round trips"}, rows)
	}
	return nil
}

// result is one line of a benchmark's output.
type result struct{ ns, allocs, trips float64 }

func (r result) row(name string, floor result) []string {
	trips := ""
	if r.trips > 0 {
		trips = fmt.Sprintf("%.0f", r.trips)
	}
	return []string{
		name, significant(r.ns / 1e3), times(r.ns, floor.ns), fmt.Sprintf("%+.2f", (r.ns-floor.ns)/1e3),
		fmt.Sprintf("%.0f", r.allocs), fmt.Sprintf("%+.0f", r.allocs-floor.allocs), trips,
	}
}

func least(runs []result) result {
	if len(runs) == 0 {
		return result{}
	}
	return slices.MinFunc(runs, func(a, b result) int { return cmp.Compare(a.ns, b.ns) })
}

func runGo(ctx context.Context, pkg, pattern string, runs map[string][]result) error {
	out, err := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", pattern, "-benchmem", "-benchtime", "300ms", pkg).CombinedOutput()
	if err != nil {
		return fmt.Errorf("benchmarks of %s: %w\n%s", pkg, err, out)
	}
	lines := bufio.NewScanner(bytes.NewReader(out))
	for lines.Scan() {
		if name, r, ok := parseResult(lines.Text()); ok {
			runs[name] = append(runs[name], r)
		}
	}
	return lines.Err()
}

var processorsSuffix = regexp.MustCompile(`-\d+$`)

// parseResult reads a line such as "BenchmarkX/y-2  100  12.5 ns/op  1.0 roundtrips/op  64 B/op  2 allocs/op".
func parseResult(line string) (name string, r result, ok bool) {
	words := strings.Fields(line)
	if len(words) < 4 || !strings.HasPrefix(words[0], "Benchmark") {
		return "", r, false
	}
	for i, unit := range words {
		value := &r.ns
		switch unit {
		case "ns/op":
		case "allocs/op":
			value = &r.allocs
		case "roundtrips/op":
			value = &r.trips
		default:
			continue
		}
		*value, _ = strconv.ParseFloat(words[i-1], 64)
	}
	name = processorsSuffix.ReplaceAllString(strings.TrimPrefix(words[0], "Benchmark"), "")
	return name, r, slices.Contains(words, "ns/op")
}
