// This file is what a histogram observed over a time, and its quantiles.

package signal

import (
	"math"
	"slices"
)

// Histogram is what a histogram observed: cumulative counts by upper bound, ascending, the last +Inf.
type Histogram struct {
	Bounds []float64
	Counts []float64
	Sum    float64
}

// Count is the number of observations.
func (h Histogram) Count() float64 {
	if len(h.Counts) == 0 {
		return 0
	}
	return h.Counts[len(h.Counts)-1]
}

// Plus adds what two histograms of the same bounds observed. Other bounds replace what was there, as
// after an upgrade that changed them.
func (h Histogram) Plus(o Histogram) Histogram { return h.combine(o, 1) }

// Minus is what h observed beyond o, an earlier state of it.
func (h Histogram) Minus(o Histogram) Histogram {
	if len(o.Bounds) == 0 {
		return h
	}
	return h.combine(o, -1)
}

func (h Histogram) combine(o Histogram, sign float64) Histogram {
	if !slices.Equal(h.Bounds, o.Bounds) {
		if sign < 0 || len(o.Bounds) == 0 {
			return h
		}
		return o
	}
	sum := Histogram{Bounds: h.Bounds, Counts: make([]float64, len(h.Counts)), Sum: h.Sum + sign*o.Sum}
	for i := range h.Counts {
		sum.Counts[i] = h.Counts[i] + sign*o.Counts[i]
	}
	return sum
}

// Quantile estimates the q-quantile by linear interpolation within its bucket, as PromQL's
// histogram_quantile does; beyond the last finite bound it is that bound. false where nothing was observed.
func (h Histogram) Quantile(q float64) (float64, bool) {
	total := h.Count()
	if total <= 0 {
		return 0, false
	}
	rank := q * total
	i, _ := slices.BinarySearch(h.Counts, rank)
	i = min(i, len(h.Counts)-1)
	if math.IsInf(h.Bounds[i], 1) {
		if i == 0 {
			return h.Sum / total, true // a histogram of one bucket knows only its mean
		}
		return h.Bounds[i-1], true
	}
	lower, below := 0.0, 0.0
	if i > 0 {
		lower, below = h.Bounds[i-1], h.Counts[i-1]
	} else if h.Bounds[0] <= 0 {
		return h.Bounds[0], true
	}
	in := h.Counts[i] - below
	if in <= 0 {
		return h.Bounds[i], true
	}
	return lower + (h.Bounds[i]-lower)*(rank-below)/in, true
}
