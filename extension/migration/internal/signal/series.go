// This file turns successive scrapes of counters into what they counted since the first, over restarts.

package signal

import (
	"math"

	dto "github.com/prometheus/client_model/go"

	"github.com/foundation-agent/foundation-agent/internal/exposition"
)

// reading is what one scrape tells of a signal's series, summed up.
type reading struct {
	value     float64    // gauges, counters and untyped
	series    int        // how many there were
	quantiles []quantile // summaries: the largest of each quantile
	counted   float64    // what counters counted (histograms observed) since the first scrape
	histogram Histogram  // what histograms observed since the first scrape
}

// quantile is one that a Prometheus summary computed itself.
type quantile struct{ q, value float64 }

// series follows the series of one signal. Not safe for concurrent use.
type series struct {
	primed  bool // a scrape has been seen: series that are new now began at zero
	last    map[string]*dto.Metric
	counted float64
	total   Histogram
}

// observe takes a scrape's family in.
func (s *series) observe(family *dto.MetricFamily, labels map[string]string) (r reading, found bool) {
	seen := make(map[string]*dto.Metric, len(s.last))
	for _, m := range family.GetMetric() {
		if !matches(m, labels) {
			continue
		}
		found = true
		key := seriesKey(m)
		seen[key] = m
		r.value += exposition.Value(m)
		r.series++
		r.addQuantiles(m.GetSummary())
		s.count(m, s.last[key])
	}
	s.last, s.primed = seen, true
	r.counted, r.histogram = s.counted, s.total
	return r, found
}

// count adds what m counted since before (nil where it was not there).
func (s *series) count(m, before *dto.Metric) {
	if before == nil && !s.primed {
		return // what it counted before the first scrape is not known to be recent
	}
	s.counted += increase(counter(m), counter(before))
	now := histogramOf(m)
	if len(now.Bounds) == 0 {
		return
	}
	if then := histogramOf(before); then.Count() <= now.Count() {
		now = now.Minus(then)
	} // else it was reset: all that it has came since
	s.total = s.total.Plus(now)
}

// increase of a counter, which starts again at zero when its process does.
func increase(now, before float64) float64 {
	if now < before {
		return now
	}
	return now - before
}

func counter(m *dto.Metric) float64 {
	switch {
	case m.GetHistogram() != nil:
		return float64(m.GetHistogram().GetSampleCount())
	case m.GetSummary() != nil:
		return float64(m.GetSummary().GetSampleCount())
	}
	return exposition.Value(m)
}

func histogramOf(m *dto.Metric) Histogram {
	source := m.GetHistogram()
	if source == nil {
		return Histogram{}
	}
	h := Histogram{Sum: source.GetSampleSum()}
	for _, b := range source.GetBucket() {
		h.Bounds = append(h.Bounds, b.GetUpperBound())
		h.Counts = append(h.Counts, float64(b.GetCumulativeCount()))
	}
	if n := len(h.Bounds); n == 0 || !math.IsInf(h.Bounds[n-1], 1) {
		h.Bounds = append(h.Bounds, math.Inf(1))
		h.Counts = append(h.Counts, float64(source.GetSampleCount()))
	}
	return h
}

func (r *reading) addQuantiles(s *dto.Summary) {
	for _, q := range s.GetQuantile() {
		r.addQuantile(q.GetQuantile(), q.GetValue())
	}
}

func (r *reading) addQuantile(q, value float64) {
	for i := range r.quantiles {
		if r.quantiles[i].q == q {
			r.quantiles[i].value = max(r.quantiles[i].value, value)
			return
		}
	}
	r.quantiles = append(r.quantiles, quantile{q, value})
}
