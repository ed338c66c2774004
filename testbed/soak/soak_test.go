// Package soak runs the built agent for a long time under mixed load, with flags that flip and agents that die, and
// watches what must not grow. `make soak DURATION=30m` runs it; results are in build/soak.
package soak

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/foundation-agent/foundation-agent/internal/agenttest"
	"github.com/foundation-agent/foundation-agent/testbed/backend"
	"github.com/foundation-agent/foundation-agent/testbed/load"
	"github.com/foundation-agent/foundation-agent/testbed/report"
	"github.com/foundation-agent/foundation-agent/testbed/shipped"
)

const (
	// limit on the growth of the live heap, the users' own, in MiB an hour.
	limit = 1.0
	// warmUp is the part of the run in which caches and tables fill, which the slopes leave out. In 30 minutes it is
	// longer than any entry of the shipped configuration is kept (ended spans: 5 minutes), but for the half hour of
	// samples that the status page shows, 0.2 MiB.
	warmUp = 0.25
	// meaningful is the least duration whose slopes say something; a shorter run checks the accounts alone.
	meaningful = 20 * time.Minute
)

func TestSoak(t *testing.T) {
	duration, err := time.ParseDuration(os.Getenv("DURATION"))
	if err != nil {
		t.Skip("takes as long as you say: set DURATION=30m, or use make soak DURATION=30m")
	}
	b, err := backend.Start()
	require.NoError(t, err)
	defer func() { require.NoError(t, b.Stop()) }()
	flags := shipped.NewFlags(t)
	otlp := fmt.Sprintf("127.0.0.1:%d", agenttest.FreePort(t))
	pprof := fmt.Sprintf("127.0.0.1:%d", agenttest.FreePort(t))
	agent := agenttest.Start(t, agenttest.Options{
		Env:  []string{"OTLP_ENDPOINT=" + otlp, "PPROF_ENDPOINT=" + pprof, "OTEL_EXPORTER_OTLP_ENDPOINT=" + b.Endpoint, "FOUNDATION_FLAGS_FILE=" + flags.Path},
		Args: shipped.Args(t, []string{"stages.yaml"}),
	})

	dying := &killer{socket: agent.Socket()}
	require.NoError(t, dying.fill())

	halt := make(chan struct{})
	var wg sync.WaitGroup
	problems := make(chan error, 16)
	begin := func(run func() error) {
		wg.Go(func() {
			if err := run(); err != nil {
				problems <- err
			}
		})
	}
	sources := newSources(t)
	sent := map[string]load.Result{}
	var mu sync.Mutex
	for name, s := range sources {
		begin(func() error {
			r, err := load.Run(t.Context(), s.source, load.Options{Endpoint: otlp, Senders: 1, Rate: s.rate, Retry: true, Halt: halt})
			mu.Lock()
			defer mu.Unlock()
			sent[name] = r
			return err
		})
	}
	begin(func() error {
		return flags.Run(halt, 5*time.Second, "use_ets_sampled_events", "use_logger_error_context")
	})
	begin(func() error { return dying.run(halt, 2*time.Second) })
	w := &watch{t: t, pid: agent.PID(), pprof: pprof, otlp: otlp}
	w.run(duration, problems)
	close(halt)
	wg.Wait()
	close(problems)
	for err := range problems {
		require.NoError(t, err)
	}

	// The windows that are still open end, flags off or on; then the account is whole.
	settled := func() bool {
		logs, spans := b.Logs(), b.Spans().Totals()
		return int(logs.Event("order.failed").Weight+0.5) == sent["events"].Accepted &&
			logs.Event("").Firsts == sent["plain logs"].Accepted &&
			spans.Reasons["agent_down"] == spansEach*dying.killed &&
			spans.Once() == sent["span pairs"].Accepted+sent["complete spans"].Accepted+spansEach*dying.killed
	}
	whole := false
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline) && !whole; time.Sleep(100 * time.Millisecond) {
		whole = settled()
	}
	page := report.NewPage(fmt.Sprintf("foundation-agent over %v", duration))
	page.Add(w.section())
	page.Add(accounts(sent, b, dying.killed, flags.Flips))
	page.Text(os.Stdout)
	require.NoError(t, page.Write(filepath.Join(agenttest.Root(), "build", "soak")))
	require.True(t, whole, "the accounts above are not whole")
	if duration >= meaningful {
		require.LessOrEqual(t, w.heapSlope().Low, limit, "the live heap grows by more than %v MiB/h", limit)
	}
}

// stream is one kind of the mixed load.
type stream struct {
	source *load.Source
	rate   float64
}

func newSources(t *testing.T) map[string]stream {
	logs := func(name string, shape load.LogShape) *load.Source {
		s, err := load.Logs(name, shape)
		require.NoError(t, err)
		return s
	}
	pairs, err := load.Pairs("span pairs", load.SpanShape{Batch: 50})
	require.NoError(t, err)
	complete, err := load.Spans("complete spans", load.SpanShape{Batch: 50, Offset: 1 << 40})
	require.NoError(t, err)
	return map[string]stream{
		"events":         {logs("events", load.LogShape{Event: "order.failed", Batch: 100, Key: load.Zipf(1.1, 5000)}), 5000},
		"plain logs":     {logs("plain logs", load.LogShape{Batch: 50, Key: load.Unique}), 300},
		"span pairs":     {pairs, 500},
		"complete spans": {complete, 500},
	}
}

func accounts(sent map[string]load.Result, b *backend.Backend, killed, flips int) report.Section {
	logs, spans := b.Logs(), b.Spans().Totals()
	s := report.Section{
		Title:   "Accounts",
		Text:    fmt.Sprintf("%d flips of flags, %d agents killed with %d open spans each.", flips, killed, spansEach),
		Columns: []string{"kind", "in", "accounted for", "records out", "repeats", "p50", "p99", "longest"},
	}
	for _, kind := range slices.Sorted(maps.Keys(sent)) {
		r := sent[kind]
		row := []string{kind, fmt.Sprint(r.Accepted)}
		switch kind {
		case "events":
			e := logs.Event("order.failed")
			row = append(row, fmt.Sprintf("%.0f", e.Weight), fmt.Sprint(e.Records), fmt.Sprint(e.Repeats))
		case "plain logs":
			e := logs.Event("")
			row = append(row, fmt.Sprint(e.Firsts), fmt.Sprint(e.Records), fmt.Sprint(e.Repeats))
		default:
			row = append(row, "(below)", "", "")
		}
		s.Rows = append(s.Rows, append(row, r.Latency.P50.String(), r.Latency.P99.String(), r.Latency.Max.String()))
	}
	s.Rows = append(s.Rows, []string{"spans together, and those of killed agents",
		fmt.Sprint(sent["span pairs"].Accepted + sent["complete spans"].Accepted + spansEach*killed),
		fmt.Sprint(spans.Once()), fmt.Sprint(spans.Spans), fmt.Sprint(spans.Repeats), "", "", ""})
	s.Rows = append(s.Rows, []string{"of these ended as agent_down", fmt.Sprint(spansEach * killed), fmt.Sprint(spans.Reasons["agent_down"]), "", "", "", "", ""})
	return s
}
