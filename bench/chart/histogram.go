package chart

import (
	"math"
	"time"
)

// Histogram returns the share of the values, in percent, that falls into each of 20 steps a decade, over their
// milliseconds. The values must be sorted.
func Histogram(name string, sorted []time.Duration) Series {
	s := Series{Name: name}
	if len(sorted) == 0 {
		return s
	}
	const perDecade = 20
	step := func(d time.Duration) int {
		return int(math.Floor(math.Log10(max(d.Seconds(), 1e-6)*1e3) * perDecade))
	}
	counts := map[int]int{}
	for _, d := range sorted {
		counts[step(d)]++
	}
	first, last := step(sorted[0]), step(sorted[len(sorted)-1])
	for i := first; i <= last+1; i++ {
		s.Points = append(s.Points, Point{math.Pow(10, float64(i)/perDecade), 100 * float64(counts[i]) / float64(len(sorted))})
	}
	return s
}
