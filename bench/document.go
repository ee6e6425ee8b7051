package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"tenanted/bench/chart"
)

// document is docs/benchmarks.md as it grows, and its pictures.
type document struct {
	text     strings.Builder
	targets  [][]string
	pictures map[string]string // by file name
}

// targetsHere is where the table of targets goes, which is known at the end only.
const targetsHere = "(targets)\n"

// target notes what was aimed at, what came of it, and whether that will do.
func (d *document) target(work, aim, measured string, met bool) {
	verdict := "met"
	if !met {
		verdict = "**not met**"
	}
	d.targets = append(d.targets, []string{work, aim, measured, verdict})
}

// String is the whole text.
func (d *document) String() string {
	summary := &document{}
	summary.table([]string{"work", "target", "measured", ""}, d.targets)
	return strings.Replace(d.text.String(), targetsHere, summary.text.String(), 1)
}

func (d *document) title(text string)   { fmt.Fprintf(&d.text, "# %s\n\n", text) }
func (d *document) section(text string) { fmt.Fprintf(&d.text, "## %s\n\n", text) }

func (d *document) para(format string, args ...any) {
	fmt.Fprintf(&d.text, format+"\n\n", args...)
}

// table writes rows under their header; cells of the first column are left-aligned, the others right.
func (d *document) table(header []string, rows [][]string) {
	fmt.Fprintf(&d.text, "| %s |\n|---%s|\n", strings.Join(header, " | "), strings.Repeat("|---:", len(header)-1))
	for _, row := range rows {
		fmt.Fprintf(&d.text, "| %s |\n", strings.Join(row, " | "))
	}
	d.text.WriteString("\n")
}

func (d *document) code(text string) {
	fmt.Fprintf(&d.text, "```\n%s\n```\n\n", strings.TrimRight(text, "\n"))
}

func (d *document) picture(name string, c chart.Chart) {
	if d.pictures == nil {
		d.pictures = map[string]string{}
	}
	d.pictures[name+".svg"] = c.SVG()
	fmt.Fprintf(&d.text, "![%s](pictures/%s.svg)\n\n", c.Title, name)
}

// write puts the document into dir.
func (d *document) write(dir string) error {
	if err := os.MkdirAll(filepath.Join(dir, "pictures"), 0o755); err != nil {
		return err
	}
	for name, svg := range d.pictures {
		if err := os.WriteFile(filepath.Join(dir, "pictures", name), []byte(svg), 0o644); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(dir, "benchmarks.md"), []byte(d.String()), 0o644)
}

// ms writes a duration in milliseconds, with three significant digits.
func ms(d time.Duration) string { return significant(d.Seconds() * 1e3) }

// us writes a duration in microseconds.
func us(d time.Duration) string { return fmt.Sprintf("%.0f", d.Seconds()*1e6) }

func significant(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.2f", v)
	}
}

// times writes how many times of a floor something is.
func times(v, floor float64) string { return fmt.Sprintf("%.2f ×", v/floor) }

func mb(bytes int64) string { return significant(float64(bytes) / (1 << 20)) }
