package soak

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/foundation-agent/foundation-agent/testbed/load"
	"github.com/foundation-agent/foundation-agent/testbed/monitor"
	"github.com/foundation-agent/foundation-agent/testbed/report"
)

// samples is how many a run takes.
const samples = 120

// watch takes samples of what must not grow.
type watch struct {
	t          *testing.T
	pid        int
	pprof      string
	otlp       string
	hours      []float64
	heap       []float64 // MiB live after a forced collection
	own        []float64 // MiB resident of the process's own
	mapped     []float64 // MiB resident of mapped files
	goroutines []float64
	fds        []float64
	latency    []float64 // ms, p99 of probes
}

func (w *watch) run(duration time.Duration, problems <-chan error) {
	begun := time.Now()
	probe, err := load.Logs("probe", load.LogShape{Event: "probe", Batch: 1, Key: load.Cycle(1)})
	require.NoError(w.t, err)
	for i := range samples {
		select {
		case err := <-problems:
			require.NoError(w.t, err)
		case <-time.After(time.Until(begun.Add(duration * time.Duration(i+1) / samples))):
		}
		w.hours = append(w.hours, time.Since(begun).Hours())
		// Latency first: a forced collection would show in it.
		r, err := load.Run(w.t.Context(), probe, load.Options{Endpoint: w.otlp, Senders: 1, Records: 100})
		require.NoError(w.t, err)
		w.latency = append(w.latency, float64(r.Latency.P99.Microseconds())/1000)
		heap, err := monitor.LiveHeap(w.pprof)
		require.NoError(w.t, err)
		w.heap = append(w.heap, float64(heap)/(1<<20))
		memory, err := monitor.MemoryOf(w.pid)
		require.NoError(w.t, err)
		w.own = append(w.own, float64(memory.Own)/(1<<20))
		w.mapped = append(w.mapped, float64(memory.Resident-memory.Own)/(1<<20))
		goroutines, err := monitor.Goroutines(w.pprof)
		require.NoError(w.t, err)
		w.goroutines = append(w.goroutines, float64(goroutines))
		fds, err := monitor.Descriptors(w.pid)
		require.NoError(w.t, err)
		w.fds = append(w.fds, float64(fds))
	}
}

// slope is the growth an hour after the warm-up.
func (w *watch) slope(values []float64) report.Stat {
	from := int(warmUp * float64(len(values)))
	return report.Slope(w.hours[from:], values[from:])
}

func (w *watch) heapSlope() report.Stat { return w.slope(w.heap) }

func (w *watch) section() report.Section {
	s := report.Section{
		Title: "What must not grow",
		Text: fmt.Sprintf("%d samples; slopes leave out the first %.0f %%: Theil-Sen with its 95 %% confidence interval. The users' limit: live heap, %v MiB an hour.",
			samples, warmUp*100, limit),
		Columns: []string{"what", "after warm-up", "at the end", "growth an hour", "verdict"},
	}
	from := int(warmUp * samples)
	for _, m := range []struct {
		name, unit string
		values     []float64
	}{
		{"live heap", "MiB", w.heap}, {"resident, its own", "MiB", w.own}, {"resident, mapped files", "MiB", w.mapped}, {"goroutines", "", w.goroutines},
		{"file descriptors", "", w.fds}, {"latency of a request, p99 of 100", "ms", w.latency},
	} {
		growth := w.slope(m.values)
		verdict := "no growth"
		switch {
		case m.name == "live heap":
			verdict, _ = report.Budget{First: limit}.Verdict(growth)
		case growth.Low > 0:
			verdict = "grows"
		}
		s.Rows = append(s.Rows, []string{m.name, fmt.Sprintf("%.4g %s", report.Of(m.values[from:from+samples/10]).Median, m.unit),
			fmt.Sprintf("%.4g %s", report.Of(m.values[samples-samples/10:]).Median, m.unit), growth.String() + " " + m.unit, verdict})
		minutes := make([]float64, len(w.hours))
		for i, h := range w.hours {
			minutes[i] = h * 60
		}
		s.Charts = append(s.Charts, report.Lines{Title: m.name, XUnit: "minutes", YUnit: m.unit, Names: []string{m.name}, X: minutes, Y: [][]float64{m.values}})
	}
	s.Data = map[string][]float64{"hours": w.hours, "live_heap_mib": w.heap, "resident_own_mib": w.own, "resident_mapped_mib": w.mapped,
		"goroutines": w.goroutines, "file_descriptors": w.fds, "latency_p99_ms": w.latency}
	return s
}
