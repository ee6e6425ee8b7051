// Package chart draws the benchmarks' pictures as SVG, readable on a light page and on a dark one.
package chart

import (
	"fmt"
	"math"
	"strings"
)

// Point is a measured value.
type Point struct{ X, Y float64 }

// Series is a line, or a histogram's outline, with its name in the legend.
type Series struct {
	Name   string
	Points []Point
}

// Chart is a picture of some series over a logarithmic x axis, since the work grows tenfold from point to
// point, and a y axis that begins at zero or is logarithmic too.
type Chart struct {
	Title  string
	X, Y   string // the axes' names, with units
	LogY   bool
	Bars   bool // the points are a histogram's steps
	Series []Series
}

const (
	width, height            = 720.0, 360.0
	left, right, top, bottom = 70.0, 20.0, 60.0, 50.0
)

// colours are told apart by people who see red and green alike, and on white as well as on black.
var colours = []string{"#3b82c4", "#e08214", "#5aae61", "#9970ab", "#c4515a"}

// style gives text and lines a grey that both kinds of page leave readable.
const style = `text{font:13px system-ui,sans-serif;fill:#7d7d7d}.title{font-size:15px;font-weight:600}` +
	`.grid{stroke:#7d7d7d;stroke-opacity:.25}.axis{stroke:#7d7d7d}`

// SVG returns the picture. Values that an axis cannot show (zero on a logarithmic one) are left out.
func (c Chart) SVG() string {
	x, y := c.axes()
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %g %g" role="img" aria-label="%s">`+"\n", width, height, escape(c.Title))
	fmt.Fprintf(&b, "<style>%s</style>\n", style)
	fmt.Fprintf(&b, `<text class="title" x="%g" y="22">%s</text>`+"\n", left, escape(c.Title))
	c.legend(&b)
	for _, v := range y.ticks() {
		fmt.Fprintf(&b, `<line class="grid" x1="%g" x2="%g" y1="%.1f" y2="%.1f"/><text x="%g" y="%.1f" text-anchor="end">%s</text>`+"\n",
			left, width-right, y.at(v), y.at(v), left-8, y.at(v)+4, number(v))
	}
	for _, v := range x.ticks() {
		fmt.Fprintf(&b, `<line class="grid" x1="%.1f" x2="%.1f" y1="%g" y2="%g"/><text x="%.1f" y="%g" text-anchor="middle">%s</text>`+"\n",
			x.at(v), x.at(v), top, height-bottom, x.at(v), height-bottom+18, number(v))
	}
	fmt.Fprintf(&b, `<line class="axis" x1="%g" x2="%g" y1="%g" y2="%g"/>`+"\n", left, width-right, height-bottom, height-bottom)
	fmt.Fprintf(&b, `<text x="%g" y="%g" text-anchor="middle">%s</text>`+"\n", (left+width-right)/2, height-10, escape(c.X))
	fmt.Fprintf(&b, `<text transform="translate(16 %g) rotate(-90)" text-anchor="middle">%s</text>`+"\n", (top+height-bottom)/2, escape(c.Y))
	for i, s := range c.Series {
		c.draw(&b, s, colours[i%len(colours)], x, y)
	}
	b.WriteString("</svg>\n")
	return b.String()
}

func (c Chart) legend(b *strings.Builder) {
	at := left
	for i, s := range c.Series {
		fmt.Fprintf(b, `<rect x="%g" y="34" width="12" height="12" fill="%s"/><text x="%g" y="45">%s</text>`+"\n",
			at, colours[i%len(colours)], at+18, escape(s.Name))
		at += 32 + 7*float64(len([]rune(s.Name)))
	}
}

func (c Chart) draw(b *strings.Builder, s Series, colour string, x, y axis) {
	var path strings.Builder
	for _, p := range s.Points {
		if !x.shows(p.X) || !y.shows(p.Y) {
			continue
		}
		switch {
		case path.Len() == 0:
			fmt.Fprintf(&path, "M%.1f %.1f", x.at(p.X), y.at(p.Y))
		case c.Bars:
			fmt.Fprintf(&path, "H%.1fV%.1f", x.at(p.X), y.at(p.Y))
		default:
			fmt.Fprintf(&path, "L%.1f %.1f", x.at(p.X), y.at(p.Y))
		}
		if !c.Bars {
			fmt.Fprintf(b, `<circle cx="%.1f" cy="%.1f" r="3.5" fill="%s"><title>%s: %s</title></circle>`+"\n",
				x.at(p.X), y.at(p.Y), colour, number(p.X), number(p.Y))
		}
	}
	fmt.Fprintf(b, `<path d="%s" fill="none" stroke="%s" stroke-width="2"/>`+"\n", path.String(), colour)
}

func (c Chart) axes() (x, y axis) {
	x, y = axis{log: true, from: left, to: width - right}, axis{log: c.LogY, from: height - bottom, to: top}
	for _, s := range c.Series {
		for _, p := range s.Points {
			x.include(p.X)
			y.include(p.Y)
		}
	}
	return x.rounded(), y.rounded()
}

// axis maps values to places. A linear one begins at zero.
type axis struct {
	log       bool
	from, to  float64 // places
	low, high float64 // values; both zero: none yet
}

func (a axis) shows(v float64) bool { return v > 0 || !a.log && v == 0 }

func (a *axis) include(v float64) {
	if !a.shows(v) {
		return
	}
	if a.high == 0 || v < a.low {
		a.low = v
	}
	a.high = max(a.high, v)
}

// rounded makes the axis end at round values.
func (a axis) rounded() axis {
	switch {
	case a.high == 0:
		a.low, a.high = 1, 10
	case a.log:
		a.low, a.high = math.Pow(10, math.Floor(math.Log10(a.low))), math.Pow(10, math.Ceil(math.Log10(a.high)))
	default:
		a.low, a.high = 0, a.step()*math.Ceil(a.high/a.step())
	}
	if a.low == a.high {
		a.high *= 10
	}
	return a
}

// step is the distance of a linear axis' ticks: 1, 2 or 5 times a power of ten.
func (a axis) step() float64 {
	power := math.Pow(10, math.Floor(math.Log10(a.high)))
	for _, s := range []float64{0.1, 0.2, 0.5, 1} {
		if a.high/(s*power) <= 6 {
			return s * power
		}
	}
	return 2 * power
}

func (a axis) ticks() (ticks []float64) {
	if a.log {
		for v := a.low; v <= a.high*1.0001; v *= 10 {
			ticks = append(ticks, v)
		}
		return ticks
	}
	step := a.step()
	for i := 0.0; i*step <= a.high*1.0001; i++ {
		ticks = append(ticks, i*step)
	}
	return ticks
}

func (a axis) at(v float64) float64 {
	share := (v - a.low) / (a.high - a.low)
	if a.log {
		share = math.Log(v/a.low) / math.Log(a.high/a.low)
	}
	return a.from + share*(a.to-a.from)
}

// number writes a value for people: 1200000 as 1.2M.
func number(v float64) string {
	for _, unit := range []struct {
		size float64
		name string
	}{{1e6, "M"}, {1e3, "k"}} {
		if v >= unit.size {
			return trim(v/unit.size) + unit.name
		}
	}
	return trim(v)
}

func trim(v float64) string { return fmt.Sprintf("%.3g", v) }

var escape = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;").Replace
