package bench

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/foundation-agent/foundation-agent/internal/agenttest"
	"github.com/foundation-agent/foundation-agent/testbed/load"
	"github.com/foundation-agent/foundation-agent/testbed/monitor"
	"github.com/foundation-agent/foundation-agent/testbed/report"
	"github.com/foundation-agent/foundation-agent/testbed/shipped"
)

// openSpans is how many spans the budgets of the table are about.
const openSpans = 100_000

// tableSample is what one life and the restart after its kill -9 showed.
type tableSample struct {
	// Live heap that the open spans take, in MiB.
	Live float64 `json:"live_mib"`
	// Resident memory with them, in MiB.
	Resident float64 `json:"resident_mib"`
	// Restore is what the agent itself says that reading them took, in seconds; Ready from the start of the process
	// until its pipelines ran.
	Restore float64 `json:"restore_s"`
	Ready   float64 `json:"ready_s"`
}

// holdAndRestore opens the spans in the agent as shipped, kills it, and starts it again.
func holdAndRestore(t *testing.T) tableSample {
	endpoint := fmt.Sprintf("127.0.0.1:%d", agenttest.FreePort(t))
	pprof := fmt.Sprintf("127.0.0.1:%d", agenttest.FreePort(t))
	options := agenttest.Options{
		StateDir: t.TempDir(),
		Env:      []string{"OTLP_ENDPOINT=" + endpoint, "PPROF_ENDPOINT=" + pprof, "OTEL_EXPORTER_OTLP_ENDPOINT=127.0.0.1:1"},
		Args:     shipped.Args(t, nil),
	}
	agent := agenttest.Start(t, options)
	empty, err := monitor.LiveHeap(pprof)
	require.NoError(t, err)
	starts, err := load.Starts("open spans", load.SpanShape{Batch: 1000})
	require.NoError(t, err)
	sent, err := load.Run(t.Context(), starts, load.Options{Endpoint: endpoint, Records: openSpans, Retry: true})
	require.NoError(t, err)
	require.Equal(t, openSpans, sent.Accepted)
	require.EqualValues(t, openSpans, agent.Metric("otelcol_open_spans_open"))
	time.Sleep(time.Second) // five storage intervals: what is being written is not what is held
	held, err := monitor.LiveHeap(pprof)
	require.NoError(t, err)
	memory, err := monitor.MemoryOf(agent.PID())
	require.NoError(t, err)
	agent.Kill()
	begun := time.Now()
	agent = agenttest.Start(t, options)
	ready := time.Since(begun)
	require.EqualValues(t, openSpans, agent.Metric("otelcol_open_spans_open"), "all of them are open again")
	return tableSample{
		Live: float64(held-empty) / (1 << 20), Resident: float64(memory.Resident) / (1 << 20),
		Restore: agent.Metric("otelcol_open_spans_restore_time"), Ready: ready.Seconds(),
	}
}

// tableSection is the table of open spans, over rounds.
func tableSection(t *testing.T, rounds int) (report.Section, []budgetResult) {
	var all []tableSample
	for range rounds {
		t.Run("100,000 open spans", func(t *testing.T) { all = append(all, holdAndRestore(t)) })
	}
	stat := func(value func(tableSample) float64) report.Stat {
		var v []float64
		for _, s := range all {
			v = append(v, value(s))
		}
		return report.Of(v)
	}
	live := stat(func(s tableSample) float64 { return s.Live })
	ready := stat(func(s tableSample) float64 { return s.Ready })
	return report.Section{
			Title: "100,000 open spans", Text: "Held by the agent as shipped, killed with -9, and restored from its storage.",
			Columns: []string{"live heap, MiB", "resident, MiB", "restore as the agent says, s", "process start to pipelines running, s"},
			Rows: [][]string{{live.String(), stat(func(s tableSample) float64 { return s.Resident }).String(),
				stat(func(s tableSample) float64 { return s.Restore }).String(), ready.String()}},
			Data: all,
		}, []budgetResult{
			{report.Budget{What: "100,000 open spans: live heap", First: 150, Then: 100, Unit: " MiB"}, live},
			{report.Budget{What: "their restore after a kill, start of the process included", First: 2, Then: 1, Unit: " s"}, ready},
		}
}
