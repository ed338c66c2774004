package report

import (
	"fmt"
	"html/template"
	"math"
	"strings"
)

// Chart draws itself as SVG.
type Chart interface {
	SVG() template.HTML
}

// Bars compares Stats; whiskers are their intervals.
type Bars struct {
	Title, Unit string
	Names       []string
	Stats       []Stat
}

const (
	chartWidth  = 720
	labelWidth  = 210
	valueWidth  = 170
	barHeight   = 22
	titleHeight = 26
)

// SVG draws one bar a name.
func (b Bars) SVG() template.HTML {
	highest := 0.0
	for _, s := range b.Stats {
		if s.Runs > 0 {
			highest = math.Max(highest, s.High)
		}
	}
	scale := float64(chartWidth-labelWidth-valueWidth) / math.Max(highest, 1e-9)
	var svg strings.Builder
	open(&svg, titleHeight+barHeight*len(b.Names)+6, b.Title+", "+b.Unit)
	for i, s := range b.Stats {
		if s.Runs == 0 {
			continue
		}
		y := titleHeight + i*barHeight
		fmt.Fprintf(&svg, `<text x="%d" y="%d" text-anchor="end">%s</text>`, labelWidth-8, y+15, template.HTMLEscapeString(b.Names[i]))
		fmt.Fprintf(&svg, `<rect class="c%d" x="%d" y="%d" width="%.1f" height="%d"/>`, i%6, labelWidth, y+3, s.Median*scale, barHeight-7)
		fmt.Fprintf(&svg, `<path class="whisker" d="M%.1f %dH%.1f"/>`, labelWidth+s.Low*scale, y+barHeight/2, labelWidth+s.High*scale)
		fmt.Fprintf(&svg, `<text x="%.1f" y="%d">%s</text>`, labelWidth+s.High*scale+8, y+15, s)
	}
	svg.WriteString("</svg>")
	return template.HTML(svg.String()) //nolint:gosec // every text in it was escaped or is a number
}

// Lines draws series over a shared x axis, which is logarithmic where LogX is set.
type Lines struct {
	Title, XUnit, YUnit string
	LogX                bool
	Names               []string
	X                   []float64
	Y                   [][]float64 // by series; NaN leaves a gap
}

const (
	plotHeight = 220
	plotLeft   = 70
	plotRight  = 180
)

// SVG draws the lines.
func (l Lines) SVG() template.HTML {
	at := func(x float64) float64 {
		if l.LogX {
			return math.Log10(x)
		}
		return x
	}
	lowest, highest := at(l.X[0]), at(l.X[len(l.X)-1])
	top := 0.0
	for _, series := range l.Y {
		for _, y := range series {
			if !math.IsNaN(y) {
				top = math.Max(top, y)
			}
		}
	}
	px := func(x float64) float64 {
		return plotLeft + (at(x)-lowest)/math.Max(highest-lowest, 1e-9)*(chartWidth-plotLeft-plotRight)
	}
	py := func(y float64) float64 { return titleHeight + plotHeight - y/math.Max(top, 1e-9)*plotHeight }
	var svg strings.Builder
	open(&svg, titleHeight+plotHeight+40, fmt.Sprintf("%s (%s over %s)", l.Title, l.YUnit, l.XUnit))
	for _, y := range []float64{0, top / 2, top} {
		fmt.Fprintf(&svg, `<path class="grid" d="M%d %.1fH%d"/><text x="%d" y="%.1f" text-anchor="end">%s</text>`,
			plotLeft, py(y), chartWidth-plotRight, plotLeft-6, py(y)+4, digits(y))
	}
	ticks := l.X
	if len(ticks) > 8 {
		ticks = []float64{l.X[0], l.X[len(l.X)/2], l.X[len(l.X)-1]}
	}
	for _, x := range ticks {
		fmt.Fprintf(&svg, `<text x="%.1f" y="%d" text-anchor="middle">%.4g</text>`, px(x), titleHeight+plotHeight+18, x)
	}
	for i, series := range l.Y {
		var d strings.Builder
		pen := "M"
		var lastY float64
		for j, y := range series {
			if math.IsNaN(y) {
				pen = "M"
				continue
			}
			fmt.Fprintf(&d, "%s%.1f %.1f", pen, px(l.X[j]), py(y))
			pen, lastY = "L", py(y)
		}
		fmt.Fprintf(&svg, `<path class="line s%d" d="%s"/>`, i%6, d.String())
		fmt.Fprintf(&svg, `<text class="t%d" x="%d" y="%.1f">%s</text>`, i%6, chartWidth-plotRight+8, lastY+4, template.HTMLEscapeString(l.Names[i]))
	}
	svg.WriteString("</svg>")
	return template.HTML(svg.String()) //nolint:gosec // every text in it was escaped or is a number
}

func open(svg *strings.Builder, height int, title string) {
	fmt.Fprintf(svg, `<svg viewBox="0 0 %d %d" role="img"><text class="title" x="0" y="16">%s</text>`,
		chartWidth, height, template.HTMLEscapeString(title))
}
