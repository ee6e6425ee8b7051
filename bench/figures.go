package main

import (
	"context"
	_ "embed"
	"fmt"
	"io"
	"os/exec"
	"runtime"
	"strings"
	"text/template"
	"time"

	"github.com/prometheus/procfs"
)

// Figures are what a run measured.
type Figures struct {
	Machine Machine `json:"machine"`
	Sizes   sizes   `json:"sizes"`
	Clients int     `json:"clients"`
	Rounds  int     `json:"rounds"`
	Seconds float64 `json:"seconds"` // of a load

	Seed       *Seed       `json:"seed,omitempty"`
	Pages      []Page      `json:"pages,omitempty"`
	AllTenants []Page      `json:"all_tenants,omitempty"`
	Placements []Placement `json:"placements,omitempty"`
	Startup    *Startup    `json:"startup,omitempty"`
}

// Machine says on what, with what, when and of which commit the figures are.
type Machine struct {
	CPU    string `json:"cpu"`
	Cores  int    `json:"cores"`
	Go     string `json:"go"`
	Commit string `json:"commit"`
	Date   string `json:"date"`
	Load   string `json:"load"` // before the run
}

// Seed compares the program with a server-side COPY of the same rows.
type Seed struct {
	Rows    int64   `json:"rows"`
	Seconds float64 `json:"seconds"`
	Floor   float64 `json:"floor_seconds"`
	PeakMB  float64 `json:"peak_mb"`
}

// Page is a page under load, medians of the rounds; times in milliseconds, CPU in microseconds an answer.
type Page struct {
	Name   string  `json:"name"`
	Rate   float64 `json:"rate"` // answers a second
	P50    float64 `json:"p50_ms"`
	P95    float64 `json:"p95_ms"`
	P99    float64 `json:"p99_ms"`
	AppCPU float64 `json:"app_cpu_us"`
	PgCPU  float64 `json:"postgresql_cpu_us"`
	Floor  *Page   `json:"floor,omitempty"`
}

// Placement compares many tenants, asked in turn, with one.
type Placement struct {
	Configuration string  `json:"configuration"`
	Tenants       int     `json:"tenants"`
	SeedSeconds   float64 `json:"seed_seconds"`
	One           Page    `json:"one"`
	All           Page    `json:"all"`
	AppMB         float64 `json:"app_mb"`
	PgMB          float64 `json:"postgresql_mb"`
}

// Startup is the time from the start of serve to the first page, in milliseconds.
type Startup struct {
	Running float64 `json:"postgresql_running_ms"`
	Stopped float64 `json:"postgresql_started_too_ms"`
}

//go:embed benchmarks.md.tmpl
var documentText string

var document = template.Must(template.New("benchmarks.md").Funcs(template.FuncMap{
	"ratio": func(a, b float64) string { return fmt.Sprintf("%.2f ×", a/b) },
	"n":     number,
}).Parse(documentText))

// write writes the document.
func (f *Figures) write(w io.Writer) error { return document.Execute(w, f) }

// number writes three significant digits, and no fraction of large numbers.
func number(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.2f", v)
	}
}

// describeMachine leaves out what cannot be read.
func describeMachine(ctx context.Context) Machine {
	m := Machine{Cores: runtime.NumCPU(), Go: runtime.Version(), Date: time.Now().UTC().Format(time.DateOnly)}
	if fs, err := procfs.NewDefaultFS(); err == nil {
		if cpus, err := fs.CPUInfo(); err == nil && len(cpus) > 0 {
			m.CPU = cpus[0].ModelName
		}
		if load, err := fs.LoadAvg(); err == nil {
			m.Load = fmt.Sprintf("%.2f, %.2f, %.2f", load.Load1, load.Load5, load.Load15)
		}
	}
	if out, err := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty=, with changes").Output(); err == nil {
		m.Commit = strings.TrimSpace(string(out))
	}
	return m
}

// usage is what the processes of a load have used.
type usage struct {
	app, pg     float64 // CPU seconds so far
	appMB, pgMB float64 // memory held now, what processes share counted once
}

// use reads the usage of a server process and of all of PostgreSQL's.
func (b *bench) use(app int) (u usage, err error) {
	postmaster, err := b.postmaster()
	if err != nil {
		return u, err
	}
	all, err := procfs.AllProcs()
	if err != nil {
		return u, err
	}
	for _, p := range all {
		stat, err := p.Stat()
		if err != nil {
			continue // it has just ended
		}
		seconds := stat.CPUTime() + float64(stat.CUTime+stat.CSTime)/float64(userHZ)
		memory := 0.0
		if rollup, err := p.ProcSMapsRollup(); err == nil {
			memory = float64(rollup.Pss) / (1 << 20)
		}
		switch {
		case p.PID == app:
			u.app, u.appMB = seconds, memory
		case p.PID == postmaster || stat.PPID == postmaster:
			u.pg += seconds
			u.pgMB += memory
		}
	}
	return u, nil
}

// userHZ is the unit of CPU time in /proc, on every Linux that Go runs on.
const userHZ = 100
