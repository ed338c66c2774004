// This file draws what control has seen of the agent over time, and the distributions of its durations.

package page

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/foundation-agent/foundation-agent/internal/operator"
)

// TableSizes draws the memory that each table held over time.
func TableSizes(samples []operator.Sample) (Chart, error) {
	times := make([]time.Time, len(samples))
	names := map[string]bool{}
	for i, x := range samples {
		times[i] = x.At
		for name := range x.Bytes {
			names[name] = true
		}
	}
	var series []Series
	for _, name := range slices.Sorted(maps.Keys(names)) {
		line := Series{Name: name}
		for _, x := range samples {
			if bytes, ok := x.Bytes[name]; ok {
				line.Values = append(line.Values, float64(bytes))
			} else {
				line.Values = append(line.Values, math.NaN())
			}
		}
		series = append(series, line)
	}
	if len(series) == 0 {
		return Chart{}, nil
	}
	return Lines("Memory that tables hold, over time", times, series, Bytes)
}

// distributionsSection draws the histograms of the agent's own metrics.
func distributionsSection(all []operator.Distribution) (Section, error) {
	s := Section{ID: "latencies", Title: "Latencies"}
	if len(all) == 0 {
		s.Note = "The agent's own metrics have no durations yet, or could not be read."
		return s, nil
	}
	for _, d := range all {
		chart, err := distributionChart(d)
		if err != nil {
			return Section{}, err
		}
		s.Charts = append(s.Charts, chart)
	}
	return s, nil
}

// distributionChart draws how many observations each bucket has, from the first to the last that has any.
func distributionChart(d operator.Distribution) (Chart, error) {
	filled := func(b operator.Bucket) bool { return b.Count > 0 }
	first := slices.IndexFunc(d.Buckets, filled)
	if first < 0 {
		return Chart{}, nil
	}
	last := len(d.Buckets)
	for !filled(d.Buckets[last-1]) {
		last--
	}
	var labels []string
	counts := Series{Name: d.Name}
	for i := first; i < last; i++ {
		labels = append(labels, bucketLabel(d, i))
		counts.Values = append(counts.Values, float64(d.Buckets[i].Count))
	}
	return Bars(fmt.Sprintf("%s: %s observations", d.Name, Count(int64(d.Count))), labels, counts, Number)
}

func bucketLabel(d operator.Distribution, i int) string {
	format := Number
	if d.Seconds() {
		format = Seconds
	}
	if limit := d.Buckets[i].UpTo; limit > 0 || i < len(d.Buckets)-1 {
		return "up to " + format(limit)
	}
	if i == 0 {
		return "all"
	}
	return "above " + format(d.Buckets[i-1].UpTo)
}
