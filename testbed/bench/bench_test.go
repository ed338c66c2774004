// Package bench compares the built agent with its own empty pipeline and with contrib's processors: CPU, throughput
// and memory, side by side. `make bench` runs it; results are in build/bench.
package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/foundation-agent/foundation-agent/internal/agenttest"
	"github.com/foundation-agent/foundation-agent/testbed/report"
)

// effort is how long the comparison takes: BENCH=full or quick.
type effort struct {
	rounds, divisor int
}

var efforts = map[string]effort{"full": {rounds: 5, divisor: 1}, "quick": {rounds: 3, divisor: 5}}

// results of a scenario, by contender, by round.
type results map[string][]sample

func (r results) of(c contender, value func(sample) float64) []float64 {
	var values []float64
	for _, s := range r[c.name] {
		values = append(values, value(s))
	}
	return values
}

func cpu(s sample) float64  { return s.CPU }
func rate(s sample) float64 { return s.Rate }
func peak(s sample) float64 { return s.Peak }

func TestBench(t *testing.T) {
	e, ok := efforts[os.Getenv("BENCH")]
	if !ok {
		t.Skip("takes minutes: set BENCH=full or BENCH=quick, or use make bench")
	}
	only := regexp.MustCompile(os.Getenv("BENCH_ONLY"))
	page := report.NewPage("foundation-agent measured against the field")
	found := map[string]results{}
	for _, s := range scenarios() {
		if !only.MatchString(s.name) {
			continue
		}
		r := results{}
		found[s.name] = r
		t.Run(s.name, func(t *testing.T) {
			t.Run("content", func(t *testing.T) {
				verify(t, s, s.contenders[1], s.records/10)
			})
			if os.Getenv("BENCH_PROFILE") != "" {
				t.Run("profile", func(t *testing.T) { profile(t, s, s.contenders[1]) })
			}
			for round := range e.rounds {
				for i := range s.contenders {
					// The order turns from round to round, so that none always runs first.
					c := s.contenders[(i+round)%len(s.contenders)]
					t.Run(fmt.Sprintf("%s, round %d", c.name, round+1), func(t *testing.T) {
						r[c.name] = append(r[c.name], measure(t, s, c, s.records/e.divisor))
					})
				}
			}
		})
		page.Add(section(s, r))
	}
	budgets := measuredBudgets(found)
	also := func(name string, run func() (report.Section, []budgetResult)) {
		if only.MatchString(name) {
			s, b := run()
			page.Add(s)
			budgets = append(budgets, b...)
		}
	}
	also("100,000 open spans", func() (report.Section, []budgetResult) { return tableSection(t, e.rounds) })
	also("registry", func() (report.Section, []budgetResult) { return registrySection(t, e.rounds, 20_000/e.divisor) })
	also("in process", func() (report.Section, []budgetResult) { return inProcessSection(t, e.rounds) })
	also("down", func() (report.Section, []budgetResult) { return downSection(t), nil })
	page.Sections = append([]report.Section{budgetSection(budgets)}, page.Sections...)
	page.Text(os.Stdout)
	require.NoError(t, page.Write(filepath.Join(agenttest.Root(), "build", "bench")))
}

// section is the table and the charts of one scenario.
func section(s scenario, r results) report.Section {
	out := report.Section{
		Title:   s.name,
		Text:    s.what,
		Columns: []string{"contender", "CPU, µs a " + s.unit, "of the floor's", s.unit + "s a second", "peak MiB"},
		Data:    r,
	}
	bars := report.Bars{Title: "CPU", Unit: "µs a " + s.unit}
	memory := report.Bars{Title: "Peak resident memory", Unit: "MiB"}
	for _, c := range s.contenders {
		used, highest := report.Of(r.of(c, cpu)), report.Of(r.of(c, peak))
		out.Rows = append(out.Rows, []string{
			c.name, used.String(),
			report.Ratio(r.of(c, cpu), r.of(s.contenders[0], cpu)).String(),
			report.Of(r.of(c, rate)).String(), highest.String(),
		})
		bars.Names, bars.Stats = append(bars.Names, c.name), append(bars.Stats, used)
		memory.Names, memory.Stats = append(memory.Names, c.name), append(memory.Stats, highest)
	}
	out.Charts = []report.Chart{bars, memory}
	return out
}
