// Package report turns measurements into medians with their spread, and those into a table, JSON and one HTML page.
package report

import (
	"fmt"
	"math"
	"slices"
)

// Stat is the median of some runs and the lowest and highest of them. For five runs, lowest to highest is the
// 94 % confidence interval of the median (order statistics: 1 - 2/2^5), whatever the distribution.
type Stat struct {
	Median, Low, High float64
	Runs              int
}

// Of gives the Stat of samples.
func Of(samples []float64) Stat {
	if len(samples) == 0 {
		return Stat{Median: math.NaN(), Low: math.NaN(), High: math.NaN()}
	}
	s := slices.Sorted(slices.Values(samples))
	middle := (s[(len(s)-1)/2] + s[len(s)/2]) / 2
	return Stat{Median: middle, Low: s[0], High: s[len(s)-1], Runs: len(s)}
}

// Each applies f to the samples of one round after another.
func Each(f func(v ...float64) float64, samples ...[]float64) []float64 {
	rounds := len(samples[0])
	for _, s := range samples {
		rounds = min(rounds, len(s))
	}
	out := make([]float64, rounds)
	for i := range out {
		var of []float64
		for _, s := range samples {
			of = append(of, s[i])
		}
		out[i] = f(of...)
	}
	return out
}

// Ratio is a/b, round by round: what disturbed a round disturbed both.
func Ratio(a, b []float64) Stat {
	return Of(Each(func(v ...float64) float64 { return v[0] / v[1] }, a, b))
}

// Overlaps reports whether the intervals of two Stats have a value in common: which is larger is then undecided.
func (s Stat) Overlaps(o Stat) bool { return s.Low <= o.High && o.Low <= s.High }

// String is the median and the interval.
func (s Stat) String() string {
	if s.Runs == 0 {
		return "-"
	}
	return fmt.Sprintf("%s (%s to %s)", digits(s.Median), digits(s.Low), digits(s.High))
}

// digits writes three figures of v.
func digits(v float64) string {
	switch a := math.Abs(v); {
	case a >= 99.95:
		return fmt.Sprintf("%.0f", v)
	case a >= 9.995:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.2f", v)
	}
}

// Budget is a limit in two steps on something measured.
type Budget struct {
	What        string
	First, Then float64
	// AtLeast budgets are met above the limit, others below it.
	AtLeast bool
	Unit    string
}

// Verdict says whether a measurement meets each step: met or missed where the whole interval does, else undecided.
func (b Budget) Verdict(s Stat) (first, then string) {
	return b.against(s, b.First), b.against(s, b.Then)
}

func (b Budget) against(s Stat, limit float64) string {
	if s.Runs == 0 {
		return "not measured"
	}
	low, high := s.Low <= limit, s.High <= limit
	if b.AtLeast {
		low, high = s.Low >= limit, s.High >= limit
	}
	switch {
	case low && high:
		return "met"
	case !low && !high:
		return "missed"
	}
	return "undecided"
}
