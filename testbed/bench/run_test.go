package bench

import (
	"embed"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/foundation-agent/foundation-agent/internal/agenttest"
	"github.com/foundation-agent/foundation-agent/testbed/backend"
	"github.com/foundation-agent/foundation-agent/testbed/load"
	"github.com/foundation-agent/foundation-agent/testbed/monitor"
	"github.com/foundation-agent/foundation-agent/testbed/peers"
	"github.com/foundation-agent/foundation-agent/testbed/shipped"
)

//go:embed config
var configs embed.FS

// contender is a collector with a configuration.
type contender struct {
	name   string
	peer   string // manifest in peers; "" is the agent
	config string // file in config, without .yaml; "" is what the agent ships
}

// life is one run of a contender under one load.
type life struct {
	agent    *agenttest.Agent
	endpoint string
	pprof    string
	flags    *shipped.Flags
	begun    time.Duration // CPU used before the load
	peak     chan int64
}

// begin starts the contender. With a backend it exports there, else to nowhere.
func begin(t *testing.T, c contender, to *backend.Backend) *life {
	l := &life{
		endpoint: fmt.Sprintf("127.0.0.1:%d", agenttest.FreePort(t)),
		pprof:    fmt.Sprintf("127.0.0.1:%d", agenttest.FreePort(t)),
		flags:    shipped.NewFlags(t),
		peak:     make(chan int64, 1),
	}
	exporter, endpoint := "nop", "127.0.0.1:1"
	if to != nil {
		exporter, endpoint = "otlp", to.Endpoint
	}
	options := agenttest.Options{Env: []string{
		"OTLP_ENDPOINT=" + l.endpoint, "PPROF_ENDPOINT=" + l.pprof, "FOUNDATION_FLAGS_FILE=" + l.flags.Path,
		"EXPORTER=" + exporter, "BACKEND_ENDPOINT=" + endpoint, "OTEL_EXPORTER_OTLP_ENDPOINT=" + endpoint,
	}}
	if c.config != "" {
		config, err := configs.ReadFile("config/" + c.config + ".yaml")
		require.NoError(t, err)
		options.Config = string(config)
	} else {
		own := ""
		if to == nil {
			own = "exporters: {nop: }\nservice: {pipelines: {logs: {exporters: [nop]}, traces: {exporters: [nop]}, metrics: {exporters: [nop]}}}\n"
		}
		options.Args = shipped.Args(t, nil, own)
	}
	if c.peer != "" {
		options.Binary = peers.Build(t, c.peer)
	}
	l.agent = agenttest.Start(t, options)
	go l.watchPeak()
	return l
}

// watchPeak keeps the last value of the peak that could be read before the process ended: rusage will not do,
// because a child's begins with its parent's.
func (l *life) watchPeak() {
	var peak int64
	for {
		m, err := monitor.MemoryOf(l.agent.PID())
		if err != nil {
			l.peak <- peak
			return
		}
		peak = m.Peak
		time.Sleep(5 * time.Millisecond)
	}
}

// send runs the load to its end, all sources at once; every record must be accepted.
func (l *life) send(t *testing.T, sources []*load.Source, records int) load.Result {
	results, errs := make([]load.Result, len(sources)), make([]error, len(sources))
	var wg sync.WaitGroup
	for i, source := range sources {
		wg.Go(func() {
			results[i], errs[i] = load.Run(t.Context(), source, load.Options{
				Endpoint: l.endpoint, Records: records / len(sources), Senders: max(1, 4/len(sources)), Retry: true,
			})
		})
	}
	wg.Wait()
	require.NoError(t, errors.Join(errs...))
	var all load.Result
	for _, r := range results {
		all = all.Add(r)
	}
	require.Zero(t, all.Refused, all.LastError)
	require.Zero(t, all.Unknown)
	return all
}

// mark is where the measurement begins.
func (l *life) mark(t *testing.T) {
	var err error
	l.begun, err = monitor.CPU(l.agent.PID())
	require.NoError(t, err)
}

// end stops the contender in order, so that what it holds is delivered, and returns the CPU used since the mark,
// delivery included, and the peak memory.
func (l *life) end() (cpu time.Duration, peak int64) {
	l.agent.Stop()
	return l.agent.CPU() - l.begun, <-l.peak
}

// sample is what one run showed.
type sample struct {
	// CPU in microseconds a record, of the whole process, including the delivery at its end.
	CPU float64 `json:"cpu_us_per_record"`
	// Rate in records a second, as the generator saw it.
	Rate float64 `json:"records_per_second"`
	// Peak resident memory in MiB.
	Peak float64 `json:"peak_mib"`
}

// measure is one run of a scenario without a backend.
func measure(t *testing.T, s scenario, c contender, records int) sample {
	l := begin(t, c, nil)
	sources := s.sources(t)
	if s.before != nil {
		s.before(t, l)
	}
	l.send(t, sources, records/50) // connections and caches warm
	end := s.besides(t, l)
	l.mark(t)
	result := l.send(t, sources, records)
	end()
	cpu, peak := l.end()
	return sample{
		CPU:  float64(cpu.Microseconds()) / float64(result.Accepted),
		Rate: float64(result.Accepted) / result.Elapsed.Seconds(),
		Peak: float64(peak) / (1 << 20),
	}
}
