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
	chartWidth  = 640
	chartHeight = 260
)

// Chart is a picture for the light and the dark.
type Chart struct {
	Caption string
	Alt     string // says in words what the picture shows
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
	return newChart(caption, alt(series, format), func(p *charts.Painter, theme charts.ColorPalette) error {
		opt := charts.NewLineChartOptionWithData(values(series))
		opt.Theme = theme
		opt.Symbol = charts.SymbolNone
		opt.LineStrokeWidth = 2
		opt.XAxis.Labels = clock(times)
		opt.XAxis.LabelCount = 6
		opt.XAxis.BoundaryGap = charts.Ptr(false)
		opt.YAxis[0].Min = charts.Ptr(math.Min(0, lowest(series)))
		opt.YAxis[0].ValueFormatter = charts.ValueFormatter(format)
		opt.YAxis[0].LabelCount = 5
		opt.Legend.SeriesNames = names(series)
		return p.LineChart(opt)
	})
}

// Bars draws a group of horizontal bars for each label.
func Bars(caption string, labels []string, series []Series, format Format) (Chart, error) {
	if len(labels) == 0 {
		return Chart{}, nil
	}
	return newChart(caption, alt(series, format), func(p *charts.Painter, theme charts.ColorPalette) error {
		opt := charts.NewHorizontalBarChartOptionWithData(values(series))
		opt.Theme = theme
		opt.YAxis.Labels = escaped(labels)
		opt.XAxis.ValueFormatter = charts.ValueFormatter(format)
		opt.ValueFormatter = charts.ValueFormatter(format)
		opt.Legend.SeriesNames = names(series)
		return p.HorizontalBarChart(opt)
	})
}

func newChart(caption, alt string, d draw) (Chart, error) {
	light, err := dataURL(d, charts.ThemeLight)
	if err != nil {
		return Chart{}, err
	}
	dark, err := dataURL(d, charts.ThemeDark)
	if err != nil {
		return Chart{}, err
	}
	return Chart{Caption: caption, Alt: alt, Light: template.URL(light), Dark: template.Srcset(dark)}, nil
}

func dataURL(d draw, theme string) (string, error) {
	palette := charts.GetTheme(theme).WithBackgroundColor(charts.ColorTransparent)
	p := charts.NewPainter(charts.PainterOptions{
		OutputFormat: charts.ChartOutputSVG, Width: chartWidth, Height: chartHeight, Theme: palette,
	})
	if err := d(p, palette); err != nil {
		return "", err
	}
	svg, err := p.Bytes()
	return "data:image/svg+xml;base64," + base64.StdEncoding.EncodeToString(svg), err
}

// values are the series' data, with the library's mark where there is none.
func values(series []Series) [][]float64 {
	all := make([][]float64, len(series))
	for i, s := range series {
		all[i] = slices.Clone(s.Values)
		for j, v := range all[i] {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				all[i][j] = charts.GetNullValue()
			}
		}
	}
	return all
}

func lowest(series []Series) float64 {
	low := 0.0
	for _, s := range series {
		for _, v := range s.Values {
			if v < low {
				low = v
			}
		}
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
