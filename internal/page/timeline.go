// This file draws which of several things held when: the stages of a rollout.

package page

import (
	"html"
	"math"
	"slices"
	"time"

	"github.com/go-analyze/charts"
)

// timelinePoints is how many moments a timeline is drawn at.
const timelinePoints = 241

// Timeline draws which of levels held when: at each of times one of them, as an index, began to hold.
func Timeline(caption string, times []time.Time, held []int, levels []string, end time.Time) (Chart, error) {
	if len(times) == 0 || len(levels) < 2 {
		return Chart{}, nil
	}
	step := end.Sub(times[0]) / (timelinePoints - 1)
	moments, line := make([]time.Time, timelinePoints), make([]float64, timelinePoints)
	for i := range moments {
		now := times[0].Add(time.Duration(i) * step)
		moments[i] = now
		last, _ := slices.BinarySearchFunc(times, now, func(t, now time.Time) int {
			if t.After(now) {
				return 1
			}
			return -1
		})
		line[i] = float64(held[max(0, last-1)])
	}
	alt := caption + ": " + levels[held[len(held)-1]] + " since " + times[len(times)-1].UTC().Format(time.DateTime) + "."
	return newChart(caption, alt, chartHeight, func(p *charts.Painter, theme charts.ColorPalette) error {
		opt := charts.NewLineChartOptionWithData([][]float64{line})
		opt.Theme = theme
		opt.Symbol = charts.SymbolNone
		opt.LineStrokeWidth = 3
		opt.XAxis.Labels = clock(moments)
		opt.XAxis.LabelCount = 4
		opt.XAxis.BoundaryGap = charts.Ptr(false)
		opt.YAxis[0].Min, opt.YAxis[0].Max = charts.Ptr(0.0), charts.Ptr(float64(len(levels)-1))
		opt.YAxis[0].LabelCount = len(levels)
		opt.YAxis[0].ValueFormatter = func(v float64) string {
			return html.EscapeString(levels[min(len(levels)-1, max(0, int(math.Round(v))))])
		}
		opt.Legend.Show = charts.Ptr(false)
		return p.LineChart(opt)
	})
}
