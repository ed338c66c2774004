// Package growth measures how cost grows with size: CPU a record and memory a key of event_dedup and log_dedup, memory
// of an open span. `make growth` runs it; results are in build/growth. A curve that bends is a finding.
package growth

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/foundation-agent/foundation-agent/internal/agenttest"
	"github.com/foundation-agent/foundation-agent/testbed/load"
	"github.com/foundation-agent/foundation-agent/testbed/monitor"
	"github.com/foundation-agent/foundation-agent/testbed/peers"
	"github.com/foundation-agent/foundation-agent/testbed/report"
)

// config is a pipeline with one processor, and the window longer than any run.
func config(extensions, processors, pipeline string) string {
	return fmt.Sprintf(`
receivers: {otlp: {protocols: {grpc: {endpoint: "${env:OTLP_ENDPOINT}"}}}}
processors: {%s}
exporters: {nop: }
extensions: {health_check: , pprof: {endpoint: "${env:PPROF_ENDPOINT}"}, %s}
service:
  extensions: [health_check, pprof%s]
  pipelines: {%s}
  telemetry: {logs: {level: warn}}
`, processors, extensions, map[bool]string{true: ", open_spans"}[extensions != ""], pipeline)
}

// subject is what grows.
type subject struct {
	name, peer, config string
	// most is the largest size it is run at.
	most int
	make func() (*load.Source, error)
}

func subjects() []subject {
	unique := func() (*load.Source, error) {
		return load.Logs("unique", load.LogShape{Event: "order.failed", Batch: 1000, Key: load.Unique})
	}
	return []subject{
		{"event_dedup, unique keys", "", config("", "event_dedup: {rules: [{dedup: {window: 1h}}], max_keys: 12000000}",
			"logs: {receivers: [otlp], processors: [event_dedup], exporters: [nop]}"), 10_000_000, unique},
		{"contrib log_dedup 0.149, unique keys", "log_dedup", config("", "logdedup: {interval: 1h}",
			"logs: {receivers: [otlp], processors: [logdedup], exporters: [nop]}"), 1_000_000, unique},
		{"event_dedup, 1,000 keys", "", config("", "event_dedup: {rules: [{dedup: {window: 1h}}]}",
			"logs: {receivers: [otlp], processors: [event_dedup], exporters: [nop]}"), 10_000_000,
			func() (*load.Source, error) {
				return load.Logs("duplicates", load.LogShape{Event: "order.failed", Batch: 1000, Key: load.Cycle(1000)})
			}},
		{"open spans", "", config("open_spans: {max_spans: 2000000, max_spans_per_agent: 2000000, max_mib: 4096}", "span_lifecycle: ",
			"traces: {receivers: [otlp], processors: [span_lifecycle], exporters: [nop]}"), 1_000_000,
			func() (*load.Source, error) { return load.Starts("starts", load.SpanShape{Batch: 1000}) }},
	}
}

// point is one run of one size.
type point struct {
	Size     int     `json:"size"`
	CPU      float64 `json:"cpu_us_per_record"`
	LiveEach float64 `json:"live_bytes_each"`
	Resident float64 `json:"resident_mib"`
}

func TestGrowth(t *testing.T) {
	if os.Getenv("GROWTH") == "" {
		t.Skip("takes minutes: set GROWTH=1, or use make growth")
	}
	sizes := []int{10_000, 100_000, 1_000_000, 10_000_000}
	page := report.NewPage("foundation-agent as its tables grow")
	cost := report.Lines{Title: "CPU", XUnit: "records", YUnit: "µs a record", LogX: true}
	memory := report.Lines{Title: "Live heap", XUnit: "records", YUnit: "bytes each", LogX: true}
	for _, size := range sizes {
		cost.X, memory.X = append(cost.X, float64(size)), append(memory.X, float64(size))
	}
	s := report.Section{
		Title:   "Growth",
		Text:    "One run of each size; nothing leaves while it is measured. The live heap is what a forced collection leaves beyond the empty process, shared by the records; what a component keeps beside the heap shows in resident memory.",
		Columns: []string{"what", "records", "CPU, µs a record", "live bytes a record", "resident, MiB"},
	}
	data := map[string][]point{}
	for _, subject := range subjects() {
		var cpus, lives []float64
		for _, size := range sizes {
			p := point{Size: size, CPU: math.NaN(), LiveEach: math.NaN()}
			if size <= subject.most {
				t.Run(subject.name+", "+strconv.Itoa(size), func(t *testing.T) { p = measure(t, subject, size) })
				data[subject.name] = append(data[subject.name], p)
				s.Rows = append(s.Rows, []string{subject.name, strconv.Itoa(size), fmt.Sprintf("%.2f", p.CPU),
					fmt.Sprintf("%.1f", p.LiveEach), fmt.Sprintf("%.0f", p.Resident)})
			}
			cpus, lives = append(cpus, p.CPU), append(lives, p.LiveEach)
		}
		cost.Names, cost.Y = append(cost.Names, subject.name), append(cost.Y, cpus)
		memory.Names, memory.Y = append(memory.Names, subject.name), append(memory.Y, lives)
	}
	s.Data, s.Charts = data, []report.Chart{cost, memory}
	page.Add(s)
	page.Text(os.Stdout)
	require.NoError(t, page.Write(filepath.Join(agenttest.Root(), "build", "growth")))
}

func measure(t *testing.T, s subject, size int) point {
	endpoint := fmt.Sprintf("127.0.0.1:%d", agenttest.FreePort(t))
	pprof := fmt.Sprintf("127.0.0.1:%d", agenttest.FreePort(t))
	options := agenttest.Options{Config: s.config, Env: []string{"OTLP_ENDPOINT=" + endpoint, "PPROF_ENDPOINT=" + pprof}}
	if s.peer != "" {
		options.Binary = peers.Build(t, s.peer)
	}
	agent := agenttest.Start(t, options)
	empty, err := monitor.LiveHeap(pprof)
	require.NoError(t, err)
	source, err := s.make()
	require.NoError(t, err)
	begun, err := monitor.CPU(agent.PID())
	require.NoError(t, err)
	result, err := load.Run(t.Context(), source, load.Options{Endpoint: endpoint, Records: size, Retry: true})
	require.NoError(t, err)
	require.Equal(t, size, result.Accepted)
	used, err := monitor.CPU(agent.PID())
	require.NoError(t, err)
	live, err := monitor.LiveHeap(pprof)
	require.NoError(t, err)
	m, err := monitor.MemoryOf(agent.PID())
	require.NoError(t, err)
	agent.Kill() // what it holds need not be delivered
	return point{
		Size: size, CPU: float64((used - begun).Round(time.Microsecond).Microseconds()) / float64(size),
		LiveEach: float64(live-empty) / float64(size), Resident: float64(m.Resident) / (1 << 20),
	}
}
