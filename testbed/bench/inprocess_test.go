package bench

import (
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/foundation-agent/foundation-agent/internal/agenttest"
	"github.com/foundation-agent/foundation-agent/testbed/report"
)

// inProcess are the budgets of calls that only code in the agent makes: the components' own Go benchmarks.
var inProcess = []struct {
	what, folder, pattern, series, unit string
	first, then                         float64
}{
	{"flag check in the pipeline", "./extension/flags", "^BenchmarkEnabled$", `BenchmarkEnabled\S*`, "ns/op", 0, 0},
	{"registry lookup in process, one reader", "./extension/registry", "^BenchmarkLookup$/^readers=1$/^writer=false$", `BenchmarkLookup/readers=1/writer=false\S*`, "ns/lookup", 100, 50},
	{"registry lookup in process, one reader beside a writer", "./extension/registry", "^BenchmarkLookup$/^readers=1$/^writer=true$", `BenchmarkLookup/readers=1/writer=true\S*`, "ns/lookup", 100, 50},
	{"registry lookup in process, each of two readers", "./extension/registry", "^BenchmarkLookup$/^readers=2$/^writer=false$", `BenchmarkLookup/readers=2/writer=false\S*`, "ns/lookup", 100, 50},
}

// inProcessSection runs the benchmarks, rounds times each.
func inProcessSection(t *testing.T, rounds int) (report.Section, []budgetResult) {
	s := report.Section{Title: "Calls in process", Text: "Go benchmarks of the components, nanoseconds a call.", Columns: []string{"what", "ns"}}
	var found []budgetResult
	for _, b := range inProcess {
		t.Run(b.what, func(t *testing.T) {
			cmd := exec.Command("go", "test", b.folder, "-run", "^$", "-bench", b.pattern, "-benchtime", "200ms", "-count", strconv.Itoa(rounds))
			cmd.Dir = agenttest.Root()
			out, err := cmd.CombinedOutput()
			require.NoError(t, err, "%s", out)
			var values []float64
			for _, m := range regexp.MustCompile(`(?m)^`+b.series+`\s.*?([\d.]+) `+regexp.QuoteMeta(b.unit)).FindAllSubmatch(out, -1) {
				v, err := strconv.ParseFloat(string(m[1]), 64)
				require.NoError(t, err)
				values = append(values, v)
			}
			require.Len(t, values, rounds, "%s", out)
			stat := report.Of(values)
			s.Rows = append(s.Rows, []string{b.what, stat.String()})
			if b.first == 0 {
				return // the budget is one atomic load, not a time
			}
			found = append(found, budgetResult{report.Budget{What: b.what, First: b.first, Then: b.then, Unit: " ns"}, stat})
		})
	}
	s.Text += fmt.Sprintf(" %d rounds.", rounds)
	return s, found
}
