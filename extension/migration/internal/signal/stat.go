// Package signal reads named numbers from Prometheus endpoints and servers and follows them over windows.
package signal

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Stat is what is made of a metric's series. The zero Stat is none.
type Stat struct {
	name     string
	quantile float64 // of histograms and summaries; 0 for the others
}

// What can be made of series. Those of one metric are summed up first.
var (
	Value    = Stat{name: "value"}           // the sum of gauges or counters
	Rate     = Stat{name: "rate"}            // increase of counters (observations of histograms) a second
	Increase = Stat{name: "increase"}        // increase over the window
	Mean     = Stat{name: "mean"}            // of what a histogram observed in the window; of gauges, over the series
	Growth   = Stat{name: "growth_per_hour"} // slope of the value over the window, by least squares
	Ratio    = Stat{name: "ratio"}           // one signal divided by another
)

// ParseStat reads the name of a stat: one of the above, or a quantile, p1 to p99.9.
func ParseStat(text string) (Stat, error) {
	for _, s := range []Stat{Value, Rate, Increase, Mean, Growth, Ratio} {
		if s.name == text {
			return s, nil
		}
	}
	if digits, ok := strings.CutPrefix(text, "p"); ok {
		if p, err := strconv.ParseFloat(digits, 64); err == nil && p > 0 && p < 100 {
			return Stat{name: text, quantile: p / 100}, nil
		}
	}
	return Stat{}, fmt.Errorf("stat: %q: must be value, rate, increase, mean, growth_per_hour, ratio, or a quantile such as p50, p95, p99", text)
}

// String is the stat's name.
func (s Stat) String() string { return s.name }

// Spec is one signal: where it is read, and what is made of it.
type Spec struct {
	Name   string
	Source string
	// Metric and Labels choose the series of a scraped source; Query asks a Prometheus server.
	Metric string
	Labels map[string]string
	Query  string
	Stat   Stat
	// Dividend and Divisor name the signals of a Ratio.
	Dividend, Divisor string
	Unit              string
	Window            time.Duration
}
