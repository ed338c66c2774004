package bench

import (
	"embed"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/foundation-agent/foundation-agent/internal/agenttest"
	"github.com/foundation-agent/foundation-agent/testbed/backend"
	"github.com/foundation-agent/foundation-agent/testbed/load"
	"github.com/foundation-agent/foundation-agent/testbed/monitor"
	"github.com/foundation-agent/foundation-agent/testbed/peers"
)

//go:embed config
var configs embed.FS

// contender is a collector with a configuration.
type contender struct {
	name   string
	peer   string // manifest in peers; "" is the agent
	config string // file in config, without .yaml
	env    []string
}

// life is one run of a contender under one load.
type life struct {
	agent    *agenttest.Agent
	endpoint string
	pprof    string
	begun    time.Duration // CPU used before the load
	peak     chan int64
}

// begin starts the contender. With a backend it exports there, else to nowhere.
func begin(t *testing.T, c contender, to *backend.Backend) *life {
	config, err := configs.ReadFile("config/" + c.config + ".yaml")
	require.NoError(t, err)
	l := &life{
		endpoint: fmt.Sprintf("127.0.0.1:%d", agenttest.FreePort(t)),
		pprof:    fmt.Sprintf("127.0.0.1:%d", agenttest.FreePort(t)),
		peak:     make(chan int64, 1),
	}
	options := agenttest.Options{
		Config: string(config),
		Env:    append([]string{"OTLP_ENDPOINT=" + l.endpoint, "PPROF_ENDPOINT=" + l.pprof}, c.env...),
	}
	if to != nil {
		options.Env = append(options.Env, "EXPORTER=otlp", "BACKEND_ENDPOINT="+to.Endpoint)
	} else {
		options.Env = append(options.Env, "EXPORTER=nop", "BACKEND_ENDPOINT=127.0.0.1:1")
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

// send runs the load to its end; every record must be accepted.
func (l *life) send(t *testing.T, source *load.Source, records int) load.Result {
	result, err := load.Run(t.Context(), source, load.Options{Endpoint: l.endpoint, Records: records, Retry: true})
	require.NoError(t, err)
	require.Zero(t, result.Refused, result.LastError)
	require.Zero(t, result.Unknown)
	return result
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
	source := s.source(t)
	l.send(t, source, records/50) // connections and caches warm
	l.mark(t)
	result := l.send(t, source, records)
	cpu, peak := l.end()
	return sample{
		CPU:  float64(cpu.Microseconds()) / float64(result.Accepted),
		Rate: float64(result.Accepted) / result.Elapsed.Seconds(),
		Peak: float64(peak) / (1 << 20),
	}
}
