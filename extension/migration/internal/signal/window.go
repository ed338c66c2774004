// This file keeps a signal's readings over its window and makes the stat of them.

package signal

import (
	"fmt"
	"math"
	"time"

	"github.com/foundation-agent/foundation-agent/extension/migration/internal/guard"
)

// point is a reading at a time.
type point struct {
	at time.Time
	reading
}

// window holds the points of a signal, oldest first: those within the window and one that is older,
// from which increases are counted.
type window struct {
	length time.Duration
	points []point
}

func (w *window) add(p point) {
	w.points = append(w.points, p)
	for len(w.points) > 2 && p.at.Sub(w.points[1].at) >= w.length {
		w.points = w.points[1:]
	}
}

// restart forgets all but the last point: what happened before it no longer speaks.
func (w *window) restart() {
	if n := len(w.points); n > 1 {
		w.points = append([]point(nil), w.points[n-1])
	}
}

// value makes the stat of what the window holds.
func (w *window) value(stat Stat) guard.Value {
	last := w.points[len(w.points)-1]
	if stat == Value {
		return known(last.value)
	}
	if stat == Mean && len(last.histogram.Counts) == 0 {
		return known(last.value / float64(last.series))
	}
	if stat.quantile > 0 && len(last.quantiles) > 0 {
		return last.summaryQuantile(stat.quantile)
	}
	first := w.points[0]
	elapsed := last.at.Sub(first.at)
	if elapsed <= 0 {
		return guard.Unknown("one sample so far: a second is needed")
	}
	observed := last.histogram.Minus(first.histogram)
	switch {
	case stat == Rate:
		return known((last.counted - first.counted) / elapsed.Seconds())
	case stat == Increase:
		return known(last.counted - first.counted)
	case stat == Growth:
		return w.growth(elapsed)
	case len(observed.Counts) == 0:
		return guard.Unknown("no histogram: quantiles are made of histograms")
	case observed.Count() <= 0:
		return guard.Unknown(fmt.Sprintf("nothing observed in the last %s", elapsed.Round(time.Second)))
	case stat == Mean:
		return known(observed.Sum / observed.Count())
	}
	q, _ := observed.Quantile(stat.quantile)
	return known(q)
}

// growth is the slope of the value by least squares, an hour. Half a window must have been seen: the
// slope of a few seconds says nothing of an hour.
func (w *window) growth(elapsed time.Duration) guard.Value {
	if elapsed < w.length/2 {
		return guard.Unknown(fmt.Sprintf("seen for %s of the %s that its slope needs", elapsed.Round(time.Second), w.length/2))
	}
	var meanX, meanY float64
	n := float64(len(w.points))
	x := func(p point) float64 { return p.at.Sub(w.points[0].at).Hours() }
	for _, p := range w.points {
		meanX += x(p) / n
		meanY += p.value / n
	}
	var covariance, variance float64
	for _, p := range w.points {
		covariance += (x(p) - meanX) * (p.value - meanY)
		variance += (x(p) - meanX) * (x(p) - meanX)
	}
	return known(covariance / variance)
}

func (r reading) summaryQuantile(want float64) guard.Value {
	for _, q := range r.quantiles {
		if math.Abs(q.q-want) < 1e-9 {
			return known(q.value)
		}
	}
	return guard.Unknown(fmt.Sprintf("the summary has no quantile %g", want))
}
