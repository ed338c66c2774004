// Package chaos breaks the built agent, or what it stands on, under load, and holds what comes out against what was
// promised. `make chaos` runs it; CHAOS=short is what CI runs.
package chaos

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/foundation-agent/foundation-agent/internal/agenttest"
	"github.com/foundation-agent/foundation-agent/testbed/report"
)

// fault is something that goes wrong, and what is promised for it.
type fault struct {
	name, promise string
	run           func(t *trial) []account
}

// faults in the order of the table.
func faults() []fault {
	return slices.Concat(processFaults, backendFaults, stateFaults, networkFaults, pressureFaults)
}

// times is n, or 1 in the short form.
func times(n int) int {
	if short() {
		return 1
	}
	return n
}

func short() bool { return os.Getenv("CHAOS") == "short" }

func TestChaos(t *testing.T) {
	if os.Getenv("CHAOS") == "" {
		t.Skip("takes minutes: set CHAOS=full or CHAOS=short, or use make chaos")
	}
	page := report.NewPage("foundation-agent under fire")
	summary := report.Section{
		Title:   "Faults",
		Text:    "For each: what was promised, what was seen, and whether every record is accounted for.",
		Columns: []string{"fault", "promised", "seen", "verdict"},
	}
	detail := report.Section{
		Title:   "Accounts",
		Text:    "In: acknowledged to the senders. Unknown: cut off before an answer, so perhaps taken twice. Accounted: what the records at the backend stand for, repeats left out. Lost may not exceed what is allowed.",
		Columns: []string{"fault", "kind", "in", "unknown", "refused", "retried requests", "out", "repeats", "suppressed", "accounted", "lost", "allowed"},
	}
	for _, f := range faults() {
		t.Run(f.name, func(t *testing.T) {
			tr := newTrial(t)
			var accounts []account
			defer func() {
				verdict := "kept"
				if t.Failed() {
					verdict = "BROKEN"
				} else if t.Skipped() {
					verdict = "skipped"
				}
				summary.Rows = append(summary.Rows, []string{f.name, f.promise, tr.seen, verdict})
				for _, a := range accounts {
					detail.Rows = append(detail.Rows, append([]string{f.name, string(a.Kind)},
						texts(a.In, a.Unknown, a.Refused, a.Retries, a.Out, a.Repeats, a.Suppressed, a.Accounted, a.Lost(), a.MayLose)...))
				}
			}()
			accounts = f.run(tr)
		})
	}
	page.Add(summary)
	page.Add(detail)
	page.Text(os.Stdout)
	require.NoError(t, page.Write(filepath.Join(agenttest.Root(), "build", "chaos")))
}

func texts(values ...int) []string {
	var out []string
	for _, v := range values {
		out = append(out, fmt.Sprint(v))
	}
	return out
}
