// Package baseline collects what signals are like over a time, keeps it, and compares.
package baseline

import (
	"math"
	"slices"

	"github.com/foundation-agent/foundation-agent/extension/migration/internal/signal"
	"github.com/foundation-agent/foundation-agent/internal/operator"
)

// statsOf sums up samples. It sorts them.
func statsOf(samples []float64) operator.BaselineStats {
	if len(samples) == 0 {
		return operator.BaselineStats{}
	}
	slices.Sort(samples)
	var mean float64
	for i, s := range samples {
		mean += (s - mean) / float64(i+1)
	}
	return operator.BaselineStats{
		Samples: len(samples), Mean: mean, Min: samples[0], Max: samples[len(samples)-1],
		P50: nearest(samples, 0.50), P95: nearest(samples, 0.95), P99: nearest(samples, 0.99),
	}
}

// nearest is the q-quantile of sorted samples by the nearest rank: always one that was seen.
func nearest(sorted []float64, q float64) float64 {
	return sorted[max(0, int(math.Ceil(q*float64(len(sorted))))-1)]
}

// observedStats sums up what a histogram observed. Minimum and maximum are not known.
func observedStats(h signal.Histogram) *operator.BaselineStats {
	if h.Count() <= 0 {
		return nil
	}
	s := &operator.BaselineStats{Samples: int(h.Count()), Mean: h.Sum / h.Count()}
	s.P50, _ = h.Quantile(0.50)
	s.P95, _ = h.Quantile(0.95)
	s.P99, _ = h.Quantile(0.99)
	return s
}
