// This file draws: lines over time and bars, each in light and in dark.

package page

import (
	"encoding/base64"
	"html"
	"html/template"
	"math"
	"slices"
	"time"

	"github.com/go-analyze/charts"
)

// Size of a picture in its own units; it scales to the page's width.
const (
	chartWidth  = 520
	chartHeight = 240
	barsMargin  = 90 // of a picture of bars: legend, axis, padding
	barHeight   = 34
)

// Chart is a picture for the light and the dark.
type Chart struct {
	Caption string
	Alt     string // says in words what the picture shows
	Width   int
	Height  int
	Light   template.URL
	Dark    template.Srcset
}

// Series is one line, or one bar of each group. NaN leaves a gap.
type Series struct {
	Name   string
	Values []float64
}

// Format shows a value on an axis.
type Format func(float64) string

// draw renders one picture on a painter.
type draw func(p *charts.Painter, theme charts.ColorPalette) error

// Lines draws series over time. Each series has a value for each of times.
func Lines(caption string, times []time.Time, series []Series, format Format) (Chart, error) {
	if len(times) == 0 {
		return Chart{}, nil
	}
	data, axis := scaled(series, format)
	return newChart(caption, alt(series, format), chartHeight, func(p *charts.Painter, theme charts.ColorPalette) error {
		opt := charts.NewLineChartOptionWithData(data)
		opt.Theme = theme
		opt.Symbol = charts.SymbolNone
		opt.LineStrokeWidth = 2
		opt.XAxis.Labels = clock(times)
		opt.XAxis.LabelCount = 4
		opt.XAxis.BoundaryGap = charts.Ptr(false)
		opt.YAxis[0].Min = charts.Ptr(min(0, lowest(data)))
		opt.YAxis[0].ValueFormatter = charts.ValueFormatter(axis)
		opt.YAxis[0].LabelCount = 5
		opt.Legend.SeriesNames = names(series)
		return p.LineChart(opt)
	})
}

// Bars draws a horizontal bar for each label, the first on top.
func Bars(caption string, labels []string, bars Series, format Format) (Chart, error) {
	if len(labels) == 0 {
		return Chart{}, nil
	}
	labels, bars.Values = slices.Clone(labels), slices.Clone(bars.Values)
	slices.Reverse(labels) // the library begins at the bottom
	slices.Reverse(bars.Values)
	data, axis := scaled([]Series{bars}, format)
	height := barsMargin + barHeight*len(labels)
	return newChart(caption, altOfBars(labels, bars, format), height, func(p *charts.Painter, theme charts.ColorPalette) error {
		// The library's axis begins at the lowest value: a series of zeros, stacked unseen, makes it 0.
		//nolint:staticcheck // deprecated for BarChart with Horizontal, whose axes are set otherwise
		opt := charts.NewHorizontalBarChartOptionWithData([][]float64{data[0], make([]float64, len(labels))})
		opt.Theme = theme
		opt.StackSeries = charts.Ptr(true)
		opt.YAxis.Labels = padded(escaped(labels))
		opt.XAxis.LabelCount = 4
		opt.XAxis.ValueFormatter = charts.ValueFormatter(axis)
		opt.ValueFormatter = charts.ValueFormatter(axis)
		opt.Legend.Show = charts.Ptr(false)
		return p.HorizontalBarChart(opt) //nolint:staticcheck // as above
	})
}

func newChart(caption, alt string, height int, d draw) (Chart, error) {
	light, err := dataURL(d, height, charts.ThemeLight)
	if err != nil {
		return Chart{}, err
	}
	dark, err := dataURL(d, height, charts.ThemeDark)
	if err != nil {
		return Chart{}, err
	}
	return Chart{Caption: caption, Alt: alt, Width: chartWidth, Height: height, Light: template.URL(light), Dark: template.Srcset(dark)}, nil
}

func dataURL(d draw, height int, theme string) (string, error) {
	palette := charts.GetTheme(theme).WithBackgroundColor(charts.ColorTransparent)
	p := charts.NewPainter(charts.PainterOptions{
		OutputFormat: charts.ChartOutputSVG, Width: chartWidth, Height: height, Theme: palette,
	})
	if err := d(p, palette); err != nil {
		return "", err
	}
	svg, err := p.Bytes()
	return "data:image/svg+xml;base64," + base64.StdEncoding.EncodeToString(svg), err
}

// scaled returns the series' data by a power of ten at which the library finds good steps (it takes
// ranges below 1 for rounding errors), with its mark where there is no value, and the format to match.
func scaled(series []Series, format Format) ([][]float64, Format) {
	high := 0.0
	for _, s := range series {
		for _, v := range s.Values {
			if !math.IsNaN(v) && !math.IsInf(v, 0) {
				high = max(high, math.Abs(v))
			}
		}
	}
	factor := 1.0
	if high > 0 && high < 100 {
		factor = math.Pow(10, math.Ceil(2-math.Log10(high)))
	}
	data := make([][]float64, len(series))
	for i, s := range series {
		data[i] = slices.Clone(s.Values)
		for j, v := range s.Values {
			data[i][j] = v * factor
			if math.IsNaN(v) || math.IsInf(v, 0) {
				data[i][j] = charts.GetNullValue()
			}
		}
	}
	return data, func(v float64) string { return format(v / factor) }
}

func lowest(data [][]float64) float64 {
	low := 0.0
	for _, values := range data {
		low = min(low, slices.Min(values))
	}
	return low
}

func names(series []Series) []string {
	all := make([]string, len(series))
	for i, s := range series {
		all[i] = s.Name
	}
	return escaped(all)
}

// escaped makes texts safe in SVG: the library writes them as they are.
func escaped(texts []string) []string {
	out := make([]string, len(texts))
	for i, t := range texts {
		out[i] = html.EscapeString(t)
	}
	return out
}

// clock labels moments, with the day where they span more than one.
func clock(times []time.Time) []string {
	layout := "15:04:05"
	switch span := times[len(times)-1].Sub(times[0]); {
	case span > 24*time.Hour:
		layout = "01-02 15:04"
	case span > time.Hour:
		layout = "15:04"
	}
	labels := make([]string, len(times))
	for i, t := range times {
		labels[i] = t.UTC().Format(layout)
	}
	return labels
}

// padded keeps labels off the axis where the reader's font is wider than the one measured with.
func padded(labels []string) []string {
	for i := range labels {
		labels[i] += "\u00a0\u00a0"
	}
	return labels
}

// altOfBars says each bar's value.
func altOfBars(labels []string, bars Series, format Format) string {
	text := bars.Name + "."
	for i, label := range labels {
		text += " " + label + ": " + format(bars.Values[i]) + "."
	}
	return text
}

// alt says the last value of each series.
func alt(series []Series, format Format) string {
	text := "Chart."
	for _, s := range series {
		if n := len(s.Values); n > 0 && !math.IsNaN(s.Values[n-1]) {
			text += " " + s.Name + ": " + format(s.Values[n-1]) + "."
		}
	}
	return text
}
