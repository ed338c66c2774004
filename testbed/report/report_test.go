package report

import (
	"math"
	"math/rand"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestStat(t *testing.T) {
	s := Of([]float64{5, 1, 3, 2, 4})
	require.Equal(t, Stat{Median: 3, Low: 1, High: 5, Runs: 5}, s)
	require.Equal(t, "3.00 (1.00 to 5.00)", s.String())
	require.InDelta(t, 1.5, Of([]float64{1, 2}).Median, 0)
	require.Equal(t, Stat{Median: 2, Low: 2, High: 2, Runs: 2}, Ratio([]float64{2, 20}, []float64{1, 10}), "within rounds")
	require.True(t, math.IsNaN(Of(nil).Median))
	require.Equal(t, "-", Of(nil).String())
}

func TestVerdict(t *testing.T) {
	below := Budget{First: 4, Then: 2}
	for _, c := range []struct {
		s           Stat
		first, then string
	}{
		{Stat{1, 0.5, 1.5, 3}, "met", "met"},
		{Stat{3, 1.5, 3.5, 3}, "met", "undecided"},
		{Stat{5, 4.5, 6, 3}, "missed", "missed"},
		{Stat{}, "not measured", "not measured"},
	} {
		first, then := below.Verdict(c.s)
		require.Equal(t, []string{c.first, c.then}, []string{first, then}, c.s)
	}
	first, then := Budget{First: 0.75, Then: 0.9, AtLeast: true}.Verdict(Stat{0.8, 0.76, 0.95, 3})
	require.Equal(t, []string{"met", "undecided"}, []string{first, then})
}

func TestSlope(t *testing.T) {
	rnd := rand.New(rand.NewSource(1))
	var x, flat, growing []float64
	for i := range 200 {
		x = append(x, float64(i))
		flat = append(flat, 100+rnd.NormFloat64())
		growing = append(growing, 100+0.5*float64(i)+rnd.NormFloat64())
	}
	flat[10] = 1e6 // a peak
	s := Slope(x, flat)
	require.Less(t, s.Low, 0.0)
	require.Greater(t, s.High, 0.0)
	s = Slope(x, growing)
	require.InDelta(t, 0.5, s.Median, 0.01)
	require.Less(t, s.Low, 0.5)
	require.Greater(t, s.High, 0.5)
}

func TestPage(t *testing.T) {
	p := NewPage("<script>")
	p.Add(Section{
		Title: "a & b", Columns: []string{"x"}, Rows: [][]string{{"<b>"}},
		Charts: []Chart{
			Bars{Title: "<i>", Names: []string{"<u>", "missing"}, Stats: []Stat{Of([]float64{1, 2}), Of(nil)}},
			Lines{Title: "l", LogX: true, Names: []string{"n"}, X: []float64{10, 100}, Y: [][]float64{{1, math.NaN()}}},
		},
	})
	dir := t.TempDir()
	require.NoError(t, p.Write(dir))
	var html strings.Builder
	require.NoError(t, page.Execute(&html, p))
	for _, tag := range []string{"<script>", "<b>", "<i>", "<u>"} {
		require.NotContains(t, html.String(), tag)
	}
	require.Equal(t, 2, strings.Count(html.String(), "<svg"))
	require.NotContains(t, html.String(), "://", "the page loads nothing")
	require.NotContains(t, html.String(), "NaN")
}
