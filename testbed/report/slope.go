package report

import (
	"math"
	"slices"
)

// Slope is how fast y grows with x: the median of the slopes between all pairs of points (Theil and Sen), which
// single peaks do not bend, and its 95 % confidence interval by Sen's method (Sen 1968, by Kendall's statistic).
func Slope(x, y []float64) Stat {
	n := len(x)
	var slopes []float64
	for i := range n {
		for j := i + 1; j < n; j++ {
			slopes = append(slopes, (y[j]-y[i])/(x[j]-x[i]))
		}
	}
	if len(slopes) == 0 {
		return Of(nil)
	}
	slices.Sort(slopes)
	pairs := float64(len(slopes))
	width := 1.96 * math.Sqrt(float64(n*(n-1)*(2*n+5))/18)
	at := func(rank float64) float64 {
		return slopes[int(math.Min(math.Max(rank, 0), pairs-1))]
	}
	return Stat{Median: Of(slopes).Median, Low: at((pairs - width) / 2), High: at((pairs + width) / 2), Runs: n}
}
