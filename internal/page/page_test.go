package page

import (
	"bytes"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/html"

	"github.com/foundation-agent/foundation-agent/internal/operator"
)

const hostile = `<script>alert(1)</script>"'&`

func diagnostics() operator.Diagnostics {
	return operator.Diagnostics{
		OK: false, At: time.Unix(1e9, 0), Agent: "foundation-agent test",
		Checks: []operator.CheckReport{{Name: hostile, CheckResult: operator.CheckResult{Steps: []operator.CheckStep{
			{Name: hostile, OK: true, Took: 3 * time.Millisecond, Budget: 5 * time.Millisecond},
			{Name: "look up", Detail: hostile, Took: time.Millisecond},
		}}}},
		Tables: []operator.TableView{{Name: hostile, TableInfo: operator.TableInfo{Entries: 12345, Bytes: 1 << 20}}},
	}
}

func render(t *testing.T, d Document) string {
	var out bytes.Buffer
	require.NoError(t, d.Write(&out))
	return out.String()
}

func TestTextFromOutsideIsText(t *testing.T) {
	doc, err := Diagnostics(diagnostics())
	require.NoError(t, err)
	page := render(t, doc)
	require.NotContains(t, page, "<script")
	require.NotContains(t, page, "ZgotmplZ", "html/template refused a value")
	require.Contains(t, page, "&lt;script&gt;alert(1)")
	for _, svg := range pictures(t, page) {
		require.NotContains(t, svg, "<script")
		requireWellFormed(t, svg)
	}
}

func TestPageAsksNothingOfAnyNetwork(t *testing.T) {
	doc, err := Diagnostics(diagnostics())
	require.NoError(t, err)
	page := render(t, doc)
	require.Contains(t, page, "default-src &#39;none&#39;")
	require.Len(t, pictures(t, page), 4, "two pictures, each for light and dark")
	for _, url := range regexp.MustCompile(`(?:src|href|srcset)="([^"]*)"`).FindAllStringSubmatch(page, -1) {
		require.True(t, strings.HasPrefix(url[1], "data:image/svg") || strings.HasPrefix(url[1], "#"), url[1])
	}
	_, err = html.Parse(strings.NewReader(page))
	require.NoError(t, err)
}

func TestLinesHaveGapsWhereNothingIsKnown(t *testing.T) {
	times := []time.Time{time.Unix(0, 0), time.Unix(1, 0), time.Unix(2, 0)}
	chart, err := Lines("rates", times, []Series{{"in", []float64{1, math.NaN(), 3}}, {"out", []float64{math.Inf(1), 0, 2}}}, Number)
	require.NoError(t, err)
	require.Equal(t, "Chart. in: 3. out: 2.", chart.Alt)
	for _, svg := range pictures(t, string(chart.Light)+`"`) {
		require.NotContains(t, svg, "NaN")
		require.NotContains(t, svg, "Inf")
	}
}

func TestTimelineHoldsEachLevelUntilTheNext(t *testing.T) {
	day := time.Unix(1e9, 0)
	times := []time.Time{day, day.Add(time.Hour), day.Add(3 * time.Hour)}
	chart, err := Timeline("Stages", times, []int{1, 2, 0}, []string{"none", "1 monitoring", "2 <registry>"}, day.Add(4*time.Hour))
	require.NoError(t, err)
	require.Equal(t, "Stages: none since 2001-09-09 04:46:40.", chart.Alt)
	svg := pictures(t, string(chart.Light)+`"`)[0]
	requireWellFormed(t, svg)
	require.Contains(t, svg, "1 monitoring")
	require.Contains(t, svg, "2 &lt;registry&gt;")
	if path := os.Getenv("FOUNDATION_SCREENSHOTS"); path != "" {
		require.NoError(t, os.WriteFile(path+"/timeline.svg", []byte(svg), 0o600))
	}
}

func TestNoDataNoPicture(t *testing.T) {
	chart, err := Lines("rates", nil, nil, Number)
	require.NoError(t, err)
	page := render(t, Document{Title: "t", Sections: []Section{{ID: "s", Title: "S", Charts: []Chart{chart}, Tables: []Table{{Columns: []string{"A"}, Empty: "None yet."}}}}})
	require.NotContains(t, page, "<img")
	require.Contains(t, page, "None yet.")
}

func TestNumbersHaveUnits(t *testing.T) {
	require.Equal(t, "1.5 MiB", Bytes(1.5*(1<<20)))
	require.Equal(t, "1.234ms", Seconds(0.001234))
	require.Equal(t, "12,345", Count(12345))
	require.Equal(t, "2m0s", Seconds(120.2))
	require.Equal(t, "12.5 %", Percent(0.125))
}

// pictures returns the SVGs that a page holds as data.
func pictures(t *testing.T, page string) []string {
	var svgs []string
	for _, m := range regexp.MustCompile(`data:image/svg(?:\+|&#43;)xml;base64,([^"]+)"`).FindAllStringSubmatch(page, -1) {
		svg, err := base64.StdEncoding.DecodeString(html.UnescapeString(m[1]))
		require.NoError(t, err)
		svgs = append(svgs, string(svg))
	}
	return svgs
}

func requireWellFormed(t *testing.T, svg string) {
	decoder := xml.NewDecoder(strings.NewReader(svg))
	for {
		_, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		require.NoError(t, err)
	}
}
